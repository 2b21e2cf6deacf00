/// Compiled statements of one connection, kept for when the same text comes again.
///
/// A statement in use is out of the cache. Used by the thread that uses the connection, and gone
/// before the connection is closed.
#pragma once

#include <sqlite3.h>

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/sql_text.h"
#include "net/sql_value.h"

namespace walferry::engine {

struct PreparedStatement {
  PreparedStatement() = default;
  ~PreparedStatement();
  PreparedStatement(const PreparedStatement&) = delete;
  PreparedStatement& operator=(const PreparedStatement&) = delete;

  sqlite3_stmt* handle = nullptr;
  std::string sql;  ///< as the client wrote it
  SqlKind kind = SqlKind::kOther;
  bool writes = false;            ///< to the database or to temporary tables
  bool needs_write_lock = false;  ///< of the database
  bool begins_reading = false;    ///< BEGIN READONLY, compiled as BEGIN
  bool is_worth_keeping = false;
  /// Of the state of the schema at the number of recompilations beside it.
  std::vector<net::SqlColumn> columns;
  int recompiled = -1;
};

class StatementCache {
 public:
  explicit StatementCache(std::size_t capacity) : capacity_(capacity) {}

  /// Null if there is none.
  std::unique_ptr<PreparedStatement> take(std::string_view sql);
  /// Takes a statement that was reset; the one unused for longest goes if there are too many.
  void put(std::unique_ptr<PreparedStatement> statement);
  void clear();
  [[nodiscard]] std::size_t size() const noexcept { return by_sql_.size(); }

 private:
  using Statements = std::list<std::unique_ptr<PreparedStatement>>;

  std::size_t capacity_;
  Statements newest_first_;
  std::unordered_map<std::string_view, Statements::iterator> by_sql_;  // into the statements' texts
};

}  // namespace walferry::engine
