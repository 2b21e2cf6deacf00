/// How long writers were held, in microseconds: last, worst, and percentiles of the newest 1024.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace walferry::engine {

class HoldHistogram {
 public:
  void add(std::uint64_t microseconds) {
    samples_[next_ % samples_.size()] = microseconds;
    ++next_;
    max_ = std::max(max_, microseconds);
  }
  [[nodiscard]] std::uint64_t max() const noexcept { return max_; }
  [[nodiscard]] std::uint64_t percentile(unsigned percent) const {
    const std::size_t count = std::min(next_, samples_.size());
    if (count == 0) return 0;
    std::vector<std::uint64_t> sorted(samples_.begin(),
                                      samples_.begin() + static_cast<std::ptrdiff_t>(count));
    std::ranges::sort(sorted);
    return sorted[std::min(count - 1, count * percent / 100)];
  }

 private:
  std::array<std::uint64_t, 1024> samples_{};
  std::size_t next_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace walferry::engine
