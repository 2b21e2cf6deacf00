#include "wal/database_handle.h"

#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "wal/page_hash.h"
#include "wal/sqlite_api.h"

namespace walferry::wal {

namespace {

// xRead and xWrite take at most 131,071 bytes: of more they look at the lowest 17 bits of the size.
constexpr std::size_t kMaxTransfer = std::size_t{64} << 10;

ErrorCode code_of(int rc) {
  switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return ErrorCode::kBusy;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return ErrorCode::kNotADatabase;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return ErrorCode::kReadOnly;
    case SQLITE_FULL:
      return ErrorCode::kNoSpace;
    default:
      return ErrorCode::kIo;
  }
}

const char* advice_of(int rc) {
  switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return " (another program holds it, perhaps with locking_mode=EXCLUSIVE: let it finish, "
             "or have it use the normal locking mode)";
    case SQLITE_NOTADB:
      return " (not a SQLite database, or an encrypted one: walferry publishes what stock SQLite "
             "can read)";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return " (the file and its directory must be writable, for the -wal and -shm files too)";
    case SQLITE_FULL:
      return " (free some space)";
    default:
      return "";
  }
}

Error sqlite_error(sqlite3* db, int rc, const std::string& what) {
  const int number = sqlite().system_errno(db);
  // SQLite calls it "unable to open database file", whose usual causes are others.
  if (number == EMFILE || number == ENFILE) return system_error(number, what);
  std::string text = what + ": " + sqlite().errmsg(db);
  if (number != 0 && (rc & 0xff) != SQLITE_NOTADB)
    text += std::string(", ") + std::system_category().message(number);
  return Error{code_of(rc), text + advice_of(rc)};
}

Error file_error(int rc, const std::string& what) {
  return Error{code_of(rc), what + ": SQLite code " + std::to_string(rc) + advice_of(rc)};
}

/// The same for an operation on an open file, whose VFS knows what the operating system said.
Error file_error(sqlite3_file* file, int rc, const std::string& what) {
  int number = 0;
  if ((rc & 0xff) == SQLITE_IOERR) {
    (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, static_cast<void*>(&number));
  }
  return number != 0 ? system_error(number, what) : file_error(rc, what);
}

Status read_file(sqlite3_file* file, std::span<std::byte> bytes, std::uint64_t offset,
                 const std::string& name) {
  while (!bytes.empty()) {
    const std::size_t n = std::min(bytes.size(), kMaxTransfer);
    const int rc = file->pMethods->xRead(file, bytes.data(), static_cast<int>(n),
                                         static_cast<sqlite3_int64>(offset));
    if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
      return fail(file_error(file, rc, "reading " + name));
    bytes = bytes.subspan(n);
    offset += n;
  }
  return {};
}

Status write_file(sqlite3_file* file, std::span<const std::byte> bytes, std::uint64_t offset,
                  const std::string& name) {
  while (!bytes.empty()) {
    const std::size_t n = std::min(bytes.size(), kMaxTransfer);
    const int rc = file->pMethods->xWrite(file, bytes.data(), static_cast<int>(n),
                                          static_cast<sqlite3_int64>(offset));
    if (rc != SQLITE_OK) return fail(file_error(file, rc, "writing " + name));
    bytes = bytes.subspan(n);
    offset += n;
  }
  return {};
}

/// The first column of the first row, as text.
Result<std::string> query_text(sqlite3* db, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  int rc = sqlite().prepare_v2(db, sql, -1, &statement, nullptr);
  if (rc != SQLITE_OK) return fail(sqlite_error(db, rc, sql));
  rc = sqlite().step(statement);
  std::string text;
  if (rc == SQLITE_ROW) {
    if (const auto* value = sqlite().column_text(statement, 0)) {
      text = reinterpret_cast<const char*>(value);
    }
  }
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
    Error error = sqlite_error(db, rc, sql);
    sqlite().finalize(statement);
    return fail(std::move(error));
  }
  sqlite().finalize(statement);
  return text;
}

Result<sqlite3*> open_connection(const std::filesystem::path& path, const HandleOptions& options) {
  sqlite3* db = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOMUTEX;
  const int rc = sqlite().open_v2(path.c_str(), &db, flags, options.test_vfs);
  if (rc != SQLITE_OK) {
    Error error = db != nullptr ? sqlite_error(db, rc, "opening " + path.string())
                                : file_error(rc, "opening " + path.string());
    sqlite().close_v2(db);
    return fail(std::move(error));
  }
  sqlite().busy_timeout(db, options.busy_timeout_ms);
  int answer = 0;
  sqlite().db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &answer);
  for (const char* sql :
       {"PRAGMA mmap_size=0", "PRAGMA wal_autocheckpoint=0", "PRAGMA synchronous=NORMAL"}) {
    auto done = query_text(db, sql);
    if (!done) {
      sqlite().close_v2(db);
      return fail(done.error().while_doing("opening " + path.string()));
    }
  }
  auto synchronous = query_text(db, "PRAGMA synchronous");
  if (!synchronous || (*synchronous != "1" && *synchronous != "2" && *synchronous != "3")) {
    sqlite().close_v2(db);
    return fail(ErrorCode::kUnsupported,
                path.string() + ": this SQLite does not take PRAGMA synchronous=NORMAL");
  }
  return db;
}

Error is_a_replica(const std::filesystem::path& path) {
  return {
      ErrorCode::kRefused,
      path.string() +
          " is a replica: publish it onward with \"walferry replicate ... --listen\", or make it a "
          "database of its own with \"walferry detach\""};
}

}  // namespace

Result<std::filesystem::path> resolve_database_path(const std::filesystem::path& path) {
  std::error_code failed;
  auto real = std::filesystem::canonical(path, failed);
  if (failed) return fail(system_error(failed.value(), "finding " + path.string()));
  return real;
}

Status check_file_system(const std::filesystem::path& path) {
  struct statfs info{};
  if (::statfs(path.c_str(), &info) != 0) {
    return fail(system_error(errno, "examining the file system of " + path.string()));
  }
  // From statfs(2) and the kernel's magic.h; only file systems of this machine's own disks and
  // memory, whose mmap and POSIX locks are known to work.
  constexpr std::array<std::uint32_t, 13> kLocal = {
      0xef53,      // ext2, ext3, ext4
      0x58465342,  // xfs
      0x9123683e,  // btrfs
      0x01021994,  // tmpfs
      0x858458f6,  // ramfs
      0x794c7630,  // overlayfs
      0x2fc12fc1,  // zfs
      0xf2f52010,  // f2fs
      0xca451a4e,  // bcachefs
      0x3153464a,  // jfs
      0x52654973,  // reiserfs
      0x3434,      // nilfs
      0x24051905,  // ubifs
  };
  const auto magic = static_cast<std::uint32_t>(info.f_type);
  if (std::ranges::find(kLocal, magic) == kLocal.end()) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "0x%x", magic);
    return fail(ErrorCode::kUnsupported,
                path.string() + " is on a file system (" + text.data() +
                    ") that is not known to share memory and locks between processes: put it on a "
                    "local disk (ext4, xfs, btrfs, zfs, tmpfs, ...)");
  }
  return {};
}

Result<DatabasePeek> DatabasePeek::open(const std::filesystem::path& path) {
  DatabasePeek peek;
  peek.name_ = path.string();
  const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOMUTEX;
  const int rc = sqlite().open_v2(path.c_str(), &peek.db_, flags, nullptr);
  if (rc != SQLITE_OK) return fail(sqlite_error(peek.db_, rc, "opening " + path.string()));
  sqlite().file_control(peek.db_, "main", SQLITE_FCNTL_FILE_POINTER,
                        static_cast<void*>(&peek.file_));
  if (peek.file_ == nullptr || peek.file_->pMethods == nullptr) {
    return fail(ErrorCode::kIo, "opening " + path.string() + ": SQLite has no file for it");
  }
  return peek;
}

DatabasePeek::DatabasePeek(DatabasePeek&& other) noexcept
    : db_(std::exchange(other.db_, nullptr)),
      file_(std::exchange(other.file_, nullptr)),
      name_(std::move(other.name_)) {}

DatabasePeek::~DatabasePeek() { sqlite().close_v2(db_); }

Result<std::uint64_t> DatabasePeek::size() const {
  sqlite3_int64 size = 0;
  const int rc = file_->pMethods->xFileSize(file_, &size);
  if (rc != SQLITE_OK) return fail(file_error(file_, rc, "examining " + name_));
  return static_cast<std::uint64_t>(size);
}

Status DatabasePeek::read(std::span<std::byte> bytes, std::uint64_t offset) const {
  return read_file(file_, bytes, offset, name_);
}

Result<std::array<std::byte, kDatabaseHeaderSize>> peek_database_header(
    const std::filesystem::path& path) {
  auto peek = DatabasePeek::open(path);
  if (!peek) return fail(peek.error());
  std::array<std::byte, kDatabaseHeaderSize> header{};
  if (Status got = peek->read(header, 0); !got) return fail(got.error());
  auto size = peek->size();
  if (!size) return fail(size.error());
  if (*size != 0 && std::memcmp(header.data(), "SQLite format 3", 16) != 0) {
    return fail(ErrorCode::kNotADatabase, path.string() + " is not a SQLite database");
  }
  return header;
}

Status check_not_a_replica(const std::filesystem::path& path) {
  auto header = peek_database_header(path);
  // What else there is to say of the file is said by opening it.
  if (header && (*header)[kWriteVersionOffset] == kGuardVersionByte)
    return fail(is_a_replica(path));
  return {};
}

Result<std::unique_ptr<DatabaseHandle>> DatabaseHandle::open(const std::filesystem::path& path,
                                                             const HandleOptions& options) {
  auto real = resolve_database_path(path);
  if (!real) return fail(real.error());
  if (!std::filesystem::is_regular_file(*real)) {
    return fail(ErrorCode::kNotADatabase, path.string() + " is not a regular file");
  }
  if (Status local = check_file_system(*real); !local) return fail(local.error());
  std::unique_ptr<DatabaseHandle> handle(new DatabaseHandle);
  handle->path_ = *real;
  handle->process_ = ::getpid();
  if (Status connected = handle->connect(options); !connected) return fail(connected.error());
  return handle;
}

Status DatabaseHandle::connect(const HandleOptions& options) {
  auto guard = open_connection(path_, options);
  if (!guard) return fail(guard.error());
  guard_ = *guard;

  auto mode = query_text(guard_, "PRAGMA journal_mode");
  if (!mode) return fail(mode.error().while_doing("opening " + path_.string()));
  if (*mode != "wal") {
    auto switched = query_text(guard_, "PRAGMA journal_mode=WAL");
    if (!switched)
      return fail(switched.error().while_doing("switching " + path_.string() + " to WAL mode"));
    if (*switched != "wal") {
      return fail(ErrorCode::kBusy,
                  path_.string() + " cannot be switched to WAL mode (it stays in \"" + *switched +
                      "\"): close the programs that use it and try again");
    }
    switched_to_wal_ = true;
  }
  // The read opens the WAL and takes the SHARED lock that this connection keeps.
  auto read = query_text(guard_, "SELECT count(*) FROM sqlite_schema");
  if (!read) return fail(read.error().while_doing("reading " + path_.string()));

  auto raw = open_connection(path_, options);
  if (!raw) return fail(raw.error());
  raw_ = *raw;
  read = query_text(raw_, "SELECT count(*) FROM sqlite_schema");
  if (!read) return fail(read.error().while_doing("reading " + path_.string()));

  char* vfs = nullptr;
  sqlite().file_control(raw_, "main", SQLITE_FCNTL_VFSNAME, static_cast<void*>(&vfs));
  const std::string vfs_name = vfs != nullptr ? vfs : "";
  sqlite().free(vfs);
  if (vfs_name != "unix" && options.test_vfs == nullptr) {
    return fail(ErrorCode::kUnsupported, path_.string() + ": the VFS \"" + vfs_name +
                                             "\" is in use; walferry needs SQLite's own \"unix\"");
  }
  sqlite().file_control(raw_, "main", SQLITE_FCNTL_FILE_POINTER, static_cast<void*>(&database_));
  sqlite().file_control(raw_, "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&wal_));
  if (database_ == nullptr || database_->pMethods == nullptr || wal_ == nullptr ||
      wal_->pMethods == nullptr) {
    return fail(ErrorCode::kUnsupported, path_.string() + ": SQLite has no WAL open for it");
  }
  index_ = std::make_unique<WalIndex>(database_);
  if (Status mapped = index_->map(); !mapped)
    return fail(mapped.error().while_doing(path_.string()));
  if (!identify(shm_path()).exists()) {
    return fail(ErrorCode::kUnsupported,
                path_.string() +
                    " has no -shm file on disk: a program uses it "
                    "with its own private wal-index (locking_mode=EXCLUSIVE?)");
  }

  auto size = query_text(guard_, "PRAGMA page_size");
  if (!size) return fail(size.error());
  page_size_ = static_cast<std::uint32_t>(std::strtoul(size->c_str(), nullptr, 10));
  std::array<std::byte, kDatabaseHeaderSize> header{};
  if (Status got = read_database(header, 0); !got) return got;
  if (header[kReservedBytesOffset] != std::byte{0}) {
    return fail(ErrorCode::kUnsupported,
                path_.string() +
                    " reserves bytes at the end of each page (an encryption or checksum "
                    "VFS uses them), which stock SQLite would destroy: not supported");
  }
  if (options.refuse_guarded && header[kWriteVersionOffset] == kGuardVersionByte)
    return fail(is_a_replica(path_));
  return {};
}

DatabaseHandle::~DatabaseHandle() {
  index_.reset();
  if (process_ == ::getpid()) {  // in a forked child, closing would tear at the parent's locks
    sqlite().close_v2(raw_);
    sqlite().close_v2(guard_);
  }
}

Status DatabaseHandle::read_database(std::span<std::byte> bytes, std::uint64_t offset) const {
  return read_file(database_, bytes, offset, path_.string());
}

Status DatabaseHandle::read_wal(std::span<std::byte> bytes, std::uint64_t offset) const {
  return read_file(wal_, bytes, offset, wal_path().string());
}

Status DatabaseHandle::write_database(std::span<const std::byte> bytes, std::uint64_t offset) {
  return write_file(database_, bytes, offset, path_.string());
}

Status DatabaseHandle::write_wal(std::span<const std::byte> bytes, std::uint64_t offset) {
  return write_file(wal_, bytes, offset, wal_path().string());
}

Status DatabaseHandle::truncate_database(std::uint64_t size) {
  const int rc = database_->pMethods->xTruncate(database_, static_cast<sqlite3_int64>(size));
  if (rc != SQLITE_OK) return fail(file_error(database_, rc, "truncating " + path_.string()));
  return {};
}

Status DatabaseHandle::truncate_wal(std::uint64_t size) {
  const int rc = wal_->pMethods->xTruncate(wal_, static_cast<sqlite3_int64>(size));
  if (rc != SQLITE_OK) return fail(file_error(wal_, rc, "truncating " + wal_path().string()));
  return {};
}

Status DatabaseHandle::sync_database() {
  const int rc = database_->pMethods->xSync(database_, SQLITE_SYNC_NORMAL);
  if (rc != SQLITE_OK) return fail(file_error(database_, rc, "syncing " + path_.string()));
  return {};
}

Status DatabaseHandle::sync_wal() {
  const int rc = wal_->pMethods->xSync(wal_, SQLITE_SYNC_NORMAL);
  if (rc != SQLITE_OK) return fail(file_error(wal_, rc, "syncing " + wal_path().string()));
  return {};
}

Result<std::uint64_t> DatabaseHandle::database_size() const {
  sqlite3_int64 size = 0;
  const int rc = database_->pMethods->xFileSize(database_, &size);
  if (rc != SQLITE_OK) return fail(file_error(database_, rc, "examining " + path_.string()));
  return static_cast<std::uint64_t>(size);
}

Result<std::uint64_t> DatabaseHandle::wal_size() const {
  sqlite3_int64 size = 0;
  const int rc = wal_->pMethods->xFileSize(wal_, &size);
  if (rc != SQLITE_OK) return fail(file_error(wal_, rc, "examining " + wal_path().string()));
  return static_cast<std::uint64_t>(size);
}

Status DatabaseHandle::begin_read() {
  for (const char* sql : {"BEGIN", "SELECT count(*) FROM sqlite_schema"}) {
    auto done = query_text(guard_, sql);
    if (!done) return fail(done.error().while_doing("reading " + path_.string()));
  }
  return {};
}

void DatabaseHandle::end_read() noexcept {
  sqlite().exec(guard_, "ROLLBACK", nullptr, nullptr, nullptr);
}

FileTriple DatabaseHandle::identify_files() const {
  return {identify(path_), identify(wal_path()), identify(shm_path())};
}

Status DatabaseHandle::check_process() const {
  if (::getpid() == process_) return {};
  return fail(ErrorCode::kInternal, path_.string() +
                                        " was attached by the parent process: attach again "
                                        "after a fork, locks are not inherited");
}

}  // namespace walferry::wal
