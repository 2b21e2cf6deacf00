/// A client's stream: what Hrana calls a connection to the database. It has SQLite's connection,
/// the texts that the client stored, and, while it writes, its turn among the writers.
///
/// One thread at a time. When it goes, its transaction is rolled back and its
/// turn goes to the next.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "engine/sql_database.h"
#include "net/hrana_request.h"

namespace walferry::engine {

class SqlStream {
 public:
  static Result<std::shared_ptr<SqlStream>> open(std::shared_ptr<SqlDatabase> database);
  ~SqlStream();
  SqlStream(const SqlStream&) = delete;
  SqlStream& operator=(const SqlStream&) = delete;

  [[nodiscard]] SqlConnection& connection() noexcept { return *connection_; }
  [[nodiscard]] SqlDatabase& database() noexcept { return *database_; }

  /// The text itself, or the stored one. SQL_NOT_FOUND.
  SqlResult<std::string> text_of(const net::hrana::SqlSource& source) const;
  /// SQL_ID_IN_USE; SQL_STORE_TOO_LARGE past what a stream may store.
  SqlStatus store(std::int32_t id, std::string sql);
  void forget(std::int32_t id) { texts_.erase(id); }

  /// Whether the statement has to wait for its turn before it runs.
  [[nodiscard]] bool needs_turn(const SqlStatement& statement) const noexcept {
    return statement.needs_write_lock() && !turn_.valid();
  }
  void take_turn(WriteTicket ticket) { turn_ = std::move(ticket); }
  /// After each statement: outside of a transaction others may write.
  void end_statement() {
    if (turn_.valid() && connection_->is_autocommit()) turn_.release();
  }

  /// No request follows; what is open is rolled back.
  void close();
  [[nodiscard]] bool is_closed() const noexcept { return connection_ == nullptr; }

 private:
  SqlStream(std::shared_ptr<SqlDatabase> database, std::unique_ptr<SqlConnection> connection)
      : database_(std::move(database)), connection_(std::move(connection)) {}

  std::shared_ptr<SqlDatabase> database_;
  std::unique_ptr<SqlConnection> connection_;
  WriteTicket turn_;
  std::map<std::int32_t, std::string> texts_;
};

}  // namespace walferry::engine
