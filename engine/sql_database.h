/// A published database as clients' SQL sees it: where it is, its queue of writers, and connections
/// that wait for the next client.
///
/// Thread-safe. Outlives the connections it gave out.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/sql_connection.h"
#include "engine/write_queue.h"

namespace walferry::engine {

class SqlDatabase {
 public:
  SqlDatabase(std::filesystem::path path, const SqlLimits& limits)
      : path_(std::move(path)), limits_(limits) {}

  /// A connection as good as a new one.
  Result<std::unique_ptr<SqlConnection>> connect();
  /// Keeps the connection for another client, or closes it where that cannot be.
  void give_back(std::unique_ptr<SqlConnection> connection);

  [[nodiscard]] WriteQueue& writers() noexcept { return writers_; }

 private:
  const std::filesystem::path path_;
  const SqlLimits limits_;
  WriteQueue writers_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<SqlConnection>> idle_;
};

}  // namespace walferry::engine
