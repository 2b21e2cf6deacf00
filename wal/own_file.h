/// Files of walferry's own: side file, spools, page hashes, the image of a bootstrap.
///
/// Never for a database, its -wal or its -shm: closing any descriptor of those would drop every
/// POSIX lock this process holds on them. Those are read through SQLite's sqlite3_file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "walferry/error.hpp"

namespace walferry::wal {

/// The error for errno `number`, saying what was being done and what to do about it.
Error system_error(int number, const std::string& what);

class OwnFile {
 public:
  enum class Mode { kRead, kReadWrite, kCreate };

  OwnFile() = default;
  static Result<OwnFile> open(const std::filesystem::path& path, Mode mode);
  OwnFile(OwnFile&& other) noexcept;
  OwnFile& operator=(OwnFile&& other) noexcept;
  ~OwnFile();

  [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  Status write_at(std::span<const std::byte> bytes, std::uint64_t offset);
  /// Reads exactly `bytes.size()` bytes; a shorter file is kCorrupt.
  Status read_at(std::span<std::byte> bytes, std::uint64_t offset) const;
  /// Reads what there is, up to `bytes.size()`.
  Result<std::size_t> read_some(std::span<std::byte> bytes, std::uint64_t offset) const;
  [[nodiscard]] Result<std::uint64_t> size() const;
  Status resize(std::uint64_t size);
  Status sync();
  /// Takes the file for this process alone, as long as it is open; kBusy when another has it.
  Status take_exclusively();
  /// Whether another process (or another open of ours) has taken it.
  [[nodiscard]] bool is_taken() const;
  /// Whether the path still names this file: it was neither removed nor replaced.
  [[nodiscard]] bool is_in_place() const;
  /// Gives the file to a user and group (-1: leave) and sets its permission bits.
  Status give_to(std::int64_t user, std::int64_t group);
  Status set_mode(std::uint32_t mode);
  void close() noexcept;

 private:
  int descriptor_ = -1;
  std::filesystem::path path_;
};

/// Makes a created, renamed or removed name in `directory` survive a power cut.
Status sync_directory(const std::filesystem::path& directory);
/// Renames; an existing `to` is kBusy and stays untouched.
Status rename_no_replace(const std::filesystem::path& from, const std::filesystem::path& to);
/// Removes a file; a missing one is fine.
Status remove_file(const std::filesystem::path& path);
Status make_directory(const std::filesystem::path& path);

/// What the kernel calls the time since it was booted; all zero where it does not say. A file that
/// was not synced is sure to be as it was written only while this stays the same.
using BootId = std::array<std::uint8_t, 16>;
BootId boot_id();

/// What stat(2) says about one file: enough to notice that it was replaced or written by others.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
  [[nodiscard]] bool same_file(const FileIdentity& other) const noexcept {
    return device == other.device && inode == other.inode;
  }
  [[nodiscard]] bool exists() const noexcept { return inode != 0; }
};
/// An all-zero identity when there is no such file.
FileIdentity identify(const std::filesystem::path& path) noexcept;

}  // namespace walferry::wal
