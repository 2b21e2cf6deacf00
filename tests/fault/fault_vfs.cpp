#include "tests/fault/fault_vfs.h"

#include <mutex>
#include <new>
#include <utility>

namespace walferry::test {

namespace {

struct FaultFile {
  sqlite3_file base;
  sqlite3_file* real;
  const char* path;
  bool is_wal;
  bool is_watched;
};

struct Switchboard {
  std::recursive_mutex mutex;
  FaultHook hook;
  std::uint64_t calls = 0;
};

Switchboard& switchboard() {
  static Switchboard board;
  return board;
}

FaultFile* wrapper_of(sqlite3_file* file) { return reinterpret_cast<FaultFile*>(file); }
sqlite3_file* real_of(sqlite3_file* file) { return wrapper_of(file)->real; }
const sqlite3_io_methods* methods_of(sqlite3_file* file) { return real_of(file)->pMethods; }

int ask(sqlite3_file* file, FaultPoint point, std::uint64_t offset = 0,
        std::span<const std::byte> bytes = {}) {
  const FaultFile* wrapper = wrapper_of(file);
  Switchboard& board = switchboard();
  const std::lock_guard lock(board.mutex);
  if (!board.hook || !wrapper->is_watched) return SQLITE_OK;
  return board.hook({point, board.calls++, wrapper->path, offset, bytes});
}

FaultPoint choose(sqlite3_file* file, FaultPoint database, FaultPoint wal) {
  return wrapper_of(file)->is_wal ? wal : database;
}

int close_file(sqlite3_file* file) {
  const int rc = methods_of(file) != nullptr ? methods_of(file)->xClose(real_of(file)) : SQLITE_OK;
  file->pMethods = nullptr;
  return rc;
}

int read_file(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
  return methods_of(file)->xRead(real_of(file), to, size, offset);
}

int write_file(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
  const std::span bytes(static_cast<const std::byte*>(from), static_cast<std::size_t>(size));
  const int answer = ask(file, choose(file, FaultPoint::kWriteDatabase, FaultPoint::kWriteWal),
                         static_cast<std::uint64_t>(offset), bytes);
  return answer != SQLITE_OK ? answer : methods_of(file)->xWrite(real_of(file), from, size, offset);
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  const int answer =
      ask(file, choose(file, FaultPoint::kTruncateDatabase, FaultPoint::kTruncateWal),
          static_cast<std::uint64_t>(size));
  return answer != SQLITE_OK ? answer : methods_of(file)->xTruncate(real_of(file), size);
}

int sync_file(sqlite3_file* file, int flags) {
  const int answer = ask(file, choose(file, FaultPoint::kSyncDatabase, FaultPoint::kSyncWal));
  return answer != SQLITE_OK ? answer : methods_of(file)->xSync(real_of(file), flags);
}

int size_of_file(sqlite3_file* file, sqlite3_int64* size) {
  return methods_of(file)->xFileSize(real_of(file), size);
}
int lock_file(sqlite3_file* file, int level) {
  return methods_of(file)->xLock(real_of(file), level);
}
int unlock_file(sqlite3_file* file, int level) {
  return methods_of(file)->xUnlock(real_of(file), level);
}
int check_reserved_lock(sqlite3_file* file, int* answer) {
  return methods_of(file)->xCheckReservedLock(real_of(file), answer);
}
int control_file(sqlite3_file* file, int operation, void* argument) {
  return methods_of(file)->xFileControl(real_of(file), operation, argument);
}
int sector_size(sqlite3_file* file) { return methods_of(file)->xSectorSize(real_of(file)); }
int device_characteristics(sqlite3_file* file) {
  return methods_of(file)->xDeviceCharacteristics(real_of(file));
}

int map_shm(sqlite3_file* file, int region, int size, int extend, void volatile** mapped) {
  const int answer = ask(file, FaultPoint::kShmMap, static_cast<std::uint64_t>(region));
  return answer != SQLITE_OK
             ? answer
             : methods_of(file)->xShmMap(real_of(file), region, size, extend, mapped);
}

int lock_shm(sqlite3_file* file, int offset, int count, int flags) {
  const bool unlocks = (flags & SQLITE_SHM_UNLOCK) != 0;
  const int answer = ask(file, unlocks ? FaultPoint::kShmUnlock : FaultPoint::kShmLock,
                         static_cast<std::uint64_t>(offset));
  return answer != SQLITE_OK ? answer
                             : methods_of(file)->xShmLock(real_of(file), offset, count, flags);
}

void barrier_shm(sqlite3_file* file) {
  (void)ask(file, FaultPoint::kShmBarrier);
  methods_of(file)->xShmBarrier(real_of(file));
}

int unmap_shm(sqlite3_file* file, int remove) {
  return methods_of(file)->xShmUnmap(real_of(file), remove);
}
int fetch_page(sqlite3_file* file, sqlite3_int64 offset, int size, void** page) {
  return methods_of(file)->xFetch(real_of(file), offset, size, page);
}
int unfetch_page(sqlite3_file* file, sqlite3_int64 offset, void* page) {
  return methods_of(file)->xUnfetch(real_of(file), offset, page);
}

constexpr sqlite3_io_methods kMethods = {3,
                                         close_file,
                                         read_file,
                                         write_file,
                                         truncate_file,
                                         sync_file,
                                         size_of_file,
                                         lock_file,
                                         unlock_file,
                                         check_reserved_lock,
                                         control_file,
                                         sector_size,
                                         device_characteristics,
                                         map_shm,
                                         lock_shm,
                                         barrier_shm,
                                         unmap_shm,
                                         fetch_page,
                                         unfetch_page};

sqlite3_vfs* real_vfs() { return sqlite3_vfs_find("unix"); }

int open_file(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  FaultFile* wrapper = new (file) FaultFile{};
  wrapper->real = reinterpret_cast<sqlite3_file*>(wrapper + 1);
  wrapper->path = path;
  wrapper->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
  wrapper->is_watched = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB)) != 0;
  const int rc = real_vfs()->xOpen(real_vfs(), path, wrapper->real, flags, out_flags);
  wrapper->base.pMethods = wrapper->real->pMethods != nullptr ? &kMethods : nullptr;
  return rc;
}

sqlite3_vfs make_vfs() {
  sqlite3_vfs vfs = *real_vfs();
  vfs.zName = "walferry-fault";
  vfs.szOsFile += static_cast<int>(sizeof(FaultFile));
  vfs.pNext = nullptr;
  vfs.xOpen = open_file;
  return vfs;
}

}  // namespace

const char* fault_vfs() {
  static sqlite3_vfs vfs = make_vfs();
  static const int registered = sqlite3_vfs_register(&vfs, 0);
  return registered == SQLITE_OK ? vfs.zName : nullptr;
}

FaultVfsByDefault::FaultVfsByDefault() {
  (void)real_vfs();  // found before the default changes
  sqlite3_vfs_register(sqlite3_vfs_find(fault_vfs()), 1);
}

FaultVfsByDefault::~FaultVfsByDefault() { sqlite3_vfs_register(real_vfs(), 1); }

void arm_faults(FaultHook hook) {
  const std::lock_guard lock(switchboard().mutex);
  switchboard().hook = std::move(hook);
  switchboard().calls = 0;
}

void disarm_faults() { arm_faults({}); }

std::uint64_t fault_calls() {
  const std::lock_guard lock(switchboard().mutex);
  return switchboard().calls;
}

}  // namespace walferry::test
