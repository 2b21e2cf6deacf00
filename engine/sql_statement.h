/// One statement of a client under way: arguments in, rows out.
///
/// Belongs to its SqlConnection, which must outlive it, and to the connection's thread. Destroying
/// it ends it, wherever it stands.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/sql_errors.h"
#include "engine/statement_cache.h"
#include "net/hrana_writer.h"
#include "net/sql_value.h"

namespace walferry::engine {

class SqlConnection;

class SqlStatement {
 public:
  using NamedArgs = std::vector<std::pair<std::string, net::SqlValue>>;

  SqlStatement(SqlStatement&& other) noexcept = default;
  SqlStatement& operator=(SqlStatement&& other) = delete;
  ~SqlStatement();

  /// Whether running it takes SQLite's write lock: then it belongs into the queue of writers first,
  /// unless the connection has the lock already. Temporary tables need none.
  [[nodiscard]] bool needs_write_lock() const noexcept { return prepared_->needs_write_lock; }
  /// Whether it changes anything, temporary tables included.
  [[nodiscard]] bool writes() const noexcept { return prepared_->writes; }

  /// Binds each parameter: by its name, with or without its prefix, else by its number. A parameter
  /// without a value or a value without a parameter is ARGS_INVALID. The values are copied.
  SqlStatus bind(std::span<const net::SqlValue> args, const NamedArgs& named_args);

  /// True: there is a row. False: the statement is done, and holds nothing any more.
  SqlResult<bool> step();
  /// Steps to the end and lets the rows go; they do not count as its result.
  SqlStatus run();

  /// Right once step() was called: only then SQLite looks whether the schema is what it was.
  [[nodiscard]] std::span<const net::SqlColumn> columns() const noexcept {
    return prepared_->columns;
  }
  /// The row that step() found; valid until the next step.
  [[nodiscard]] std::span<const net::SqlValueView> row() const noexcept { return row_; }
  /// What a statement that is done has done. Affected rows and last rowid are 0 for statements
  /// that are no INSERT, UPDATE or DELETE (no INSERT); SQLite does not count the rows it reads.
  [[nodiscard]] net::hrana::StatementEnd end() const noexcept { return end_; }

 private:
  friend class SqlConnection;
  SqlStatement(SqlConnection& connection, std::unique_ptr<PreparedStatement> prepared);

  SqlStatus bind_one(int index, const net::SqlValue& value);
  SqlStatus admit();
  SqlStatus finish();
  SqlResult<bool> take_row();
  std::unexpected<net::SqlError> give_up(net::SqlError error);
  void read_columns();
  std::size_t read_row();

  SqlConnection* connection_;
  std::unique_ptr<PreparedStatement> prepared_;
  std::vector<net::SqlValueView> row_;
  net::hrana::StatementEnd end_;
  std::chrono::nanoseconds spent_{0};
  std::size_t result_bytes_ = 0;
  std::int64_t changes_before_ = 0;
  bool wants_rows_ = true;
  bool is_started_ = false;
  bool is_done_ = false;
};

}  // namespace walferry::engine
