#include "wal/held_frames.h"

#include <algorithm>
#include <cstring>

namespace walferry::wal {

namespace {

/// Room grows by no more than this at once.
constexpr std::size_t kLargestStep = std::size_t{1} << 20;
/// Room is given back when a transaction used less than this part of it.
constexpr std::size_t kWasteful = 8;
constexpr std::size_t kKeptAnyway = std::size_t{64} << 10;

}  // namespace

std::span<std::byte> HeldFrames::put(std::uint32_t page) {
  const auto [place, is_new] = index_.try_emplace(page, numbers_.size());
  if (is_new) {
    numbers_.push_back(page);
    const std::size_t needed = numbers_.size() * frame_size(page_size_);
    if (needed > bytes_.size())
      bytes_.resize(std::max(needed, bytes_.size() + std::min(bytes_.size(), kLargestStep)));
  }
  return this->page(place->second);
}

std::span<std::byte> HeldFrames::find(std::uint32_t page) {
  const auto place = index_.find(page);
  return place == index_.end() ? std::span<std::byte>{} : this->page(place->second);
}

void HeldFrames::erase(std::uint32_t page) {
  const auto place = index_.find(page);
  if (place == index_.end()) return;
  const std::size_t index = place->second;
  index_.erase(place);
  const std::size_t last = numbers_.size() - 1;
  if (index != last) {
    const auto moved = this->page(last);
    std::memcpy(this->page(index).data(), moved.data(), moved.size());
    numbers_[index] = numbers_[last];
    index_[numbers_[index]] = index;
  }
  numbers_.pop_back();
}

void HeldFrames::erase_beyond(std::uint32_t page_count) {
  for (std::size_t i = numbers_.size(); i-- > 0;) {
    if (numbers_[i] > page_count) erase(numbers_[i]);
  }
}

void HeldFrames::clear() {
  const std::size_t used = numbers_.size() * frame_size(page_size_);
  if (bytes_.size() > kKeptAnyway && used < bytes_.size() / kWasteful)
    std::vector<std::byte>().swap(bytes_);
  numbers_.clear();
  index_.clear();
}

}  // namespace walferry::wal
