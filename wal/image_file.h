/// The image of a database that is being fetched for the first time: a file of ours beside the
/// place where the database will appear, filled page by page, proven, and then renamed.
///
/// Memory: a page at a time. Not thread safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "wal/own_file.h"
#include "wal/page_hash.h"
#include "wal/page_set.h"
#include "wal/wal_format.h"
#include "walferry/error.hpp"

namespace walferry::wal {

class ImageFile {
 public:
  /// Opens the image, empty when `pages_done` is 0. What an earlier life left in it is read and
  /// hashed at the end: a power cut may have taken any of it.
  static Result<ImageFile> open(const std::filesystem::path& path, std::uint32_t page_size,
                                std::uint32_t pages_done);

  OwnFile& file() noexcept { return file_; }
  [[nodiscard]] std::uint32_t pages_done() const noexcept { return pages_done_; }
  [[nodiscard]] FileIdentity identity() const noexcept { return identify(file_.path()); }

  /// The next pages in order: they are hashed on the way.
  Status append(std::uint32_t first, std::span<const std::byte> pages);
  /// The snapshot goes on behind `page`, the lock-byte page, which it leaves out.
  void skip_to(std::uint32_t page) noexcept { pages_done_ = page; }
  /// A page that replaces what there is.
  Status put(std::uint32_t page, std::span<const std::byte> bytes);
  /// Whether every page up to `page_count` was appended or put.
  [[nodiscard]] bool covers(std::uint32_t page_count) noexcept;

  /// Cuts the image to `page_count` pages and returns its root.
  Result<Hash128> finish(std::uint32_t page_count);
  /// Puts the guard into page 1 and makes the image durable.
  Status seal();

 private:
  Result<Hash128> hash_of(std::uint32_t page);

  OwnFile file_;
  std::uint32_t page_size_ = 0;
  std::uint32_t pages_done_ = 0;
  Hash128 sum_;
  bool sum_known_ = true;
  PageSet put_beyond_;         ///< pages put beyond pages_done_
  std::uint32_t covered_ = 0;  ///< covers() has found every page up to here
};

}  // namespace walferry::wal
