/// What a client's SQL may cost, and how its connection is set up.
#pragma once

#include <chrono>
#include <cstddef>

namespace walferry::engine {

struct SqlLimits {
  /// Bytes of one SQL text: of a statement, or of a sequence of them.
  std::size_t sql_bytes = std::size_t{1} << 20;
  /// Bytes of values in one statement's result; above them the statement ends with
  /// RESPONSE_TOO_LARGE.
  std::size_t result_bytes = std::size_t{10} << 20;
  /// Time spent in SQLite by one statement, not the time a client takes to fetch its rows.
  std::chrono::milliseconds statement_time{30'000};
  /// Bytes of a text, a blob or a whole row.
  int value_bytes = 16 << 20;
  int variables = 32'766;
  int columns = 2'000;
  int expression_depth = 1'000;
  int compound_select = 500;
  int vdbe_operations = 25'000'000;
  int trigger_depth = 1'000;
  int like_pattern_bytes = 10'000;
  /// How long SQLite waits for a lock that another program holds.
  std::chrono::milliseconds busy_timeout{5'000};
  /// Prepared statements that a connection keeps, and the longest text worth keeping.
  std::size_t cached_statements = 64;
  std::size_t cached_sql_bytes = std::size_t{16} << 10;
  /// Whether a commit is synced before it is answered (synchronous FULL), or may be lost by a power
  /// cut (NORMAL).
  bool sync_commits = true;
  /// The state of PRAGMA foreign_keys at a stream's start: on, as on the servers that clients of
  /// libSQL know.
  bool foreign_keys = true;
};

}  // namespace walferry::engine
