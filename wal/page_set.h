/// A set of page numbers as a bitmap: an eighth of a byte for each page of the database.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace walferry::wal {

class PageSet {
 public:
  void add(std::uint32_t page) {
    const std::size_t word = page / 64;
    if (word >= words_.size()) words_.resize(word + word / 4 + 1);
    const std::uint64_t bit = std::uint64_t{1} << (page % 64);
    if ((words_[word] & bit) == 0) {
      words_[word] |= bit;
      ++count_;
    }
  }
  [[nodiscard]] bool contains(std::uint32_t page) const noexcept {
    const std::size_t word = page / 64;
    return word < words_.size() && ((words_[word] >> (page % 64)) & 1) != 0;
  }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  void clear() noexcept {
    words_.clear();
    count_ = 0;
  }
  void merge(const PageSet& other) {
    other.for_each([this](std::uint32_t page) { add(page); });
  }
  /// The smallest member >= `page`, or 0 when there is none.
  [[nodiscard]] std::uint32_t next(std::uint32_t page) const noexcept {
    std::size_t word = page / 64;
    if (word >= words_.size()) return 0;
    std::uint64_t bits = words_[word] & (~std::uint64_t{0} << (page % 64));
    while (bits == 0) {
      if (++word >= words_.size()) return 0;
      bits = words_[word];
    }
    return static_cast<std::uint32_t>(word * 64 + static_cast<unsigned>(std::countr_zero(bits)));
  }
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::uint32_t page = next(0); page != 0; page = page < UINT32_MAX ? next(page + 1) : 0) {
      visit(page);
    }
  }

 private:
  std::vector<std::uint64_t> words_;
  std::uint32_t count_ = 0;
};

}  // namespace walferry::wal
