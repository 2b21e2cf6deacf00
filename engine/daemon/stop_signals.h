/// SIGINT, SIGTERM and SIGHUP as an event that the main thread waits for.
///
/// Invariant: an object exists before any other thread is started, because threads inherit the
/// blocked signals. The first signal is reported by wait(); from then on a second one ends the
/// process at once with ExitCode::kFailed. One object a process; wait() by one thread.
#pragma once

#include <chrono>
#include <optional>

namespace walferry::daemon {

class StopSignals {
 public:
  enum class Event {
    kStop,     ///< a signal asked us to end
    kWake,     ///< somebody called wake()
    kTimeout,  ///< neither came in time
  };

  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Without a timeout it waits for as long as it takes.
  Event wait(std::optional<std::chrono::milliseconds> timeout = std::nullopt);
  /// Ends the present or next wait(). May be called from any thread.
  void wake() noexcept;

 private:
  int signals_ = -1;
  int wakes_ = -1;
};

}  // namespace walferry::daemon
