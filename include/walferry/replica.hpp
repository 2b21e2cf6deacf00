/// The replica: keeps an ordinary local SQLite file equal to a published database.
///
/// The local file may be read by any stock SQLite process at any moment. It is never shown before
/// it is whole, never shows anything but a committed state of the primary, and refuses writes of
/// other programs (SQLITE_READONLY) until it is detached.
/// Thread safety: every member may be called from any thread. Destruction stops the replica.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "walferry/error.hpp"
#include "walferry/log_sink.hpp"
#include "walferry/position.hpp"

namespace walferry {

enum class ReplicaState {
  kOpening,        ///< proving the local position
  kBootstrapping,  ///< the first copy is being fetched; the local file does not exist yet
  kReconciling,    ///< the local file is compared with the primary by page hashes
  kCatchingUp,     ///< applying what was missed
  kLive,           ///< applied everything the primary has published
  kStalled,        ///< cannot go on at the moment; `last_error` says why; retried by itself
  kStopped,
};
std::string_view to_string(ReplicaState state) noexcept;

/// Progress of a bootstrap or a reconcile. Sizes in bytes.
struct Progress {
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  double bytes_per_second = 0;
  double seconds_left = 0;  ///< 0 when unknown
};

struct ReplicaStatus {
  ReplicaState state = ReplicaState::kOpening;
  std::string url;
  std::filesystem::path path;
  std::optional<Position> position;  ///< none before the first copy is whole
  std::uint64_t lag_frames = 0;      ///< frames published by the primary and not applied here
  double lag_seconds = 0;            ///< 0 while live; else since when we have not been live
  double last_success_unix = 0;      ///< when we last knew that we had everything; 0: never
  std::string last_error;            ///< empty when the last attempt went well
  /// Why the engine stopped by itself: something that it must not overrule and that no waiting
  /// mends (a foreign file in its place, say). None while it runs or was told to stop.
  std::optional<ErrorCode> stopped_because;
  std::uint64_t bytes_received = 0;           ///< on the wire, since the engine started
  std::uint64_t snapshot_bytes_received = 0;  ///< thereof for the first copy
  std::uint64_t batches_applied = 0;
  std::uint64_t pages_applied = 0;
  std::uint64_t reconciles = 0;
  std::uint64_t wal_bytes = 0;       ///< size of the local WAL file
  double oldest_reader_seconds = 0;  ///< how long a local reader has kept the WAL from shrinking
  double apply_lag_seconds = 0;      ///< commit seen by the primary to applied here, last batch
};

struct ReplicaOptions {
  std::string url;             ///< http://HOST:PORT or http://HOST:PORT/db/NAME
  std::filesystem::path path;  ///< the local file

  /// Zero: live. Otherwise the replica connects once in this time, applies all there is, and rests.
  std::chrono::milliseconds interval{0};

  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds idle_timeout{30'000};    ///< nothing received for so long: reconnect
  std::chrono::milliseconds total_timeout{300'000};  ///< limit of one request that is not a stream
  std::chrono::milliseconds retry_min{100};
  std::chrono::milliseconds retry_max{30'000};
  std::uint64_t limit_rate = 0;  ///< bytes per second to receive at most; 0: no limit

  std::uint64_t wal_limit_bytes = 16ull << 20;  ///< local WAL size at which it is backfilled
  bool adopt_any = false;  ///< take over a local file even if hardly a page of it matches

  std::optional<std::string> owner;   ///< USER[:GROUP] for the files that are created
  std::optional<std::uint32_t> mode;  ///< permission bits for the files that are created

  /// Serve what is followed to followers of our own; empty: do not.
  std::string listen_address;
  std::uint16_t listen_port = 0;

  LogSink log;
  std::function<void(const Progress&)> progress;  ///< called about five times a second
};

class Replica {
 public:
  /// Opens the local file if there is one. Never needs the network.
  static Result<std::unique_ptr<Replica>> open(ReplicaOptions options);

  virtual ~Replica() = default;
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  /// Begins to follow in the background (live, or once in each interval).
  virtual Status start() = 0;
  /// Connects, applies everything that the primary has at that time, returns the position.
  /// Not to be called after start().
  virtual Result<Position> sync_once() = 0;
  [[nodiscard]] virtual ReplicaStatus status() const = 0;
  /// The port served onward; 0 when nothing is.
  [[nodiscard]] virtual std::uint16_t listen_port() const = 0;
  /// Ends within two seconds at any point; the local file stays usable. Idempotent.
  virtual void stop() = 0;

 protected:
  Replica() = default;
};

}  // namespace walferry
