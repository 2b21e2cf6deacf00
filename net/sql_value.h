/// Values of SQL as they cross the wire: SQLite's five storage classes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace walferry::net {

struct SqlNull {
  friend bool operator==(SqlNull, SqlNull) noexcept { return true; }
};
using SqlBlob = std::vector<std::byte>;

/// A value that somebody else keeps alive: a column of a row while its statement stands on it. Text
/// is whatever bytes SQLite holds, NULs included.
using SqlValueView =
    std::variant<SqlNull, std::int64_t, double, std::string_view, std::span<const std::byte>>;

/// A value of its own: an argument of a statement.
using SqlValue = std::variant<SqlNull, std::int64_t, double, std::string, SqlBlob>;

struct SqlColumn {
  std::string name;
  std::string declared_type;  ///< empty: none
};

/// What went wrong with a statement or a request, as a client is told.
struct SqlError {
  std::string message;
  std::string code;  ///< "SQLITE_CONSTRAINT", "STREAM_EXPIRED", ...
  /// More exact than `code` ("SQLITE_CONSTRAINT_UNIQUE"), which the clients' own tests want to be
  /// SQLite's primary one; empty where there is nothing more to say.
  std::string extended_code = {};
};

}  // namespace walferry::net
