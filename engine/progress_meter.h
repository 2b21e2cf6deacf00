/// Turns "so much is done" into rate and time left, a few times a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "walferry/replica.hpp"

namespace walferry::engine {

class ProgressMeter {
 public:
  using Clock = std::chrono::steady_clock;

  explicit ProgressMeter(std::function<void(const Progress&)> report)
      : report_(std::move(report)) {}

  void begin(std::uint64_t done, std::uint64_t total) {
    begun_at_ = Clock::now();
    begun_with_ = done;
    total_ = total;
    last_ = {};
    update(done);
  }
  void update(std::uint64_t done) {
    const auto now = Clock::now();
    if (!report_ || (now - last_ < std::chrono::milliseconds(200) && done < total_)) return;
    last_ = now;
    Progress progress;
    progress.done = done;
    progress.total = total_;
    const double seconds = std::chrono::duration<double>(now - begun_at_).count();
    if (seconds > 0) progress.bytes_per_second = static_cast<double>(done - begun_with_) / seconds;
    if (progress.bytes_per_second > 0 && total_ > done) {
      progress.seconds_left = static_cast<double>(total_ - done) / progress.bytes_per_second;
    }
    report_(progress);
  }

 private:
  std::function<void(const Progress&)> report_;
  Clock::time_point begun_at_{};
  Clock::time_point last_{};
  std::uint64_t begun_with_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace walferry::engine
