#include "wal/page_set.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <random>
#include <set>
#include <vector>

#include "tests/fault/engine_harness.h"

namespace walferry::wal {
namespace {

void expect_equal(const PageSet& pages, const std::set<std::uint32_t>& model) {
  ASSERT_EQ(pages.count(), model.size());
  ASSERT_EQ(pages.empty(), model.empty());
  std::vector<std::uint32_t> visited;
  pages.for_each([&](std::uint32_t page) { visited.push_back(page); });
  ASSERT_EQ(visited, std::vector<std::uint32_t>(model.begin(), model.end()));
}

TEST(PageSet, IsASortedSet) {
  std::minstd_rand random(test::test_seed());
  for (const std::uint32_t most : {1u, 64u, 700u, 100'000u}) {
    PageSet pages;
    std::set<std::uint32_t> model;
    const auto draw = [&] { return static_cast<std::uint32_t>(1 + random() % most); };
    expect_equal(pages, model);
    for (int step = 0; step < 500; ++step) {
      const std::uint32_t page = draw();
      ASSERT_EQ(pages.contains(page), model.contains(page));
      pages.add(page);
      model.insert(page);
      const std::uint32_t from = draw();
      const auto next = model.lower_bound(from);
      ASSERT_EQ(pages.next(from), next == model.end() ? 0 : *next) << from;
    }
    expect_equal(pages, model);
    EXPECT_EQ(pages.next(most + 1), 0u);
    EXPECT_FALSE(pages.contains(most + 1));
    EXPECT_FALSE(pages.contains(UINT32_MAX));
    EXPECT_EQ(pages.next(UINT32_MAX), 0u);
  }
}

TEST(PageSet, TakesInAnother) {
  std::minstd_rand random(test::test_seed());
  std::set<std::uint32_t> model;
  PageSet all;
  for (int i = 0; i < 20; ++i) {
    PageSet some;
    const std::uint32_t most = 10u << (i % 12);
    for (int j = 0; j < 30; ++j) {
      const auto page = static_cast<std::uint32_t>(1 + random() % most);
      some.add(page);
      model.insert(page);
    }
    all.merge(some);
    all.merge(PageSet());
    expect_equal(all, model);
  }
  all.merge(all);
  expect_equal(all, model);
  all.clear();
  expect_equal(all, {});
  all.add(3);
  expect_equal(all, {3});
}

TEST(PageSet, HoldsBothEndsOfEachWord) {
  PageSet pages;
  const std::set<std::uint32_t> model{
      1, 63, 64, 127, 128, 191, 192, 4095, 4096, 8191, 1'000'000, UINT32_MAX - 2, UINT32_MAX};
  for (const std::uint32_t page : model) pages.add(page);
  expect_equal(pages, model);
  for (const std::uint32_t page : model) {
    EXPECT_EQ(pages.next(page), page);
    EXPECT_EQ(pages.contains(page + 2), model.contains(page + 2));
  }
}

// Whatever numbers a peer makes up, each member costs half a KiB at most.
TEST(PageSet, TakesNoMemoryForWhatIsNotInIt) {
  const auto in_use = [] { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; };
  const std::size_t before = in_use();
  PageSet pages;
  for (std::uint32_t i = 0; i < 100; ++i) pages.add(UINT32_MAX - i * 40'000'000);
  EXPECT_EQ(pages.count(), 100u);
  EXPECT_LT(in_use() - before, 100u << 10);
}

}  // namespace
}  // namespace walferry::wal
