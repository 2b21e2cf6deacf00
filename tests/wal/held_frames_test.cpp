#include "wal/held_frames.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace walferry::wal {
namespace {

constexpr std::uint32_t kPage = 512;

void fill(std::span<std::byte> page, unsigned value) {
  ASSERT_EQ(page.size(), kPage);
  std::fill(page.begin(), page.end(), static_cast<std::byte>(value));
}

TEST(HeldFrames, KeepsTheNewestVersionOfEachPage) {
  HeldFrames held(kPage);
  std::map<std::uint32_t, unsigned> model;
  std::minstd_rand random(5);
  for (int step = 0; step < 20'000; ++step) {
    const auto page = static_cast<std::uint32_t>(random() % 300 + 1);
    switch (random() % 8) {
      case 0:
        held.erase(page);
        model.erase(page);
        break;
      case 1:
        if (random() % 100 == 0) {
          held.erase_beyond(page);
          model.erase(model.upper_bound(page), model.end());
        }
        break;
      case 2:
        if (random() % 500 == 0) {
          held.clear();
          model.clear();
        }
        break;
      default:
        model[page] = static_cast<unsigned>(step);
        fill(held.put(page), static_cast<unsigned>(step));
    }
    ASSERT_EQ(held.size(), model.size());
  }
  ASSERT_GT(model.size(), 10U);
  for (const auto& [page, value] : model) {
    const auto bytes = held.find(page);
    ASSERT_EQ(bytes.size(), kPage);
    EXPECT_TRUE(std::ranges::all_of(
        bytes, [&](std::byte byte) { return byte == static_cast<std::byte>(value); }));
  }
  std::map<std::uint32_t, std::size_t> seen;
  for (std::size_t i = 0; i < held.size(); ++i) {
    seen[held.page_number(i)] = i;
    EXPECT_EQ(held.page(i).data(), held.find(held.page_number(i)).data());
  }
  EXPECT_EQ(seen.size(), model.size());
  EXPECT_FALSE(held.contains(1000));
  EXPECT_TRUE(held.find(1000).empty());
}

TEST(HeldFrames, LieOneBehindTheOtherAsFrames) {
  HeldFrames held(kPage);
  for (const std::uint32_t page : {7U, 3U, 9U}) fill(held.put(page), page);
  const auto frames = held.frames(0, 3);
  ASSERT_EQ(frames.size(), 3 * frame_size(kPage));
  EXPECT_EQ(frames[kFrameHeaderSize], std::byte{7});
  EXPECT_EQ(frames[frame_size(kPage) + kFrameHeaderSize], std::byte{3});
  EXPECT_EQ(frames[2 * frame_size(kPage) + kFrameHeaderSize], std::byte{9});
}

}  // namespace
}  // namespace walferry::wal
