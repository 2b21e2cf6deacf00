/// Shows how far a bootstrap or a reconcile has come: a bar on a terminal, otherwise (or where the
/// log is JSON) a log line every five seconds.
///
/// The library calls update() from one of its threads, about five times a second.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "engine/daemon/console_log.h"
#include "walferry/replica.hpp"

namespace walferry::daemon {

/// "[#####.....]  52.0 %  1.2 of 2.3 GiB  85.0 MiB/s  13 s left", at most `columns` wide.
std::string progress_bar(const Progress& progress, unsigned columns);
/// The same facts as one line of a log.
std::string progress_line(const Progress& progress);

class ProgressDisplay {
 public:
  using Clock = std::chrono::steady_clock;

  /// Both have to outlive the display.
  ProgressDisplay(Console& console, ConsoleLog& log);
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  void update(const Progress& progress, Clock::time_point now = Clock::now());

 private:
  void log_at_intervals(const Progress& progress, Clock::time_point now);

  Console& console_;
  ConsoleLog& log_;
  const bool draws_bar_;
  std::mutex mutex_;
  // When the current work began or its last line was written; none between two pieces of work.
  std::optional<Clock::time_point> last_line_;
  bool line_written_ = false;
};

}  // namespace walferry::daemon
