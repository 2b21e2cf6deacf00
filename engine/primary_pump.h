/// Drives primaries: one thread that sleeps until a WAL is written to (inotify) or a primary asked
/// to be called again. Nothing runs while nothing is written.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/primary.h"

namespace walferry::engine {

class PrimaryPump {
 public:
  static Result<std::unique_ptr<PrimaryPump>> start(std::vector<std::unique_ptr<Primary>> primaries,
                                                    LogSink log);
  ~PrimaryPump();
  /// Settles every primary and ends the thread. Idempotent.
  void stop();

 private:
  struct Watched {
    std::unique_ptr<Primary> primary;
    int watch = -1;
    bool attached = false;
    bool written = true;
    Clock::time_point due{};
    Clock::time_point heartbeat{};
  };

  PrimaryPump() = default;
  void run();
  void watch_again(Watched& watched);
  void read_events();

  std::vector<Watched> watched_;
  LogSink log_;
  int inotify_ = -1;
  int wake_ = -1;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace walferry::engine
