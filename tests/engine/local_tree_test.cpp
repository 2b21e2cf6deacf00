// The tree of a replica's page hashes against the one that a primary answers from.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "engine/reconciler.h"
#include "tests/fault/engine_harness.h"
#include "wal/page_hashes.h"

namespace walferry::engine {
namespace {

using wal::Hash128;
using wal::kTreeFanout;
using wal::PageHashes;

class LocalTreeTest : public testing::Test {
 protected:
  std::vector<Hash128> random_pages(std::uint32_t count) {
    std::vector<Hash128> pages(count);
    for (Hash128& hash : pages) hash = {random_(), random_()};
    return pages;
  }
  static LocalTree tree_of(const std::vector<Hash128>& pages) {
    std::vector<Hash128> sums((pages.size() + kTreeFanout - 1) / kTreeFanout);
    for (std::size_t i = 0; i < pages.size(); ++i) sums[i / kTreeFanout] += pages[i];
    return {std::move(sums), static_cast<std::uint32_t>(pages.size()),
            [&pages](std::uint32_t page) -> Result<Hash128> { return pages.at(page - 1); }};
  }
  PageHashes hashes_of(const std::vector<Hash128>& pages) {
    std::filesystem::remove(directory_ / "hashes");
    auto hashes = PageHashes::open(directory_ / "hashes");
    EXPECT_TRUE(hashes);
    EXPECT_TRUE(hashes->resize(static_cast<std::uint32_t>(pages.size())));
    for (std::uint32_t i = 0; i < pages.size(); ++i) hashes->set(i + 1, pages[i]);
    return std::move(*hashes);
  }
  static Hash128 node(const LocalTree& tree, std::uint32_t level, std::uint32_t number) {
    auto hash = tree.node(level, number);
    EXPECT_TRUE(hash);
    return hash.value_or(Hash128{});
  }

  test::TempDirectory directory_;
  std::mt19937_64 random_{test::test_seed()};
};

TEST_F(LocalTreeTest, HasTheNodesOfTheManifest) {
  for (const std::uint32_t count : {0u, 1u, 255u, 256u, 257u, 65'536u, 65'537u, 66'000u}) {
    const auto pages = random_pages(count);
    const PageHashes manifest = hashes_of(pages);
    const LocalTree tree = tree_of(pages);
    for (std::uint32_t level = 0; level <= manifest.height(); ++level) {
      for (std::uint32_t i = 0; i < manifest.node_count(level) + 3; ++i) {
        ASSERT_EQ(node(tree, level, i), manifest.node(level, i))
            << count << ": " << level << " " << i;
      }
    }
  }
}

// The primary's tree may be higher: above the local root there is only the local root.
TEST_F(LocalTreeTest, IsComparedWithATreeOfAnyOtherHeight) {
  for (const std::uint32_t local : {0u, 1u, 256u, 300u, 65'537u}) {
    auto pages = random_pages(local);
    const LocalTree tree = tree_of(pages);
    for (const std::uint32_t count : {0u, 1u, 256u, 257u, 65'600u}) {
      auto theirs = pages;
      theirs.resize(count);
      for (std::uint32_t i = local; i < count; ++i) theirs[i] = {random_(), random_()};
      if (count > 0) theirs[random_() % count] = {random_(), random_()};
      const PageHashes manifest = hashes_of(theirs);
      // Down the paths to what differs, as a reconcile goes.
      std::vector<std::uint32_t> nodes{0};
      for (std::uint32_t level = manifest.height(); level > 0; --level) {
        std::vector<std::uint32_t> differing;
        for (const std::uint32_t number : nodes) {
          for (std::uint32_t i = 0; i < kTreeFanout; ++i) {
            const std::uint32_t child = number * kTreeFanout + i;
            if (child >= manifest.node_count(level - 1)) break;
            if (node(tree, level - 1, child) != manifest.node(level - 1, child)) {
              differing.push_back(child);
            }
          }
        }
        nodes = std::move(differing);
      }
      std::vector<std::uint32_t> expected;
      for (std::uint32_t i = 0; i < count; ++i) {
        if (i >= local || pages[i] != theirs[i]) expected.push_back(i);
      }
      ASSERT_EQ(nodes, expected) << local << " " << count;
    }
  }
}

TEST_F(LocalTreeTest, PassesOnThatAPageCannotBeRead) {
  const LocalTree tree({Hash128{1, 1}}, 3, [](std::uint32_t) -> Result<Hash128> {
    return fail(ErrorCode::kIo, "a bad sector");
  });
  EXPECT_EQ(tree.node(0, 2).error().message, "a bad sector");
  EXPECT_EQ(node(tree, 0, 3), Hash128{});
  EXPECT_EQ(node(tree, 1, 0), (Hash128{1, 1}));
}

}  // namespace
}  // namespace walferry::engine
