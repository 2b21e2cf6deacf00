/// When to try again: doubling pauses with jitter, so that a thousand followers of a server that
/// comes back do not come back together. Pure: the caller brings randomness and waits itself.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace walferry::engine {

class RetrySchedule {
 public:
  RetrySchedule(std::chrono::milliseconds shortest, std::chrono::milliseconds longest)
      : shortest_(shortest), longest_(std::max(shortest, longest)), pause_(shortest) {}

  /// The next pause: between half and all of the current step. `random` is uniform over 64 bits.
  std::chrono::milliseconds next(std::uint64_t random) {
    const auto step = pause_;
    pause_ = std::min(pause_ * 2, longest_);
    const auto half = static_cast<std::uint64_t>(step.count()) / 2;
    return std::chrono::milliseconds(static_cast<std::int64_t>(half + random % (half + 1)));
  }
  void succeed() { pause_ = shortest_; }

 private:
  std::chrono::milliseconds shortest_;
  std::chrono::milliseconds longest_;
  std::chrono::milliseconds pause_;
};

}  // namespace walferry::engine
