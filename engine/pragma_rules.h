/// Which pragmas a client may use, and how. The table of docs/sql.md is the same one with reasons;
/// a test compares the two, and both with what SQLite knows.
///
/// A rule holds for every form: PRAGMA x=y, PRAGMA x(y), with a schema in front, and the table
/// pragma_x() where SQLite has one. A pragma that is not listed is refused.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace walferry::engine {

enum class PragmaRule {
  kQuestion,    ///< answers, with or without an argument, and changes nothing
  kReading,     ///< may be read; with a value it is refused
  kConnection,  ///< may be read, and set for the client's own connection
  kDatabase,    ///< may be read, and changes the database as any other write does
  kDenied,      ///< refused in each form
};

struct Pragma {
  std::string_view name;
  PragmaRule rule;
  /// Acts without a value, too.
  bool is_action = false;
};

/// All pragmas that have a rule, by name.
std::span<const Pragma> pragma_rules();

struct PragmaVerdict {
  bool allowed = false;
  bool changes_connection = false;
  bool changes_database = false;
  std::string reason = {};  ///< why not
};

/// `value` is what stands behind = or in parentheses, if anything does.
PragmaVerdict judge_pragma(std::string_view name, std::optional<std::string_view> value);

}  // namespace walferry::engine
