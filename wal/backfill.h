/// Moves frames of the WAL into the database file, as SQLite's checkpoint does
/// (https://sqlite.org/walformat.html), through the raw files of a handle that owns CKPT.
///
/// The order is what makes it safe against a kill or a power cut at any point: nBackfillAttempted,
/// sync of the WAL, pages, sync of the database, nBackfill.
#pragma once

#include <cstdint>

#include "wal/database_handle.h"
#include "walferry/error.hpp"

namespace walferry::wal {

enum class BackfillScope {
  /// Up to the lowest mark that a reader holds. WRITE is not needed.
  kUpToReaders,
  /// All or nothing: a reader in the way means that no page is written. WRITE must be held.
  kWhole,
};

struct BackfillResult {
  std::uint32_t backfilled = 0;  ///< nBackfill afterwards
  std::uint64_t pages_written = 0;
  bool reader_in_the_way = false;  ///< a reader kept some or all of it from being done
};

/// Backfills frames up to `limit` (at most header.max_frame). CKPT must be held.
Result<BackfillResult> backfill(DatabaseHandle& handle, const IndexHeader& header,
                                std::uint32_t limit, BackfillScope scope);

/// Begins a new log in place: all frames must be backfilled, CKPT and WRITE held. False when a
/// reader still uses the old log. The order of the stores (nBackfill, header, marks) is the one
/// that loses nothing when we are killed in between; SQLite's own order would.
/// `header` is updated to what was published.
Result<bool> restart_log(DatabaseHandle& handle, IndexHeader& header);

/// Mends a wal-index that a killed process left unusable: a header whose copies differ, or an
/// nBackfill beyond the last frame. CKPT and WRITE must be held. True when something was mended.
Result<bool> repair_index(DatabaseHandle& handle);

}  // namespace walferry::wal
