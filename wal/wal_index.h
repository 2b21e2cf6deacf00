/// The wal-index: SQLite's shared memory beside a database in WAL mode
/// (https://sqlite.org/walformat.html), reached through the public xShm methods of the database's
/// sqlite3_file.
///
///     offset  size  region 0 (each region is 32 KiB; integers in native byte order)
///          0    48  header, copy 1 (the one published last)
///         48    48  header, copy 2 (the one published first)
///         96     4  nBackfill: frames that are in the database file and synced
///        100    20  aReadMark[5]
///        120     8  lock bytes
///        128     4  nBackfillAttempted
///        132     4  unused
///        136        page numbers of frames 1..4062, then the hash table of 8192 16-bit slots
///
/// Further regions hold 4096 page numbers and a hash table each. A header is valid if and only if
/// both copies agree, it is initialised and its checksum is right.
///
/// Thread safety: none; one thread uses one WalIndex. The sqlite3_file must outlive it and belong
/// to a connection that runs no SQL any more (SQLite 3.40.1 gives away a lock that such a
/// connection holds when a statement on it runs recovery).
#pragma once

#include <sqlite3.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "wal/wal_format.h"
#include "walferry/error.hpp"

namespace walferry::wal {

/// One copy of the header, exactly as it lies in shared memory.
struct IndexHeader {
  std::uint32_t version = 0;
  std::uint32_t unused = 0;
  std::uint32_t change = 0;  ///< moves with every transaction: readers drop their caches
  std::uint8_t is_init = 0;
  std::uint8_t big_endian_words = 0;
  std::uint16_t page_size_code = 0;  ///< the page size; 1 stands for 65536
  std::uint32_t max_frame = 0;
  std::uint32_t page_count = 0;
  std::array<std::uint32_t, 2> frame_checksum{};
  Salts salts{};
  std::array<std::uint32_t, 2> checksum{};

  [[nodiscard]] std::uint32_t page_size() const noexcept {
    return (page_size_code & 0xfe00u) + ((page_size_code & 1u) << 16);
  }
  void set_page_size(std::uint32_t size) noexcept {
    page_size_code = static_cast<std::uint16_t>((size & 0xff00u) | (size >> 16));
  }
  [[nodiscard]] Checksum chain() const noexcept { return {frame_checksum[0], frame_checksum[1]}; }
  void set_chain(Checksum sum) noexcept { frame_checksum = {sum.first, sum.second}; }
};
static_assert(sizeof(IndexHeader) == 48 && offsetof(IndexHeader, max_frame) == 16 &&
              offsetof(IndexHeader, salts) == 32 && offsetof(IndexHeader, checksum) == 40);

struct CheckpointInfo {
  std::uint32_t backfill;
  std::array<std::uint32_t, 5> read_mark;
  std::array<std::uint8_t, 8> lock;
  std::uint32_t backfill_attempted;
  std::uint32_t unused;
};
static_assert(sizeof(CheckpointInfo) == 40 && offsetof(CheckpointInfo, backfill_attempted) == 32);

inline constexpr std::uint32_t kReadMarkUnused = 0xffffffff;

/// Lock slots of the wal-index.
enum class Slot : int { kWrite = 0, kCheckpoint = 1, kRecover = 2, kRead0 = 3, kRead1 = 4 };

class WalIndex {
 public:
  explicit WalIndex(sqlite3_file* database) noexcept : file_(database) {}
  WalIndex(const WalIndex&) = delete;
  WalIndex& operator=(const WalIndex&) = delete;

  /// Maps region 0. To be called once before anything else.
  Status map();

  /// The header, if it is valid at this moment.
  [[nodiscard]] std::optional<IndexHeader> read_header() const noexcept;
  /// The copy whose own checksum is right when the copies differ; the first is preferred.
  [[nodiscard]] std::optional<IndexHeader> intact_copy() const noexcept;
  /// Seals and publishes: second copy, barrier, first copy. WRITE must be held.
  void publish(IndexHeader header) noexcept;

  [[nodiscard]] std::uint32_t backfill() const noexcept;
  void set_backfill(std::uint32_t frames) noexcept;
  [[nodiscard]] std::uint32_t backfill_attempted() const noexcept;
  void set_backfill_attempted(std::uint32_t frames) noexcept;
  [[nodiscard]] std::uint32_t read_mark(int i) const noexcept;
  void set_read_mark(int i, std::uint32_t mark) noexcept;
  void barrier() const noexcept;

  /// Exclusive locks on `count` slots beginning with `slot`: true when taken.
  [[nodiscard]] bool try_lock(Slot slot, int count = 1) noexcept;
  void unlock(Slot slot, int count = 1) noexcept;
  static Slot read_slot(int i) noexcept {
    return static_cast<Slot>(static_cast<int>(Slot::kRead0) + i);
  }

  /// The newest frame <= `last` that holds `page`; 0 when there is none.
  Result<std::uint32_t> find_frame(std::uint32_t page, std::uint32_t last);
  /// The page number of frame `frame`.
  Result<std::uint32_t> page_of_frame(std::uint32_t frame);
  /// Enters `page` for `frame`. Frames are entered in ascending order; WRITE must be held.
  Status append(std::uint32_t frame, std::uint32_t page);
  /// Removes what a dead writer left beyond `max_frame`. WRITE must be held.
  Status clear_beyond(std::uint32_t max_frame);

 private:
  struct Segment;
  Result<volatile std::uint32_t*> region(std::uint32_t number);
  Result<Segment> segment(std::uint32_t number);

  sqlite3_file* file_;
  std::vector<volatile std::uint32_t*> regions_;
};

/// Holds slots of a WalIndex and lets go of them at the end of its life.
class SlotLock {
 public:
  static std::optional<SlotLock> try_take(WalIndex& index, Slot slot, int count = 1) {
    if (!index.try_lock(slot, count)) return {};
    return SlotLock(&index, slot, count);
  }
  SlotLock(SlotLock&& other) noexcept
      : index_(std::exchange(other.index_, nullptr)), slot_(other.slot_), count_(other.count_) {}
  SlotLock& operator=(SlotLock&& other) noexcept {
    if (this != &other) {
      release();
      index_ = std::exchange(other.index_, nullptr);
      slot_ = other.slot_;
      count_ = other.count_;
    }
    return *this;
  }
  ~SlotLock() { release(); }
  void release() noexcept {
    if (index_ != nullptr) std::exchange(index_, nullptr)->unlock(slot_, count_);
  }

 private:
  SlotLock(WalIndex* index, Slot slot, int count) : index_(index), slot_(slot), count_(count) {}
  WalIndex* index_;
  Slot slot_;
  int count_;
};

}  // namespace walferry::wal
