/// The primary: publishes SQLite databases that any program goes on writing to.
///
/// A Server attaches to each database (see docs/architecture.md for what that means to other
/// programs), follows its WAL, and serves snapshots, page hashes and the live stream over HTTP.
/// Thread safety: every member may be called from any thread. Destruction stops the server.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "walferry/error.hpp"
#include "walferry/log_sink.hpp"
#include "walferry/position.hpp"

namespace walferry {

/// One database to publish.
struct PublishedDatabase {
  std::filesystem::path path;  ///< the database file
  std::string name;            ///< its name in URLs (/db/NAME); empty: the file's name
};

struct ServerOptions {
  std::vector<PublishedDatabase> databases;
  /// Directories whose databases (regular files that start with SQLite's header) are published
  /// under their file names.
  std::vector<std::filesystem::path> directories;

  std::string address = "127.0.0.1";  ///< until tokens exist only a loopback address is accepted
  std::uint16_t port = 7070;          ///< 0: the system chooses, see Server::port()
  unsigned http_threads = 2;

  std::uint64_t wal_limit_bytes = 16ull
                                  << 20;  ///< a generation ends when its WAL has grown to this
  std::uint64_t retention_bytes = 64ull << 20;  ///< frames of ended generations that are kept
  std::uint64_t retained_generations = 1'000;   ///< ended generations whose page lists are kept
  bool sync_before_publish = false;             ///< publish a commit only once the WAL is synced
  /// Answer clients' SQL, too, which reads and writes (docs/sql.md).
  bool serve_sql = true;

  LogSink log;
};

struct DatabaseStatus {
  std::string name;
  std::filesystem::path path;
  Position position;
  std::uint32_t page_size = 0;
  std::uint32_t page_count = 0;
  std::uint64_t wal_bytes = 0;          ///< size of the WAL file now
  std::uint64_t generations_ended = 0;  ///< since this server started
  std::uint64_t commits = 0;            ///< commits captured since this server started
  std::uint64_t frames = 0;             ///< frames captured since this server started
  std::uint64_t bridges = 0;            ///< times the WAL was lost and page hashes bridged the gap
  std::uint64_t header_repairs = 0;     ///< wal-index headers repaired in place
  std::uint64_t writer_hold_last_us = 0;  ///< how long the last tail held the write lock
  std::uint64_t writer_hold_max_us = 0;
  std::uint64_t writer_hold_p99_us = 0;
  double oldest_reader_seconds = 0;  ///< for how long a reader has kept the WAL from being drained
  unsigned followers = 0;            ///< live streams open now
  std::string error;                 ///< why it is not published at the moment; empty when it is
};

struct ServerStatus {
  std::string address;
  std::uint16_t port = 0;
  std::vector<DatabaseStatus> databases;
};

class Server {
 public:
  /// Attaches to every database and starts to listen. Fails when one cannot be attached.
  static Result<std::unique_ptr<Server>> start(ServerOptions options);

  virtual ~Server() = default;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] virtual std::uint16_t port() const = 0;
  [[nodiscard]] virtual ServerStatus status() const = 0;
  /// Stops listening, makes the state durable and lets go of every lock. Idempotent.
  virtual void stop() = 0;

 protected:
  Server() = default;
};

}  // namespace walferry
