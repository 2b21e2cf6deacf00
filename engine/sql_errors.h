/// Errors of SQL as clients are told of them: the codes and messages that sqld's clients know.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "net/sql_value.h"

struct sqlite3;

namespace walferry::engine {

template <class T>
using SqlResult = std::expected<T, net::SqlError>;
using SqlStatus = SqlResult<void>;

inline std::unexpected<net::SqlError> fail_sql(net::SqlError error) {
  return std::unexpected<net::SqlError>(std::move(error));
}
inline std::unexpected<net::SqlError> fail_sql(std::string code, std::string message) {
  return fail_sql(net::SqlError{.message = std::move(message), .code = std::move(code)});
}

/// "SQLITE_CONSTRAINT_UNIQUE" for 2067; a code that SQLite has not documented yet is named by its
/// primary code and number ("SQLITE_IOERR_9994"), an unknown primary code "SQLITE_UNKNOWN_77".
std::string sqlite_code_name(int extended_code);

/// The error that a call on `db` has just ended with: "SQLite error: " and SQLite's text.
net::SqlError sqlite_failure(sqlite3* db, int rc);
/// The same for a call that compiled SQL: a text that cannot be parsed is SQL_PARSE_ERROR, one that
/// names something wrong at a known place SQL_INPUT_ERROR, as sqld has it.
net::SqlError sqlite_compile_failure(sqlite3* db, int rc);
/// An error with the given SQLite code that SQLite itself did not report.
net::SqlError sqlite_failure(int extended_code, std::string_view message);

}  // namespace walferry::engine
