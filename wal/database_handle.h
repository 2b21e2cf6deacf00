/// A database attached for raw work beside stock SQLite: two connections of the host's own
/// SQLite, of which the first guards (its SHARED lock on the file keeps a foreign last close from
/// deleting the WAL) and the second lends its sqlite3_file for raw locks and raw I/O and runs no
/// SQL any more.
///
/// Invariants: VFS "unix", journal mode WAL, a -shm file on disk, a local file system, reserved
/// bytes 0. Attach after daemonising: POSIX locks do not survive a fork.
/// Thread safety: one thread uses a handle; read_database() and read_wal() are plain preads and
/// may be called from any thread while the handle lives.
#pragma once

#include <sqlite3.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "wal/own_file.h"
#include "wal/wal_index.h"
#include "walferry/error.hpp"

namespace walferry::wal {

struct HandleOptions {
  /// Who attaches: a primary refuses a file with the replica's guard, a replica insists on
  /// nothing.
  bool refuse_guarded = false;
  /// A VFS under "unix" that tests put in to inject faults; null: SQLite's default.
  const char* test_vfs = nullptr;
  int busy_timeout_ms = 5'000;
};

/// Identities of the three files; a change means that somebody replaced or removed one.
struct FileTriple {
  FileIdentity database;
  FileIdentity wal;
  FileIdentity shm;
};

class DatabaseHandle {
 public:
  /// Opens an existing database, switching it to WAL mode if need be (see switched_to_wal()).
  static Result<std::unique_ptr<DatabaseHandle>> open(const std::filesystem::path& path,
                                                      const HandleOptions& options);
  ~DatabaseHandle();
  DatabaseHandle(const DatabaseHandle&) = delete;
  DatabaseHandle& operator=(const DatabaseHandle&) = delete;

  [[nodiscard]] WalIndex& index() noexcept { return *index_; }
  /// A second view of the wal-index, for another thread that only looks.
  [[nodiscard]] std::unique_ptr<WalIndex> another_index() const {
    return std::make_unique<WalIndex>(database_);
  }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::filesystem::path wal_path() const { return path_.string() + "-wal"; }
  [[nodiscard]] std::filesystem::path shm_path() const { return path_.string() + "-shm"; }
  [[nodiscard]] std::uint32_t page_size() const noexcept { return page_size_; }
  /// SQLite's own connections follow what is published by themselves.
  void set_page_size(std::uint32_t page_size) noexcept { page_size_ = page_size; }
  [[nodiscard]] bool switched_to_wal() const noexcept { return switched_to_wal_; }

  /// Bytes beyond the end of the file read as zero, as SQLite has it.
  Status read_database(std::span<std::byte> bytes, std::uint64_t offset) const;
  Status read_wal(std::span<std::byte> bytes, std::uint64_t offset) const;
  Status write_database(std::span<const std::byte> bytes, std::uint64_t offset);
  Status write_wal(std::span<const std::byte> bytes, std::uint64_t offset);
  Status truncate_database(std::uint64_t size);
  Status truncate_wal(std::uint64_t size);
  Status sync_database();
  Status sync_wal();
  [[nodiscard]] Result<std::uint64_t> database_size() const;
  [[nodiscard]] Result<std::uint64_t> wal_size() const;

  /// Holds a read transaction on the guarding connection: what is published now stays readable.
  Status begin_read();
  void end_read() noexcept;

  [[nodiscard]] FileTriple identify_files() const;
  /// kInternal in a forked child: it holds none of the locks that it believes to hold.
  [[nodiscard]] Status check_process() const;

 private:
  DatabaseHandle() = default;
  Status connect(const HandleOptions& options);

  std::filesystem::path path_;
  sqlite3* guard_ = nullptr;
  sqlite3* raw_ = nullptr;
  sqlite3_file* database_ = nullptr;
  sqlite3_file* wal_ = nullptr;
  std::unique_ptr<WalIndex> index_;
  std::uint32_t page_size_ = 0;
  bool switched_to_wal_ = false;
  pid_t process_ = 0;
};

/// Reads a database file page by page through a connection that changes nothing and locks nothing:
/// for looking at a file before deciding whether to touch it. A WAL beside it is not looked at.
class DatabasePeek {
 public:
  static Result<DatabasePeek> open(const std::filesystem::path& path);
  DatabasePeek(DatabasePeek&& other) noexcept;
  DatabasePeek& operator=(DatabasePeek&&) = delete;
  ~DatabasePeek();

  [[nodiscard]] Result<std::uint64_t> size() const;
  /// Bytes beyond the end read as zero.
  Status read(std::span<std::byte> bytes, std::uint64_t offset) const;

 private:
  DatabasePeek() = default;
  sqlite3* db_ = nullptr;
  sqlite3_file* file_ = nullptr;
  std::string name_;
};

/// The file a path leads to, symbolic links resolved: the WAL lies beside that one.
Result<std::filesystem::path> resolve_database_path(const std::filesystem::path& path);

/// The first 100 bytes of a database file, read through a connection of SQLite's that changes
/// nothing. kNotADatabase when they are not a SQLite header; all zero for an empty file.
Result<std::array<std::byte, 100>> peek_database_header(const std::filesystem::path& path);
/// kRefused when the file carries our write-version guard.
Status check_not_a_replica(const std::filesystem::path& path);

/// Refuses network and user-space file systems, on which shared memory and locks do not work.
Status check_file_system(const std::filesystem::path& path);

}  // namespace walferry::wal
