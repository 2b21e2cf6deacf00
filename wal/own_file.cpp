#include "wal/own_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <system_error>
#include <utility>

namespace walferry::wal {

namespace {

constexpr mode_t kCreateMode = 0666;  // the umask decides, as for every file SQLite makes

ErrorCode code_of(int number) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
      return ErrorCode::kNoSpace;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kReadOnly;
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::kNotFound;
    case EEXIST:
      return ErrorCode::kBusy;
    default:
      return ErrorCode::kIo;
  }
}

const char* advice_of(int number) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
      return ": free some space; it goes on by itself then";
    case EFBIG:
      return ": the file system, or the limit of file sizes (ulimit -f), allows no larger file; "
             "free "
             "space would not help";
    case EACCES:
    case EPERM:
      return ": check the owner and the permissions of the file and its directory";
    case EROFS:
      return ": the file system is mounted read-only; mount it writable or choose another place";
    case EMFILE:
    case ENFILE:
      return ": no file descriptors left; raise the limit (ulimit -n)";
    default:
      return "";
  }
}

}  // namespace

Error system_error(int number, const std::string& what) {
  return Error{code_of(number),
               what + ": " + std::system_category().message(number) + advice_of(number)};
}

Result<OwnFile> OwnFile::open(const std::filesystem::path& path, Mode mode) {
  int flags = O_CLOEXEC;
  if (mode == Mode::kRead) flags |= O_RDONLY;
  if (mode == Mode::kReadWrite) flags |= O_RDWR;
  if (mode == Mode::kCreate) flags |= O_RDWR | O_CREAT;
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), flags, kCreateMode);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) return fail(system_error(errno, "opening " + path.string()));
  OwnFile file;
  file.descriptor_ = descriptor;
  file.path_ = path;
  return file;
}

OwnFile::OwnFile(OwnFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

OwnFile& OwnFile::operator=(OwnFile&& other) noexcept {
  if (this != &other) {
    close();
    descriptor_ = std::exchange(other.descriptor_, -1);
    path_ = std::move(other.path_);
  }
  return *this;
}

OwnFile::~OwnFile() { close(); }

void OwnFile::close() noexcept {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

Status OwnFile::write_at(std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail(system_error(errno, "writing " + path_.string()));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<std::size_t> OwnFile::read_some(std::span<std::byte> bytes, std::uint64_t offset) const {
  std::size_t total = 0;
  while (total < bytes.size()) {
    const ssize_t n = ::pread(descriptor_, bytes.data() + total, bytes.size() - total,
                              static_cast<off_t>(offset + total));
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail(system_error(errno, "reading " + path_.string()));
    }
    if (n == 0) break;
    total += static_cast<std::size_t>(n);
  }
  return total;
}

Status OwnFile::read_at(std::span<std::byte> bytes, std::uint64_t offset) const {
  auto read = read_some(bytes, offset);
  if (!read) return fail(read.error());
  if (*read != bytes.size()) {
    return fail(ErrorCode::kCorrupt,
                path_.string() + " ends at byte " + std::to_string(offset + *read) + ", too early");
  }
  return {};
}

Result<std::uint64_t> OwnFile::size() const {
  struct stat info{};
  if (::fstat(descriptor_, &info) != 0) {
    return fail(system_error(errno, "examining " + path_.string()));
  }
  return static_cast<std::uint64_t>(info.st_size);
}

Status OwnFile::resize(std::uint64_t size) {
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) {
    return fail(system_error(errno, "resizing " + path_.string()));
  }
  return {};
}

Status OwnFile::sync() {
  if (::fdatasync(descriptor_) != 0) return fail(system_error(errno, "syncing " + path_.string()));
  return {};
}

Status OwnFile::take_exclusively() {
  // Somebody who only looks (is_taken) may have it for an instant.
  constexpr int kAttempts = 20;
  constexpr timespec kPause{0, 10'000'000};
  for (int i = 0; i < kAttempts; ++i) {
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK) return fail(system_error(errno, "locking " + path_.string()));
    ::nanosleep(&kPause, nullptr);
  }
  return fail(ErrorCode::kBusy,
              path_.string() + " is in use by another walferry: stop that one first");
}

bool OwnFile::is_taken() const {
  if (::flock(descriptor_, LOCK_SH | LOCK_NB) != 0) return errno == EWOULDBLOCK;
  ::flock(descriptor_, LOCK_UN);
  return false;
}

bool OwnFile::is_in_place() const {
  struct stat ours{};
  struct stat named{};
  return ::fstat(descriptor_, &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
         ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

Status OwnFile::give_to(std::int64_t user, std::int64_t group) {
  if (::fchown(descriptor_, static_cast<uid_t>(user), static_cast<gid_t>(group)) == 0) return {};
  return fail(system_error(errno, "changing the owner of " + path_.string()));
}

Status OwnFile::set_mode(std::uint32_t mode) {
  if (::fchmod(descriptor_, static_cast<mode_t>(mode)) == 0) return {};
  return fail(system_error(errno, "changing the permissions of " + path_.string()));
}

Status sync_directory(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory.empty() ? "." : directory;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return fail(system_error(errno, "opening directory " + path.string()));
  const int failed = ::fsync(descriptor) != 0 ? errno : 0;
  ::close(descriptor);
  if (failed != 0) return fail(system_error(failed, "syncing directory " + path.string()));
  return {};
}

Status rename_no_replace(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno == EINVAL || errno == ENOSYS) {
    // A file system without RENAME_NOREPLACE: link(2) refuses an existing name just as well.
    if (::link(from.c_str(), to.c_str()) == 0) return remove_file(from);
  }
  return fail(system_error(errno, "renaming " + from.string() + " to " + to.string()));
}

Status remove_file(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return fail(system_error(errno, "removing " + path.string()));
  }
  return {};
}

Status make_directory(const std::filesystem::path& path) {
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
    return fail(system_error(errno, "creating directory " + path.string()));
  }
  return {};
}

BootId boot_id() {
  BootId id{};
  auto file = OwnFile::open("/proc/sys/kernel/random/boot_id", OwnFile::Mode::kRead);
  std::array<std::byte, 36> text{};  // 8-4-4-4-12 hexadecimal digits
  if (!file || !file->read_at(text, 0)) return id;
  std::size_t digits = 0;
  for (const std::byte at : text) {
    const auto digit = std::to_integer<char>(at);
    if (digit == '-') continue;
    const int value = digit <= '9' ? digit - '0' : digit - 'a' + 10;
    if (value < 0 || value > 15 || digits == 2 * id.size()) return {};
    id[digits / 2] = static_cast<std::uint8_t>((id[digits / 2] << 4) | value);
    ++digits;
  }
  return id;
}

FileIdentity identify(const std::filesystem::path& path) noexcept {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return {};
  FileIdentity identity;
  identity.device = info.st_dev;
  identity.inode = info.st_ino;
  identity.size = static_cast<std::uint64_t>(info.st_size);
  identity.modified_ns = info.st_mtim.tv_sec * 1'000'000'000ll + info.st_mtim.tv_nsec;
  identity.changed_ns = info.st_ctim.tv_sec * 1'000'000'000ll + info.st_ctim.tv_nsec;
  return identity;
}

}  // namespace walferry::wal
