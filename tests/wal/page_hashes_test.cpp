#include "wal/page_hashes.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/fault/engine_harness.h"

namespace walferry::wal {
namespace {

Hash128 random_hash(std::minstd_rand& random) {
  return {std::uint64_t{random()} << 33 ^ random(), std::uint64_t{random()} << 33 ^ random()};
}

/// Every node of every level against sums that are taken anew.
void expect_sums(const PageHashes& hashes, const std::vector<Hash128>& pages) {
  ASSERT_EQ(hashes.page_count(), pages.size());
  std::vector<Hash128> level = pages;
  for (std::uint32_t height = 0; height <= hashes.height(); ++height) {
    ASSERT_EQ(hashes.node_count(height), std::max<std::size_t>(level.size(), height == 0 ? 0 : 1))
        << "level " << height;
    for (std::uint32_t i = 0; i < level.size(); ++i)
      ASSERT_EQ(hashes.node(height, i), level[i]) << height << ":" << i;
    EXPECT_EQ(hashes.node(height, static_cast<std::uint32_t>(level.size()) + 5), Hash128{});
    std::vector<Hash128> above((level.size() + kTreeFanout - 1) / kTreeFanout);
    for (std::size_t i = 0; i < level.size(); ++i) above[i / kTreeFanout] += level[i];
    level = std::move(above);
    if (level.empty()) level.resize(1);
  }
  Hash128 root;
  for (const Hash128& hash : pages) root += hash;
  ASSERT_EQ(hashes.root(), root);
}

TEST(PageHashes, RandomChangesKeepAllSumsRight) {
  std::minstd_rand random(test::test_seed());
  const test::TempDirectory directory;
  auto hashes = PageHashes::open(directory / "hashes");
  ASSERT_TRUE(hashes);
  std::vector<Hash128> pages;
  for (int step = 0; step < 120; ++step) {
    const std::uint32_t kinds[] = {3, 255, 256, 257, 5'000, 65'536, 65'537, 70'000};
    if (step % 3 == 0) {
      const auto count = static_cast<std::uint32_t>(kinds[random() % 8] - random() % 3);
      ASSERT_TRUE(hashes->resize(count));
      pages.resize(count);
    }
    for (int i = 0; i < 50 && !pages.empty(); ++i) {
      const auto page = static_cast<std::uint32_t>(1 + random() % pages.size());
      pages[page - 1] = random_hash(random);
      hashes->set(page, pages[page - 1]);
    }
    expect_sums(*hashes, pages);
    if (HasFatalFailure()) return;
  }
  pages.back() = random_hash(random);
  hashes->set(static_cast<std::uint32_t>(pages.size()), pages.back());
  ASSERT_TRUE(hashes->sync());
  *hashes = PageHashes();
  auto reopened = PageHashes::open(directory / "hashes");
  ASSERT_TRUE(reopened);
  expect_sums(*reopened, pages);
}

TEST(PageHashes, BeginsEmptyAndShrinksToNothing) {
  const test::TempDirectory directory;
  auto hashes = PageHashes::open(directory / "hashes");
  ASSERT_TRUE(hashes);
  EXPECT_EQ(hashes->page_count(), 0U);
  EXPECT_EQ(hashes->root(), Hash128{});
  ASSERT_TRUE(hashes->resize(1000));
  hashes->set(1000, {1, 2});
  ASSERT_TRUE(hashes->resize(0));
  EXPECT_EQ(hashes->root(), Hash128{});
  EXPECT_EQ(hashes->get(1000), Hash128{});
  EXPECT_EQ(hashes->get(0), Hash128{});
}

TEST(PageHash, SumsCarryAndTakeBack) {
  Hash128 sum{UINT64_MAX, 1};
  const Hash128 one{1, 0};
  sum += one;
  EXPECT_EQ(sum, (Hash128{0, 2}));
  sum -= one;
  EXPECT_EQ(sum, (Hash128{UINT64_MAX, 1}));
  EXPECT_EQ(sum.to_text(), "0000000000000001ffffffffffffffff");
}

TEST(PageHash, TheGuardAndTheLocalCookieDoNotCount) {
  std::vector<std::byte> page(4096, std::byte{5});
  page[kWriteVersionOffset] = page[kReadVersionOffset] = std::byte{2};
  store_be(page.data() + kSchemaCookieOffset, std::uint32_t{77});
  const Hash128 origin = hash_page(1, page);
  page[kWriteVersionOffset] = kGuardVersionByte;
  EXPECT_EQ(hash_page(1, page), origin);
  store_be(page.data() + kSchemaCookieOffset, std::uint32_t{1234});
  EXPECT_NE(hash_page(1, page), origin);
  EXPECT_EQ(hash_page(1, page, {true, 1234, 77}), origin);
  EXPECT_NE(hash_page(1, page, {true, 1235, 77}), origin);
  EXPECT_NE(hash_page(2, page), hash_page(3, page));
}

}  // namespace
}  // namespace walferry::wal
