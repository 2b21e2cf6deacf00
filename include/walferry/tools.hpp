/// Things one does to a replica or a server from outside: look, compare, detach, copy.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "walferry/error.hpp"
#include "walferry/log_sink.hpp"
#include "walferry/position.hpp"
#include "walferry/replica.hpp"
#include "walferry/server.hpp"

namespace walferry {

/// walferry's version, "MAJOR.MINOR.PATCH".
std::string_view version() noexcept;
/// The version of the SQLite library in use.
std::string_view sqlite_version() noexcept;

/// What the side file of a replica says; works whether or not an engine runs on it.
struct LocalStatus {
  ReplicaStatus replica;
  bool engine_running = false;
};
Result<LocalStatus> read_local_status(const std::filesystem::path& path);

/// Asks a server (its root URL, or that of one database).
Result<ServerStatus> read_server_status(const std::string& url);

struct VerifyReport {
  Position position;  ///< the one position at which both sides were compared
  std::uint64_t pages = 0;
  std::vector<std::uint32_t> differing_pages;  ///< page numbers, ascending
};
/// Compares a replica with its primary page for page at one position, while both go on.
Result<VerifyReport> verify(const std::filesystem::path& path, const std::string& url);

/// Makes a replica an ordinary, writable database. Refused while an engine runs on it.
Status detach(const std::filesystem::path& path);

/// Writes a compact, writable copy of a replica (or of any database) as of one moment.
/// `out` must not exist.
Status copy_database(const std::filesystem::path& from, const std::filesystem::path& out);

}  // namespace walferry
