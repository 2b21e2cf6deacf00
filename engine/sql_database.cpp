#include "engine/sql_database.h"

#include <utility>

namespace walferry::engine {

namespace {

/// Two descriptors each, and their caches.
constexpr std::size_t kIdleConnections = 16;

}  // namespace

Result<std::unique_ptr<SqlConnection>> SqlDatabase::connect() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
  }
  return SqlConnection::open(path_, limits_);
}

void SqlDatabase::give_back(std::unique_ptr<SqlConnection> connection) {
  if (!connection->reset_for_reuse()) return;
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kIdleConnections) idle_.push_back(std::move(connection));
}

}  // namespace walferry::engine
