/// The hash of every page of one state, in a file, and the tree of sums above them.
///
/// Level 0 of the tree is the hashes of the pages; a node of level n is the sum of its up to 256
/// children of level n-1; the root is the sum of all. The file is a plain array of 16-byte
/// hashes (page 1 first), mapped into memory; the levels above it live in memory.
/// The lock-byte page's entry is always 0.
///
/// Thread safety: one writer; readers on other threads take the lock of their owner.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "wal/own_file.h"
#include "wal/page_hash.h"
#include "walferry/error.hpp"

namespace walferry::wal {

inline constexpr std::uint32_t kTreeFanout = 256;

class PageHashes {
 public:
  /// Opens or creates the array file; its sums are computed from what it holds.
  static Result<PageHashes> open(const std::filesystem::path& path);
  PageHashes() = default;
  PageHashes(PageHashes&& other) noexcept;
  PageHashes& operator=(PageHashes&& other) noexcept;
  ~PageHashes();

  [[nodiscard]] std::uint32_t page_count() const noexcept { return page_count_; }
  [[nodiscard]] Hash128 root() const noexcept { return root_; }
  [[nodiscard]] Hash128 get(std::uint32_t page) const noexcept;
  void set(std::uint32_t page, const Hash128& hash) noexcept;
  /// Grows with hashes of 0, or drops the pages beyond.
  Status resize(std::uint32_t page_count);
  Status sync();

  /// How many levels there are below the root's single node.
  [[nodiscard]] std::uint32_t height() const noexcept {
    return static_cast<std::uint32_t>(sums_.size());
  }
  [[nodiscard]] std::uint32_t node_count(std::uint32_t level) const noexcept;
  [[nodiscard]] Hash128 node(std::uint32_t level, std::uint32_t number) const noexcept;

 private:
  Status map_at_least(std::uint64_t pages);
  void rebuild_sums();

  OwnFile file_;
  std::byte* map_ = nullptr;
  std::uint64_t capacity_ = 0;  ///< entries mapped
  std::uint32_t page_count_ = 0;
  Hash128 root_;
  std::vector<std::vector<Hash128>> sums_;  ///< [n] is level n+1
};

}  // namespace walferry::wal
