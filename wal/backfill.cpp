#include "wal/backfill.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "wal/byte_order.h"
#include "wal/sqlite_api.h"

namespace walferry::wal {

namespace {

constexpr std::uint32_t kFramesAtOnce = 64 * 1024;  // bounds the memory of the page map

/// Lowers `target` to what no reader forbids, moving unused marks out of the way. False when
/// scope is kWhole and a reader is in the way.
bool clear_read_marks(WalIndex& index, BackfillScope scope, std::uint32_t& target,
                      BackfillResult& result) {
  for (int i = 1; i < 5; ++i) {
    const std::uint32_t mark = index.read_mark(i);
    if (target <= mark) continue;
    if (auto lock = SlotLock::try_take(index, WalIndex::read_slot(i))) {
      index.set_read_mark(i, i == 1 ? target : kReadMarkUnused);
      continue;
    }
    result.reader_in_the_way = true;
    if (scope == BackfillScope::kWhole) return false;
    target = mark;
  }
  return true;
}

/// Copies the newest version, among frames (from, to], of each page into the database.
Status copy_pages(DatabaseHandle& handle, std::uint32_t page_count, std::uint32_t from,
                  std::uint32_t to, BackfillResult& result) {
  const std::uint32_t page_size = handle.page_size();
  const std::uint32_t lock_page = lock_byte_page(page_size);
  std::vector<std::byte> page(page_size);
  std::unordered_map<std::uint32_t, std::uint32_t> newest;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ordered;
  while (from < to) {
    const std::uint32_t end = from + std::min(to - from, kFramesAtOnce);
    newest.clear();
    for (std::uint32_t frame = from + 1; frame <= end; ++frame) {
      auto number = handle.index().page_of_frame(frame);
      if (!number) return fail(number.error());
      if (*number <= page_count && *number != lock_page) newest[*number] = frame;
    }
    ordered.assign(newest.begin(), newest.end());
    std::ranges::sort(ordered);
    for (const auto& [number, frame] : ordered) {
      Status done = handle.read_wal(page, frame_offset(frame, page_size) + kFrameHeaderSize);
      if (done) done = handle.write_database(page, std::uint64_t{number - 1} * page_size);
      if (!done) return done;
      ++result.pages_written;
    }
    from = end;
  }
  return {};
}

}  // namespace

Result<BackfillResult> backfill(DatabaseHandle& handle, const IndexHeader& header,
                                std::uint32_t limit, BackfillScope scope) {
  WalIndex& index = handle.index();
  BackfillResult result;
  result.backfilled = index.backfill();
  std::uint32_t target = std::min(limit, header.max_frame);
  if (target <= result.backfilled) return result;
  if (!clear_read_marks(index, scope, target, result) || target <= result.backfilled) return result;

  auto read0 = SlotLock::try_take(index, Slot::kRead0);
  if (!read0) {
    result.reader_in_the_way = true;
    return result;
  }
  index.set_backfill_attempted(target);
  if (Status synced = handle.sync_wal(); !synced) return fail(synced.error());
  if (Status copied = copy_pages(handle, header.page_count, result.backfilled, target, result);
      !copied) {
    return fail(copied.error());
  }
  const auto now = index.read_header();
  if (now && now->max_frame == target && now->salts == header.salts) {
    const Status cut =
        handle.truncate_database(std::uint64_t{now->page_count} * handle.page_size());
    if (!cut) return fail(cut.error());
  }
  if (Status synced = handle.sync_database(); !synced) return fail(synced.error());
  index.set_backfill(target);
  result.backfilled = target;
  return result;
}

Result<bool> restart_log(DatabaseHandle& handle, IndexHeader& header) {
  WalIndex& index = handle.index();
  if (index.backfill() != header.max_frame) return false;
  auto readers = SlotLock::try_take(index, Slot::kRead1, 4);
  if (!readers) return false;
  index.set_backfill(0);
  index.barrier();
  header.max_frame = 0;
  store_be(header.salts.data(), load_be<std::uint32_t>(header.salts.data()) + 1);
  sqlite().randomness(4, header.salts.data() + 4);
  index.publish(header);
  index.set_backfill_attempted(0);
  index.set_read_mark(1, 0);
  for (int i = 2; i < 5; ++i) index.set_read_mark(i, kReadMarkUnused);
  return true;
}

Result<bool> repair_index(DatabaseHandle& handle) {
  WalIndex& index = handle.index();
  bool mended = false;
  auto header = index.read_header();
  if (!header) {
    header = index.intact_copy();
    if (!header) {
      return fail(ErrorCode::kCorrupt,
                  handle.shm_path().string() + ": neither copy of the wal-index header is intact");
    }
    index.publish(*header);
    mended = true;
  }
  if (index.backfill() > header->max_frame) {
    index.set_backfill(0);
    mended = true;
  }
  return mended;
}

}  // namespace walferry::wal
