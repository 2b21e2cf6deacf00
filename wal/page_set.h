/// A set of page numbers: bitmaps of 4,096 pages, and only those that have a member. So it takes an
/// eighth of a byte for each page of a database, and at most half a KiB for each member, whatever
/// numbers a peer makes up.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <map>

namespace walferry::wal {

class PageSet {
 public:
  void add(std::uint32_t page) {
    std::uint64_t& word = pieces_[page / kPiece][page % kPiece / 64];
    const std::uint64_t bit = std::uint64_t{1} << (page % 64);
    if ((word & bit) == 0) {
      word |= bit;
      ++count_;
    }
  }
  [[nodiscard]] bool contains(std::uint32_t page) const noexcept {
    const auto piece = pieces_.find(page / kPiece);
    return piece != pieces_.end() && ((piece->second[page % kPiece / 64] >> (page % 64)) & 1) != 0;
  }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  void clear() noexcept {
    pieces_.clear();
    count_ = 0;
  }
  void merge(const PageSet& other) {
    other.for_each([this](std::uint32_t page) { add(page); });
  }
  /// The smallest member >= `page`, or 0 when there is none.
  [[nodiscard]] std::uint32_t next(std::uint32_t page) const noexcept {
    std::uint32_t from = page % kPiece;
    for (auto piece = pieces_.lower_bound(page / kPiece); piece != pieces_.end(); ++piece) {
      if (piece->first != page / kPiece) from = 0;
      std::uint64_t above = ~std::uint64_t{0} << (from % 64);
      for (std::uint32_t word = from / 64; word < kPiece / 64; ++word) {
        if (const std::uint64_t bits = piece->second[word] & above; bits != 0) {
          return piece->first * kPiece + word * 64 +
                 static_cast<std::uint32_t>(std::countr_zero(bits));
        }
        above = ~std::uint64_t{0};
      }
    }
    return 0;
  }
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::uint32_t page = next(0); page != 0; page = page < UINT32_MAX ? next(page + 1) : 0) {
      visit(page);
    }
  }

 private:
  static constexpr std::uint32_t kPiece = 4096;

  std::map<std::uint32_t, std::array<std::uint64_t, kPiece / 64>> pieces_;
  std::uint32_t count_ = 0;
};

}  // namespace walferry::wal
