/// What a follower writes into: the WAL of a live replica, or the image of a bootstrap.
#pragma once

#include <cstdint>
#include <span>

#include "wal/message_format.h"
#include "wal/page_hash.h"
#include "walferry/error.hpp"
#include "walferry/position.hpp"

namespace walferry::engine {

/// A committed state of the primary.
struct CommittedState {
  Position position;
  wal::Hash128 root;
  std::uint32_t page_count = 0;
};

class ReplicaTarget {
 public:
  virtual ~ReplicaTarget() = default;
  [[nodiscard]] virtual std::uint32_t page_size() const = 0;
  virtual Status add_page(std::uint32_t page, std::span<const std::byte> bytes) = 0;
  /// Whether every page up to `page_count` is there: in the state before, or added since.
  virtual bool covers(std::uint32_t page_count) = 0;
  /// Bytes held in memory for the transaction under way.
  [[nodiscard]] virtual std::size_t held_bytes() const = 0;
  /// The frames that follow are counted from here (a delta has ended).
  virtual Status begin_frames(const CommittedState& start, bool other_history) = 0;
  /// A batch whose pages were added, as it was received.
  virtual Status note_batch(const wal::BatchHeader& header, std::span<const std::byte> payload) = 0;
  /// Makes the transaction the state. kCorrupt: its pages do not lead to the root.
  virtual Status commit(const CommittedState& state, bool other_history) = 0;
  virtual void rollback() = 0;
};

}  // namespace walferry::engine
