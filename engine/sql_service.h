/// The HTTP side of clients' SQL: Hrana 2 and 3 over HTTP, and its oldest form, on published
/// databases.
///
/// Statements run on threads of their own, never on those of the network; a writer that waits for
/// its turn, and a client that thinks between two requests, cost none. A client that stays away is
/// rolled back and forgotten.
///
/// Thread safety: everything may be called from any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "engine/sql_database.h"
#include "engine/sql_limits.h"
#include "engine/sql_streams.h"
#include "engine/worker_pool.h"
#include "net/http_server.h"

namespace walferry::engine {

struct SqlServiceOptions {
  SqlLimits limits;
  unsigned threads = 4;
  std::size_t max_streams = 10'000;
  std::size_t max_requests = 1'000;  ///< of one pipeline
  /// Bytes of the results in one answer.
  std::size_t answer_bytes = std::size_t{16} << 20;
  /// How long a stream is kept for the next request of its client.
  std::chrono::milliseconds stream_idle{10'000};
  /// The same where a transaction is open, which may keep others from writing.
  std::chrono::milliseconds transaction_idle{5'000};
  /// How long a writer waits for its turn.
  std::chrono::milliseconds turn_timeout{5'000};
};

class SqlService {
 public:
  explicit SqlService(const SqlServiceOptions& options);
  ~SqlService();
  SqlService(const SqlService&) = delete;
  SqlService& operator=(const SqlService&) = delete;

  void add(const std::string& name, const std::filesystem::path& path);
  /// Whether a path (as of handle()) is served here.
  static bool serves(std::string_view endpoint);
  /// `endpoint` is the path behind the database's own: "v3/pipeline". Where a request names no
  /// database, `database` is empty, and the answer tells the client how to name one.
  net::HttpResponse handle(const std::string& database, std::string_view endpoint,
                           const net::HttpRequest& request);
  /// Ends all streams; what comes later is refused. Idempotent.
  void stop();

 private:
  struct Call;

  void begin(const std::shared_ptr<Call>& call);
  void advance(const std::shared_ptr<Call>& call);
  void wait_for_turn(const std::shared_ptr<Call>& call);
  void finish(const std::shared_ptr<Call>& call);
  void finish_v1(const std::shared_ptr<Call>& call);
  SqlResult<std::shared_ptr<SqlStream>> stream_for(const Call& call);
  void keep_time();

  const SqlServiceOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::shared_ptr<SqlDatabase>> databases_;
  bool stopped_ = false;
  SqlStreams streams_;
  WorkerPool pool_;
  std::thread keeper_;
};

}  // namespace walferry::engine
