#include <gtest/gtest.h>

#include <random>

#include "engine/reconciler.h"
#include "tests/fault/engine_harness.h"

namespace walferry::engine {
namespace {

using wal::Hash128;

TEST(LocalTree, HasTheSameNodesAsTheManifestOfTheSamePages) {
  std::minstd_rand random(test::test_seed());
  const test::TempDirectory directory;
  for (const std::uint32_t count : {1u, 255u, 256u, 257u, 65'536u, 65'537u, 140'000u}) {
    auto hashes = wal::PageHashes::open(directory / ("hashes" + std::to_string(count)));
    ASSERT_TRUE(hashes);
    ASSERT_TRUE(hashes->resize(count));
    std::vector<Hash128> sums((count + wal::kTreeFanout - 1) / wal::kTreeFanout);
    for (std::uint32_t page = 1; page <= count; ++page) {
      const Hash128 hash{random(), random()};
      hashes->set(page, hash);
      sums[(page - 1) / wal::kTreeFanout] += hash;
    }
    const LocalTree tree(sums, count,
                         [&](std::uint32_t page) -> Result<Hash128> { return hashes->get(page); });
    for (std::uint32_t level = 0; level <= hashes->height(); ++level) {
      for (std::uint32_t node = 0; node < hashes->node_count(level); node += level == 0 ? 997 : 1) {
        ASSERT_EQ(tree.node(level, node).value(), hashes->node(level, node))
            << count << ": " << level << ", " << node;
      }
      EXPECT_EQ(tree.node(level, hashes->node_count(level)).value(), Hash128{});
    }
    // A primary with more pages has levels that the local tree does not have.
    EXPECT_EQ(tree.node(hashes->height() + 1, 0).value(), hashes->root());
    EXPECT_EQ(tree.node(hashes->height() + 1, 1).value(), Hash128{});
  }
}

TEST(LocalTree, AnEmptyFileHasNothing) {
  const LocalTree tree({}, 0, [](std::uint32_t) -> Result<Hash128> {
    return fail(ErrorCode::kInternal, "no pages");
  });
  for (std::uint32_t level = 0; level < 4; ++level)
    EXPECT_EQ(tree.node(level, 0).value(), Hash128{}) << level;
}

}  // namespace
}  // namespace walferry::engine
