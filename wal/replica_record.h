/// What a replica remembers of itself in its side file (FILE-walferry), so that it can prove its
/// position after anything. The record is written to a SlotFile before each step that it must
/// describe; behind the slots lies a status text that others may read:
///
///     offset  size  at kStatusOffset
///          0     8  XXH3-64 of the text
///          8     8  size of the text
///         16        text (JSON)
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wal/message_codec.h"
#include "wal/own_file.h"
#include "wal/page_hash.h"
#include "wal/slot_file.h"
#include "wal/wal_format.h"
#include "walferry/position.hpp"

namespace walferry::wal {

inline constexpr std::uint64_t kReplicaMagic =
    0x316c706572464657;  // "WFFrepl1" as it lies in memory
inline constexpr std::uint64_t kStatusOffset = SlotFile::kEndOfSlots;
inline constexpr std::size_t kStatusSize = 4096;
inline constexpr std::size_t kMaxStatusText = kStatusSize - 16;

/// The end of a local WAL.
struct WalPoint {
  Salts salts{};
  std::uint32_t max_frame = 0;
  Checksum chain;
  friend bool operator==(const WalPoint&, const WalPoint&) = default;
};

/// A state the replica has shown, or was about to show.
struct ReplicaPoint {
  Position position;
  Hash128 root;
  std::uint32_t page_count = 0;
  PageOneDisguise disguise;
  WalPoint wal;
  bool settled = false;  ///< the database file alone holds this state
};

struct BootstrapProgress {
  Position from;  ///< the start of the generation in which the first range was read
  std::uint32_t snapshot_pages = 0;
  std::uint32_t pages_done = 0;  ///< pages 1..pages_done are in the image
  std::uint64_t inode = 0;       ///< of the image file
};

struct ReplicaRecord {
  enum class Kind : std::uint32_t { kBootstrapping = 1, kReplica = 2 };

  Kind kind = Kind::kReplica;
  std::uint32_t page_size = 0;
  BootstrapProgress bootstrap;  ///< kBootstrapping
  FileIdentity file;            ///< the database file after our last write to it
  bool backfilling = false;     ///< we were writing to it when this was recorded
  BootId boot{};                ///< when this was recorded
  /// All that this tells of was synced, and so was this; nothing was written since.
  bool closed = false;
  /// Newest first: [0] may not have been published yet, [1] was before it. The older ones are
  /// where a power cut may legally have left the WAL.
  std::vector<ReplicaPoint> points;

  static constexpr std::size_t kMaxPoints = 10;
  /// Whether it is sure to be the newest that was written. After a power cut an older one may be
  /// found, with a database file that has gone on since.
  [[nodiscard]] bool is_newest(const BootId& now) const noexcept {
    return closed || (boot == now && now != BootId{});
  }
  [[nodiscard]] Bytes encode() const;
  static std::optional<ReplicaRecord> decode(std::span<const std::byte> bytes);
};

/// The status text behind the slots. It does not count as a record: whoever finds it torn goes on
/// without.
Status write_status_text(OwnFile& side, std::string_view text);
/// Nothing when there is none that is whole.
Result<std::optional<std::string>> read_status_text(const OwnFile& side);

}  // namespace walferry::wal
