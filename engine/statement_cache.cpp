#include "engine/statement_cache.h"

#include <utility>

#include "wal/sqlite_api.h"

namespace walferry::engine {

PreparedStatement::~PreparedStatement() { wal::sqlite().finalize(handle); }

std::unique_ptr<PreparedStatement> StatementCache::take(std::string_view sql) {
  const auto found = by_sql_.find(sql);
  if (found == by_sql_.end()) return nullptr;
  const auto at = found->second;
  by_sql_.erase(found);
  auto statement = std::move(*at);
  newest_first_.erase(at);
  return statement;
}

void StatementCache::put(std::unique_ptr<PreparedStatement> statement) {
  // The same text may have been compiled twice, for two cursors at once.
  if (capacity_ == 0 || by_sql_.contains(statement->sql)) return;
  newest_first_.push_front(std::move(statement));
  by_sql_.emplace(newest_first_.front()->sql, newest_first_.begin());
  if (newest_first_.size() <= capacity_) return;
  by_sql_.erase(newest_first_.back()->sql);
  newest_first_.pop_back();
}

void StatementCache::clear() {
  by_sql_.clear();
  newest_first_.clear();
}

}  // namespace walferry::engine
