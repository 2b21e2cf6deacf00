/// The pages of a transaction under way, each once and in its newest version. They lie as the WAL
/// frames that they will become, so that what arrives is copied once: the headers are filled in
/// where they are, and the whole is written from here.
///
/// One thread. A span is good until the next put(), erase() or clear().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "wal/wal_format.h"

namespace walferry::wal {

class HeldFrames {
 public:
  explicit HeldFrames(std::uint32_t page_size) : page_size_(page_size) {}

  [[nodiscard]] std::size_t size() const noexcept { return numbers_.size(); }
  [[nodiscard]] bool empty() const noexcept { return numbers_.empty(); }
  [[nodiscard]] bool contains(std::uint32_t page) const { return index_.contains(page); }

  /// Place for the page's bytes; what it held before is to be overwritten.
  std::span<std::byte> put(std::uint32_t page);
  /// The page's bytes, or nothing when it is not held.
  [[nodiscard]] std::span<std::byte> find(std::uint32_t page);
  /// Another page may take its index.
  void erase(std::uint32_t page);
  void erase_beyond(std::uint32_t page_count);
  /// Forgets the pages, and gives memory back that so many pages do not need.
  void clear();

  [[nodiscard]] std::uint32_t page_number(std::size_t index) const { return numbers_[index]; }
  [[nodiscard]] std::span<std::byte> page(std::size_t index) {
    return frames(index, 1).subspan(kFrameHeaderSize);
  }
  /// `count` frames that lie one behind the other.
  [[nodiscard]] std::span<std::byte> frames(std::size_t index, std::size_t count) {
    const std::size_t size = frame_size(page_size_);
    return std::span(bytes_).subspan(index * size, count * size);
  }

 private:
  std::uint32_t page_size_;
  std::vector<std::byte> bytes_;  ///< room for more frames than are held
  std::vector<std::uint32_t> numbers_;
  std::unordered_map<std::uint32_t, std::size_t> index_;
};

}  // namespace walferry::wal
