/// A VFS over SQLite's "unix" that asks a hook before each operation that can leave something
/// half done: writes, syncs and truncations of the database and its WAL, and every call that
/// touches the wal-index. The hook may count, record, end the process, pause the caller, or answer
/// with a SQLite error code in place of the operation.
///
/// Thread safety: the hook is called on the thread of the operation, one call at a time. It is
/// global to the process: arm it in a forked child, or before other threads use the VFS.
#pragma once

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace walferry::test {

enum class FaultPoint {
  kWriteDatabase,
  kWriteWal,
  kTruncateDatabase,
  kTruncateWal,
  kSyncDatabase,
  kSyncWal,
  kShmMap,
  kShmLock,
  kShmUnlock,
  kShmBarrier,
};

struct FaultCall {
  FaultPoint point;
  std::uint64_t number;              ///< of the call, counted from 0 since arm()
  std::string path;                  ///< of the database or the WAL
  std::uint64_t offset = 0;          ///< of a write; the new size for a truncation
  std::span<const std::byte> bytes;  ///< of a write

  [[nodiscard]] bool changes_a_file() const noexcept { return point <= FaultPoint::kTruncateWal; }
  [[nodiscard]] bool syncs() const noexcept {
    return point == FaultPoint::kSyncDatabase || point == FaultPoint::kSyncWal;
  }
  [[nodiscard]] bool on_wal() const noexcept {
    return point == FaultPoint::kWriteWal || point == FaultPoint::kTruncateWal ||
           point == FaultPoint::kSyncWal;
  }
};

/// Called before the operation: SQLITE_OK lets it happen, anything else is its answer.
using FaultHook = std::function<int(const FaultCall&)>;

/// The name to open databases with; the first call registers the VFS.
const char* fault_vfs();
/// While one exists, every connection of the process that names no VFS goes through it.
class FaultVfsByDefault {
 public:
  FaultVfsByDefault();
  ~FaultVfsByDefault();
  FaultVfsByDefault(const FaultVfsByDefault&) = delete;
  FaultVfsByDefault& operator=(const FaultVfsByDefault&) = delete;
};
void arm_faults(FaultHook hook);
void disarm_faults();
/// How many operations there were since arm_faults().
std::uint64_t fault_calls();

}  // namespace walferry::test
