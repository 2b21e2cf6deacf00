#include "engine/sql_stream.h"

#include <utility>

namespace walferry::engine {

namespace {

/// Of all texts that one stream stores.
constexpr std::size_t kMaxStoredBytes = std::size_t{16} << 20;
/// What a text costs besides its bytes.
constexpr std::size_t kBytesBesides = 64;

}  // namespace

Result<std::shared_ptr<SqlStream>> SqlStream::open(std::shared_ptr<SqlDatabase> database) {
  auto connection = database->connect();
  if (!connection) return fail(connection.error());
  return std::shared_ptr<SqlStream>(new SqlStream(std::move(database), std::move(*connection)));
}

SqlStream::~SqlStream() { close(); }

void SqlStream::close() {
  if (!connection_) return;
  // The lock first, then the turn: or the next writer would meet it.
  (void)connection_->roll_back();
  turn_.release();
  database_->give_back(std::move(connection_));
}

SqlResult<std::string> SqlStream::text_of(const net::hrana::SqlSource& source) const {
  if (source.sql) return *source.sql;
  const auto stored = source.sql_id ? texts_.find(*source.sql_id) : texts_.end();
  if (stored != texts_.end()) return stored->second;
  return fail_sql("SQL_NOT_FOUND", "SQL text " + std::to_string(source.sql_id.value_or(0)) +
                                       " was not stored on this stream");
}

SqlStatus SqlStream::store(std::int32_t id, std::string sql) {
  if (texts_.contains(id))
    return fail_sql("SQL_ID_IN_USE", "SQL text " + std::to_string(id) + " is stored already");
  std::size_t bytes = sql.size() + kBytesBesides;
  for (const auto& [other, text] : texts_) bytes += text.size() + kBytesBesides;
  if (bytes > kMaxStoredBytes) {
    return fail_sql("SQL_STORE_TOO_LARGE", "the SQL texts of a stream may have " +
                                               std::to_string(kMaxStoredBytes) +
                                               " bytes together: close those that are not needed");
  }
  texts_.emplace(id, std::move(sql));
  return {};
}

}  // namespace walferry::engine
