#include "wal/page_hashes.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace walferry::wal {

namespace {

constexpr std::uint64_t kGrowth = std::uint64_t{64} << 10;  // entries: 1 MiB of file at a time

std::uint32_t parents_of(std::uint32_t count) { return (count + kTreeFanout - 1) / kTreeFanout; }

}  // namespace

Result<PageHashes> PageHashes::open(const std::filesystem::path& path) {
  auto file = OwnFile::open(path, OwnFile::Mode::kCreate);
  if (!file) return fail(file.error());
  auto size = file->size();
  if (!size) return fail(size.error());
  PageHashes hashes;
  hashes.file_ = std::move(*file);
  const std::uint64_t entries = *size / Hash128::kSize;
  if (Status mapped = hashes.map_at_least(std::max<std::uint64_t>(entries, 1)); !mapped) {
    return fail(mapped.error());
  }
  // Entries beyond the last page are 0; so are those of pages never written, which then simply
  // do not count until resize() says how many pages there are.
  std::uint64_t count = std::min<std::uint64_t>(entries, UINT32_MAX - 1);
  while (count > 0 && Hash128::load(hashes.map_ + (count - 1) * Hash128::kSize) == Hash128{})
    --count;
  hashes.page_count_ = static_cast<std::uint32_t>(count);
  hashes.rebuild_sums();
  return hashes;
}

PageHashes::PageHashes(PageHashes&& other) noexcept { *this = std::move(other); }

PageHashes& PageHashes::operator=(PageHashes&& other) noexcept {
  if (this != &other) {
    if (map_ != nullptr) ::munmap(map_, capacity_ * Hash128::kSize);
    file_ = std::move(other.file_);
    map_ = std::exchange(other.map_, nullptr);
    capacity_ = std::exchange(other.capacity_, 0);
    page_count_ = std::exchange(other.page_count_, 0);
    root_ = std::exchange(other.root_, {});
    sums_ = std::move(other.sums_);
  }
  return *this;
}

PageHashes::~PageHashes() {
  if (map_ != nullptr) ::munmap(map_, capacity_ * Hash128::kSize);
}

Status PageHashes::map_at_least(std::uint64_t pages) {
  if (pages <= capacity_) return {};
  const std::uint64_t capacity = (pages + kGrowth - 1) / kGrowth * kGrowth;
  // Space is reserved first: writing to a mapped hole of a full disk would be a SIGBUS.
  const int failed =
      ::posix_fallocate(file_.descriptor(), 0, static_cast<off_t>(capacity * Hash128::kSize));
  if (failed != 0) return fail(system_error(failed, "extending " + file_.path().string()));
  if (map_ != nullptr) ::munmap(map_, capacity_ * Hash128::kSize);
  void* mapped = ::mmap(nullptr, capacity * Hash128::kSize, PROT_READ | PROT_WRITE, MAP_SHARED,
                        file_.descriptor(), 0);
  if (mapped == MAP_FAILED) {
    map_ = nullptr;
    capacity_ = 0;
    return fail(system_error(errno, "mapping " + file_.path().string()));
  }
  map_ = static_cast<std::byte*>(mapped);
  capacity_ = capacity;
  return {};
}

void PageHashes::rebuild_sums() {
  sums_.clear();
  root_ = {};
  std::uint32_t count = page_count_;
  do {
    const std::uint32_t level = static_cast<std::uint32_t>(sums_.size());
    std::vector<Hash128> above(std::max(parents_of(count), 1u));
    for (std::uint32_t i = 0; i < count; ++i) above[i / kTreeFanout] += node(level, i);
    sums_.push_back(std::move(above));
    count = static_cast<std::uint32_t>(sums_.back().size());
  } while (count > 1);
  root_ = sums_.back()[0];
}

Hash128 PageHashes::get(std::uint32_t page) const noexcept {
  if (page == 0 || page > page_count_) return {};
  return Hash128::load(map_ + std::uint64_t{page - 1} * Hash128::kSize);
}

void PageHashes::set(std::uint32_t page, const Hash128& hash) noexcept {
  Hash128 change = hash;
  change -= get(page);
  hash.store(map_ + std::uint64_t{page - 1} * Hash128::kSize);
  root_ += change;
  std::uint32_t node = page - 1;
  for (auto& level : sums_) {
    node /= kTreeFanout;
    level[node] += change;
  }
}

Status PageHashes::resize(std::uint32_t page_count) {
  if (Status mapped = map_at_least(page_count); !mapped) return mapped;
  for (std::uint32_t page = page_count_; page > page_count; --page) set(page, {});
  page_count_ = page_count;
  // Grow or shrink the levels above; what is dropped sums to 0 by now, what is added is 0.
  std::uint32_t count = page_count;
  std::size_t level = 0;
  do {
    count = std::max(parents_of(count), 1u);
    if (level == sums_.size()) {
      sums_.emplace_back();
      // A level above the former top begins as the sum of the former top, which is the root.
      sums_.back().resize(1, root_);
    }
    sums_[level].resize(count);
    ++level;
  } while (count > 1);
  sums_.resize(level);
  return {};
}

Status PageHashes::sync() {
  if (::msync(map_, capacity_ * Hash128::kSize, MS_SYNC) != 0) {
    return fail(system_error(errno, "syncing " + file_.path().string()));
  }
  return file_.sync();
}

std::uint32_t PageHashes::node_count(std::uint32_t level) const noexcept {
  if (level == 0) return page_count_;
  return level <= sums_.size() ? static_cast<std::uint32_t>(sums_[level - 1].size()) : 0;
}

Hash128 PageHashes::node(std::uint32_t level, std::uint32_t number) const noexcept {
  if (level == 0) return get(number + 1);
  if (level > sums_.size() || number >= sums_[level - 1].size()) return {};
  return sums_[level - 1][number];
}

}  // namespace walferry::wal
