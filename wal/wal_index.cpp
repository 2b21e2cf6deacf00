#include "wal/wal_index.h"

#include <cstring>
#include <string>

namespace walferry::wal {

namespace {

constexpr int kRegionSize = 32 * 1024;
constexpr std::uint32_t kPagesPerRegion = 4096;
constexpr std::uint32_t kHashSlots = 8192;
constexpr std::uint32_t kIndexHeaderWords = 34;  // 136 bytes at the start of region 0
constexpr std::uint32_t kPagesInFirstRegion = kPagesPerRegion - kIndexHeaderWords;
constexpr std::size_t kCheckpointInfoOffset = 96;

std::uint32_t region_of_frame(std::uint32_t frame) {
  return (frame + kPagesPerRegion - kPagesInFirstRegion - 1) / kPagesPerRegion;
}

std::uint32_t hash_of_page(std::uint32_t page) { return (page * 383u) & (kHashSlots - 1); }

std::array<std::uint32_t, 2> header_checksum(const IndexHeader& header) {
  std::array<std::byte, 40> bytes;
  std::memcpy(bytes.data(), &header, bytes.size());
  const bool big = std::endian::native == std::endian::big;
  const Checksum sum = extend_checksum({}, bytes, big);
  return {sum.first, sum.second};
}

bool is_intact(const IndexHeader& header) {
  return header.is_init == 1 && header.version == kWalVersion &&
         header_checksum(header) == header.checksum;
}

// The two memcpy below and the barrier between them are all that may stand between the copies:
// whoever is frozen or killed there leaves every other process waiting.
IndexHeader copy_out(const volatile std::uint32_t* region, std::size_t offset) {
  IndexHeader header;
  std::memcpy(&header,
              const_cast<const char*>(reinterpret_cast<const volatile char*>(region)) + offset,
              sizeof header);
  return header;
}

void copy_in(volatile std::uint32_t* region, std::size_t offset, const IndexHeader& header) {
  std::memcpy(const_cast<char*>(reinterpret_cast<volatile char*>(region)) + offset, &header,
              sizeof header);
}

std::uint32_t* info_word(volatile std::uint32_t* region, std::size_t offset_in_info) {
  return const_cast<std::uint32_t*>(region) + (kCheckpointInfoOffset + offset_in_info) / 4;
}

constexpr std::size_t kBackfillOffset = offsetof(CheckpointInfo, backfill);
constexpr std::size_t kAttemptedOffset = offsetof(CheckpointInfo, backfill_attempted);
std::size_t mark_offset(int i) {
  return offsetof(CheckpointInfo, read_mark) + static_cast<std::size_t>(i) * 4;
}

}  // namespace

/// One region's page numbers and hash table. `zero` is the number of the frame before its first.
struct WalIndex::Segment {
  volatile std::uint32_t* pages;
  std::uint16_t* hash;
  std::uint32_t zero;

  [[nodiscard]] std::uint16_t slot(std::uint32_t i) const noexcept {
    return __atomic_load_n(&hash[i], __ATOMIC_RELAXED);
  }
  void set_slot(std::uint32_t i, std::uint16_t value) const noexcept {
    __atomic_store_n(&hash[i], value, __ATOMIC_RELAXED);
  }
};

Status WalIndex::map() {
  const auto* methods = file_->pMethods;
  if (methods == nullptr || methods->iVersion < 2 || methods->xShmMap == nullptr) {
    return fail(ErrorCode::kUnsupported,
                "this VFS has no shared memory: use SQLite's default \"unix\" VFS");
  }
  auto first = region(0);
  if (!first) return fail(first.error());
  return {};
}

Result<volatile std::uint32_t*> WalIndex::region(std::uint32_t number) {
  if (number < regions_.size() && regions_[number] != nullptr) return regions_[number];
  volatile void* mapped = nullptr;
  const int rc = file_->pMethods->xShmMap(file_, static_cast<int>(number), kRegionSize, 1, &mapped);
  if (rc != SQLITE_OK || mapped == nullptr) {
    const auto code =
        rc == SQLITE_FULL || rc == SQLITE_IOERR_SHMSIZE ? ErrorCode::kNoSpace : ErrorCode::kIo;
    return fail(code, "the -shm file cannot be mapped or extended (SQLite code " +
                          std::to_string(rc) + "): check free space and permissions");
  }
  if (regions_.size() <= number) regions_.resize(number + 1, nullptr);
  regions_[number] = static_cast<volatile std::uint32_t*>(mapped);
  return regions_[number];
}

std::optional<IndexHeader> WalIndex::read_header() const noexcept {
  const IndexHeader first = copy_out(regions_[0], 0);
  barrier();
  const IndexHeader second = copy_out(regions_[0], sizeof(IndexHeader));
  if (std::memcmp(&first, &second, sizeof first) != 0 || !is_intact(first)) return {};
  return first;
}

std::optional<IndexHeader> WalIndex::intact_copy() const noexcept {
  const IndexHeader first = copy_out(regions_[0], 0);
  if (is_intact(first)) return first;
  const IndexHeader second = copy_out(regions_[0], sizeof(IndexHeader));
  if (is_intact(second)) return second;
  return {};
}

void WalIndex::publish(IndexHeader header) noexcept {
  header.version = kWalVersion;
  header.is_init = 1;
  header.checksum = header_checksum(header);
  barrier();  // hash entries before the header that makes them count
  copy_in(regions_[0], sizeof(IndexHeader), header);
  barrier();
  copy_in(regions_[0], 0, header);
}

std::uint32_t WalIndex::backfill() const noexcept {
  return __atomic_load_n(info_word(regions_[0], kBackfillOffset), __ATOMIC_SEQ_CST);
}
void WalIndex::set_backfill(std::uint32_t frames) noexcept {
  __atomic_store_n(info_word(regions_[0], kBackfillOffset), frames, __ATOMIC_SEQ_CST);
}
std::uint32_t WalIndex::backfill_attempted() const noexcept {
  return __atomic_load_n(info_word(regions_[0], kAttemptedOffset), __ATOMIC_SEQ_CST);
}
void WalIndex::set_backfill_attempted(std::uint32_t frames) noexcept {
  __atomic_store_n(info_word(regions_[0], kAttemptedOffset), frames, __ATOMIC_SEQ_CST);
}
std::uint32_t WalIndex::read_mark(int i) const noexcept {
  return __atomic_load_n(info_word(regions_[0], mark_offset(i)), __ATOMIC_SEQ_CST);
}
void WalIndex::set_read_mark(int i, std::uint32_t mark) noexcept {
  __atomic_store_n(info_word(regions_[0], mark_offset(i)), mark, __ATOMIC_SEQ_CST);
}

void WalIndex::barrier() const noexcept { file_->pMethods->xShmBarrier(file_); }

bool WalIndex::try_lock(Slot slot, int count) noexcept {
  return file_->pMethods->xShmLock(file_, static_cast<int>(slot), count,
                                   SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE) == SQLITE_OK;
}

void WalIndex::unlock(Slot slot, int count) noexcept {
  file_->pMethods->xShmLock(file_, static_cast<int>(slot), count,
                            SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
}

Result<WalIndex::Segment> WalIndex::segment(std::uint32_t number) {
  auto base = region(number);
  if (!base) return fail(base.error());
  Segment segment{};
  auto* words = const_cast<std::uint32_t*>(*base);
  segment.hash = reinterpret_cast<std::uint16_t*>(words + kPagesPerRegion);
  if (number == 0) {
    segment.pages = *base + kIndexHeaderWords;
    segment.zero = 0;
  } else {
    segment.pages = *base;
    segment.zero = kPagesInFirstRegion + (number - 1) * kPagesPerRegion;
  }
  return segment;
}

Result<std::uint32_t> WalIndex::find_frame(std::uint32_t page, std::uint32_t last) {
  if (last == 0) return 0u;
  for (std::uint32_t number = region_of_frame(last) + 1; number-- > 0;) {
    auto seg = segment(number);
    if (!seg) return fail(seg.error());
    std::uint32_t found = 0;
    std::uint32_t key = hash_of_page(page);
    for (std::uint32_t probes = 0; probes <= kHashSlots; ++probes) {
      const std::uint16_t index = seg->slot(key);
      if (index == 0) break;
      if (probes == kHashSlots) {
        return fail(ErrorCode::kCorrupt, "the wal-index has a full hash table");
      }
      const std::uint32_t frame = seg->zero + index;
      if (frame <= last && seg->pages[index - 1] == page) found = frame;
      key = (key + 1) & (kHashSlots - 1);
    }
    if (found != 0) return found;
  }
  return 0u;
}

Result<std::uint32_t> WalIndex::page_of_frame(std::uint32_t frame) {
  auto seg = segment(region_of_frame(frame));
  if (!seg) return fail(seg.error());
  return std::uint32_t{seg->pages[frame - seg->zero - 1]};
}

Status WalIndex::append(std::uint32_t frame, std::uint32_t page) {
  auto seg = segment(region_of_frame(frame));
  if (!seg) return fail(seg.error());
  const std::uint32_t index = frame - seg->zero;
  if (index == 1) {
    // The first entry of a region: whatever an earlier log left in it goes.
    auto* begin = const_cast<std::uint32_t*>(seg->pages);
    auto* end = reinterpret_cast<std::byte*>(seg->hash + kHashSlots);
    std::memset(begin, 0, static_cast<std::size_t>(end - reinterpret_cast<std::byte*>(begin)));
  }
  std::uint32_t key = hash_of_page(page);
  for (std::uint32_t probes = 0; seg->slot(key) != 0; ++probes) {
    if (probes == kHashSlots) {
      return fail(ErrorCode::kCorrupt, "the wal-index has a full hash table");
    }
    key = (key + 1) & (kHashSlots - 1);
  }
  seg->pages[index - 1] = page;
  seg->set_slot(key, static_cast<std::uint16_t>(index));
  return {};
}

Status WalIndex::clear_beyond(std::uint32_t max_frame) {
  if (max_frame == 0) return {};  // append() clears a region when it enters its first frame
  auto seg = segment(region_of_frame(max_frame));
  if (!seg) return fail(seg.error());
  const std::uint32_t limit = max_frame - seg->zero;
  for (std::uint32_t i = 0; i < kHashSlots; ++i) {
    if (seg->slot(i) > limit) seg->set_slot(i, 0);
  }
  auto* begin = const_cast<std::uint32_t*>(seg->pages) + limit;
  auto* end = reinterpret_cast<std::byte*>(seg->hash);
  std::memset(begin, 0, static_cast<std::size_t>(end - reinterpret_cast<std::byte*>(begin)));
  return {};
}

}  // namespace walferry::wal
