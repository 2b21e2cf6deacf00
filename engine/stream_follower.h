/// The replica's side of a stream as a state machine: takes proven messages, checks that each fits
/// on the one before and that frames carry SQLite's checksum chain, and turns them into
/// transactions of a target. It does no I/O, reads no clock and starts no thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "engine/replica_target.h"
#include "wal/message_format.h"
#include "wal/wal_format.h"
#include "walferry/error.hpp"

namespace walferry::engine {

class StreamFollower {
 public:
  /// `image`: the target holds pages that are a committed state only from a base on, which the
  /// stream will name. `other_history`: they are not a continuation of what the target showed.
  StreamFollower(ReplicaTarget& target, const Position& from, bool image, bool other_history);

  /// Takes one message. After an error the stream is to be given up; what was committed stands.
  Status take(wal::MessageType type, std::span<const std::byte> payload);
  /// Commits what is complete. To be called when no more messages are at hand.
  Status flush();

  /// The last position that was committed.
  [[nodiscard]] const Position& committed() const noexcept { return committed_; }
  /// How far the sender's log reaches, as it last said.
  [[nodiscard]] const std::optional<wal::Tail>& tail() const noexcept { return tail_; }
  /// All that the sender had when it sent its first message (or the last heartbeat) is committed.
  [[nodiscard]] bool caught_up() const noexcept;
  [[nodiscard]] std::uint64_t lag_frames() const noexcept;
  [[nodiscard]] std::uint64_t last_captured_us() const noexcept { return captured_us_; }
  [[nodiscard]] std::uint64_t commits() const noexcept { return commits_; }
  [[nodiscard]] std::uint64_t pages() const noexcept { return pages_; }
  /// The target refused a root: it does not hold what its position says.
  [[nodiscard]] bool diverged() const noexcept { return diverged_; }

 private:
  Status take_batch(std::span<const std::byte> payload);
  Status take_pages(std::span<const std::byte> payload);
  Status take_delta_begin(std::span<const std::byte> payload);
  Status take_delta_end(std::span<const std::byte> payload);
  Status take_tail(std::span<const std::byte> payload);
  Status check_delta_begin(const wal::DeltaBegin& begin) const;
  Status check_pages(std::uint32_t page_count) const;
  Status check_chain(const wal::BatchHeader& header, std::span<const std::byte> payload) const;
  Status add_frames(const wal::BatchHeader& header, std::span<const std::byte> payload);
  void step_into_generation();

  ReplicaTarget& target_;
  Position committed_;
  Position received_;  ///< after the last batch or piece taken
  bool image_;         ///< pages of an image are coming; no base is known yet
  bool in_delta_ = false;
  std::uint64_t delta_generation_ = 0;  ///< from whose start on the delta lists pages
  bool in_transaction_ = false;         ///< a piece was taken, its commit is still to come
  bool other_history_;
  std::optional<std::uint64_t> base_;  ///< frame from which on commits are states again
  bool counts_from_base_ = false;      ///< the target counts frames from the base on only
  std::optional<CommittedState> ready_;
  std::optional<wal::Tail> tail_;
  std::uint64_t captured_us_ = 0;
  std::uint64_t commits_ = 0;
  std::uint64_t pages_ = 0;
  bool diverged_ = false;
};

}  // namespace walferry::engine
