#include "wal/image_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <vector>

#include "tests/fault/engine_harness.h"

namespace walferry::wal {
namespace {

using test::Image;

constexpr std::uint32_t kPageSize = 512;

class ImageFileTest : public testing::Test {
 protected:
  ImageFile open(std::uint32_t pages_done = 0) {
    auto image = ImageFile::open(path_, kPageSize, pages_done);
    EXPECT_TRUE(image) << image.error().message;
    return std::move(*image);
  }
  Image random_pages(std::uint32_t count) {
    Image pages(std::size_t{count} * kPageSize);
    for (std::byte& byte : pages) byte = static_cast<std::byte>(random_() >> 8);
    return pages;
  }
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(random_() % bound); }

  void append(ImageFile& image, std::uint32_t count) {
    const std::uint32_t first = image.pages_done() + 1;
    const Image pages = random_pages(count);
    model_.resize(std::size_t{first - 1} * kPageSize);
    model_.insert(model_.end(), pages.begin(), pages.end());
    ASSERT_TRUE(image.append(first, pages));
    ASSERT_EQ(image.pages_done(), first + count - 1);
  }
  void put(ImageFile& image, std::uint32_t page) {
    const Image bytes = random_pages(1);
    model_.resize(std::max(model_.size(), std::size_t{page} * kPageSize));
    std::memcpy(model_.data() + std::size_t{page - 1} * kPageSize, bytes.data(), kPageSize);
    ASSERT_TRUE(image.put(page, bytes));
  }
  [[nodiscard]] std::uint32_t model_pages() const {
    return static_cast<std::uint32_t>(model_.size() / kPageSize);
  }
  void expect_finish(ImageFile& image, std::uint32_t page_count) {
    model_.resize(std::size_t{page_count} * kPageSize);
    const auto root = image.finish(page_count);
    ASSERT_TRUE(root) << root.error().message;
    EXPECT_EQ(*root, test::root_of(model_, kPageSize));
    EXPECT_TRUE(test::read_file(path_) == model_);
  }

  test::TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "image";
  std::minstd_rand random_{test::test_seed()};
  Image model_;
};

// Pages in order, then any of them again and new ones behind, then the end: the sum that is
// carried along is that of the whole file.
TEST_F(ImageFileTest, TheCarriedSumIsThatOfAllPages) {
  for (int round = 0; round < 30; ++round) {
    model_.clear();
    ImageFile image = open();
    const std::uint32_t appends = below(6);
    for (std::uint32_t i = 0; i < appends; ++i) append(image, 1 + below(20));
    // New pages come without gaps in the end, but in any order.
    const std::uint32_t done = image.pages_done();
    std::vector<std::uint32_t> fresh;
    for (std::uint32_t i = 0; i < 1 + below(40); ++i) fresh.push_back(done + 1 + i);
    std::ranges::shuffle(fresh, random_);
    for (const std::uint32_t page : fresh) {
      put(image, page);
      put(image, page);
      if (done > 0) put(image, 1 + below(done));
    }
    const std::uint32_t count = round % 3 == 0 ? model_pages() : 1 + below(model_pages());
    expect_finish(image, count);
    if (HasFatalFailure()) return;
  }
}

TEST_F(ImageFileTest, GoesOnWhereItStopped) {
  for (int i = 0; i < 5; ++i) {
    std::uint32_t done = 0;
    model_.clear();
    for (int life = 0; life < 4; ++life) {
      ImageFile image = open(done);
      append(image, 1 + below(10));
      done = image.pages_done();
      // What came after the record was written is written once more.
      ASSERT_TRUE(image.append(done + 1, random_pages(3)));
    }
    ImageFile image = open(done);
    put(image, 1 + below(done));
    expect_finish(image, done);
  }
}

TEST_F(ImageFileTest, WhatAnEarlierLifeLeftIsReadAnew) {
  {
    ImageFile image = open();
    append(image, 200);
  }
  ImageFile image = open(200);
  put(image, 7);
  put(image, 201);
  expect_finish(image, 201);
}

TEST_F(ImageFileTest, BeginsEmptyWhenNothingIsDone) {
  {
    ImageFile image = open();
    append(image, 9);
  }
  model_.clear();
  ImageFile image = open();
  append(image, 2);
  expect_finish(image, 2);
}

TEST_F(ImageFileTest, TheLockBytePageIsNeitherWrittenNorSummed) {
  constexpr std::uint32_t kLockPage = lock_byte_page(kPageSize);
  ImageFile image = open();
  append(image, 2);
  ASSERT_TRUE(image.put(kLockPage, random_pages(1)));
  EXPECT_EQ(std::filesystem::file_size(path_), 2 * kPageSize);
  expect_finish(image, 2);
}

TEST_F(ImageFileTest, CoversWhatWasWrittenWithoutAGap) {
  ImageFile image = open();
  EXPECT_FALSE(image.covers(1));
  append(image, 3);
  EXPECT_TRUE(image.covers(3));
  EXPECT_FALSE(image.covers(4));
  ASSERT_TRUE(image.put(5, random_pages(1)));
  EXPECT_FALSE(image.covers(5));
  EXPECT_FALSE(image.covers(UINT32_MAX));
  ASSERT_TRUE(image.put(4, random_pages(1)));
  EXPECT_TRUE(image.covers(5));
  EXPECT_TRUE(image.covers(2));
  EXPECT_FALSE(image.covers(6));
}

TEST_F(ImageFileTest, APageFarBeyondTheEndCostsNothing) {
  ImageFile image = open();
  append(image, 3);
  ASSERT_TRUE(image.put(kMaxPageCount, random_pages(1)));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_FALSE(image.covers(kMaxPageCount));
  expect_finish(image, 3);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(1));
}

TEST_F(ImageFileTest, TheSealIsTheGuardAndNotPartOfTheRoot) {
  ImageFile image = open();
  append(image, 3);
  expect_finish(image, 3);
  ASSERT_TRUE(image.seal());
  const Image sealed = test::read_file(path_);
  EXPECT_EQ(sealed[kWriteVersionOffset], kGuardVersionByte);
  EXPECT_EQ(sealed[kReadVersionOffset], kWalVersionByte);
  EXPECT_EQ(test::root_of(sealed, kPageSize), test::root_of(model_, kPageSize));
}

}  // namespace
}  // namespace walferry::wal
