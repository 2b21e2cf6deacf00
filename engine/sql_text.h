/// As much of SQL's text as has to be known before SQLite compiles it: where statements are empty,
/// what kind a statement is, and the spellings of a transaction for reading.
///
/// The tokens are SQLite's own: its white space, its comments, its four ways to quote. Whatever is
/// in doubt is left to SQLite, which judges the text anyway.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace walferry::engine {

/// In small letters as SQLite makes them: those of ASCII alone.
std::string lower_sql(std::string_view text);

/// The text without leading white space, comments and semicolons.
std::string_view skip_blank_sql(std::string_view sql);

enum class SqlKind {
  kOther,
  kInsert,  ///< REPLACE, too
  kUpdate,
  kDelete,
  kPragma,
  kVacuum,
  kVacuumInto,
  kExplain,
};

/// What the first statement of the text does, WITH looked through.
SqlKind kind_of_sql(std::string_view sql);

/// Whether the first statement changes the schema (CREATE, DROP, ALTER, ...).
bool changes_schema(std::string_view sql);

/// Behind the first semicolon that is no part of a literal or comment; the text's end if there is
/// none. Right for statements that hold none themselves, such as PRAGMA.
std::size_t end_of_simple_statement(std::string_view sql);

/// Whether the first statement is a PRAGMA, or EXPLAIN of one: these act while they are compiled.
bool is_pragma_or_its_explain(std::string_view sql);

/// If the first statement is a BEGIN with READONLY among its words, however written or quoted:
/// the offset behind it. Stock SQLite takes the word for a transaction's name, or for a mistake.
std::optional<std::size_t> end_of_readonly_begin(std::string_view sql);

}  // namespace walferry::engine
