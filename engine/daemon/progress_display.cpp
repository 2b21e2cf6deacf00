#include "engine/daemon/progress_display.h"

#include <algorithm>
#include <cstdint>

#include "engine/daemon/quantity_text.h"

namespace walferry::daemon {
namespace {

constexpr std::chrono::seconds kLineInterval{5};

bool is_complete(const Progress& progress) {
  return progress.total > 0 && progress.done >= progress.total;
}

// A primary that grows while it is fetched can make `done` larger than `total` for a moment.
double completed_share(const Progress& progress) {
  if (progress.total == 0) return 0;
  return std::min(1.0, static_cast<double>(progress.done) / static_cast<double>(progress.total));
}

std::string facts(const Progress& progress) {
  std::string text = format_decimal(completed_share(progress) * 100) + " %  " +
                     format_bytes(progress.done) + " of " + format_bytes(progress.total) + "  " +
                     format_bytes(static_cast<std::uint64_t>(progress.bytes_per_second)) + "/s";
  if (progress.seconds_left > 0) text += "  " + format_seconds(progress.seconds_left) + " left";
  return text;
}

}  // namespace

std::string progress_bar(const Progress& progress, unsigned columns) {
  std::string text = facts(progress);
  // The last column stays free: a terminal that is filled to its edge may wrap.
  const std::size_t room = columns > 1 ? columns - 1 : 0;
  constexpr std::size_t kFrame = 4;  // "[", "]" and two spaces
  constexpr std::size_t kWidest = 40;
  constexpr std::size_t kNarrowest = 8;
  if (room < text.size() + kFrame + kNarrowest) return text.substr(0, room);
  const std::size_t width = std::min(kWidest, room - text.size() - kFrame);
  const auto filled =
      static_cast<std::size_t>(completed_share(progress) * static_cast<double>(width));
  return "[" + std::string(filled, '#') + std::string(width - filled, '.') + "]  " + text;
}

std::string progress_line(const Progress& progress) { return "progress: " + facts(progress); }

ProgressDisplay::ProgressDisplay(Console& console, ConsoleLog& log)
    : console_(console),
      log_(log),
      draws_bar_(console.is_terminal() && log.format() == LogFormat::kText) {}

ProgressDisplay::~ProgressDisplay() {
  if (draws_bar_) console_.show_bar("");
}

void ProgressDisplay::update(const Progress& progress, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (draws_bar_) {
    console_.show_bar(is_complete(progress) ? "" : progress_bar(progress, console_.columns()));
  } else {
    log_at_intervals(progress, now);
  }
}

void ProgressDisplay::log_at_intervals(const Progress& progress, Clock::time_point now) {
  if (!last_line_) last_line_ = now;
  const bool complete = is_complete(progress);
  // Work that ends before its first line stays silent; what has begun to report also ends.
  if (now - *last_line_ >= kLineInterval || (complete && line_written_)) {
    log_.write(LogLevel::kInfo, progress_line(progress));
    last_line_ = now;
    line_written_ = true;
  }
  if (complete) {
    last_line_.reset();
    line_written_ = false;
  }
}

}  // namespace walferry::daemon
