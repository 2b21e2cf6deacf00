/// Drives one replica: opens and proves the local file, bootstraps or reconciles when it must,
/// follows the live stream, tries again after failures, keeps the local WAL bounded.
///
/// One thread of its own does all the work; the public calls only look or ask it to stop.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "engine/ferry_client.h"
#include "engine/ferry_service.h"
#include "engine/local_replica.h"
#include "engine/progress_meter.h"
#include "engine/retry_schedule.h"
#include "engine/stream_follower.h"
#include "net/http_server.h"
#include "walferry/replica.hpp"

namespace walferry::engine {

class ReplicaEngine final : public Replica {
 public:
  explicit ReplicaEngine(ReplicaOptions options);
  ~ReplicaEngine() override;

  Status prepare();

  Status start() override;
  Result<Position> sync_once() override;
  ReplicaStatus status() const override;
  std::uint16_t listen_port() const override;
  void stop() override;

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  /// One connection from opening the file to the end of the stream.
  Status follow(bool until_caught_up);
  [[nodiscard]] Status check_files() const;
  Status restore_own_files();
  Status open_local();
  Status bootstrap();
  /// Leaves the pages that differ in the transaction under way; the stream completes it.
  Result<Position> reconcile();
  Status check_adoption(const net::Info& info);
  [[nodiscard]] bool is_replica_of(const LogId& log) const;
  Status stream(const Position& from, bool image, bool until_caught_up);
  Result<std::chrono::milliseconds> tick(StreamFollower& follower);
  Status maintain_if_due(Clock::time_point now);
  Status after_messages(StreamFollower& follower, bool until_caught_up);
  Status begin_serving_onward();
  void wake_followers(Clock::time_point now);
  void remember_last_success();
  Status listen();
  Status check_stop() const;
  bool rest(std::chrono::milliseconds pause);
  void let_go(bool settle);

  void set_state(ReplicaState state);
  void note_error(const Error& error);
  void stop_because(const Error& error);
  void note_success();
  void write_status();
  void log(LogLevel level, const std::string& message) const;

  ReplicaOptions options_;
  std::unique_ptr<FerryClient> client_;
  std::unique_ptr<LocalReplica> local_;
  std::optional<Position> position_;  ///< proven
  bool ever_live_ = false;
  bool surely_ours_ = false;           ///< the local file needs no look before it is adopted
  std::uint64_t counted_commits_ = 0;  ///< of the running stream, that the status has already
  std::uint64_t counted_pages_ = 0;
  ProgressMeter progress_;
  RetrySchedule retries_;
  Clock::time_point last_heartbeat_{};
  Clock::time_point next_maintenance_{};
  std::uint64_t next_maintenance_bytes_ = 0;  ///< size of the log at which it is due before that
  Clock::time_point reader_since_{};
  Clock::time_point reader_warned_{};
  Clock::time_point last_file_check_{};
  Clock::time_point last_status_{};
  Clock::time_point not_live_since_{};

  std::shared_ptr<Publication> publication_;
  std::unique_ptr<FerryService> service_;
  std::unique_ptr<net::HttpServer> server_;

  std::atomic<bool> stopping_{false};
  std::thread thread_;
  mutable std::mutex mutex_;
  std::condition_variable rest_over_;
  ReplicaStatus status_;
};

}  // namespace walferry::engine
