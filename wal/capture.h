/// Reads what has been committed to a WAL since the last look, proven by SQLite's own checksums.
///
/// A capture owns a cursor: the last frame read and the checksum chain there. It takes a header
/// of the wal-index only when both copies agree, reads the frames up to it, checks the salts and
/// the running checksum of each and the chain against the header, and reads the header again, so
/// that a log restarted meanwhile is noticed.
///
/// With CKPT ours, SQLite's next writer can restart the log only when every frame of it is in the
/// database. The owner says when that is so (`restartable`); a restart at any other moment means
/// that frames were lost.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "wal/database_handle.h"
#include "wal/message_codec.h"
#include "wal/wal_format.h"
#include "walferry/error.hpp"

namespace walferry::wal {

struct CaptureCursor {
  Salts salts{};
  bool big_endian_words = false;
  std::uint32_t frame = 0;  ///< the last physical frame that was read
  Checksum chain;           ///< the running checksum there
};

/// Some consecutive frames. `payload` has BatchHeader::kSize bytes of room in front of the frames.
struct CapturedFrames {
  std::span<std::byte> payload;
  std::uint32_t count = 0;
  CaptureCursor before;
  CaptureCursor after;
  bool restarted = false;        ///< the log was restarted before the first of them
  std::uint32_t page_count = 0;  ///< 0: they end within a transaction
  [[nodiscard]] std::span<const std::byte> frame(std::uint32_t i, std::uint32_t page_size) const {
    return payload.subspan(BatchHeader::kSize + i * frame_size(page_size), frame_size(page_size));
  }
};

enum class DrainOutcome {
  kCaughtUp,    ///< everything that is committed was delivered
  kUnreadable,  ///< the header is being written, or its writer died: look again, then repair
  kLost,        ///< the log is not the one that was followed: attach anew
};

class Capture {
 public:
  using Receiver = std::function<Status(const CapturedFrames&)>;

  Capture(DatabaseHandle& handle, const CaptureCursor& cursor);

  [[nodiscard]] const CaptureCursor& cursor() const noexcept { return cursor_; }
  void move_to(const CaptureCursor& cursor) noexcept { cursor_ = cursor; }

  /// Delivers what is new, about a mebibyte at a time, cut after commits where there are any.
  Result<DrainOutcome> drain(bool restartable, const Receiver& receive);

  /// True while a whole transaction lies in the file that the header does not show yet: its
  /// writer is syncing it, or died. Incremental: each call goes on where the last one stopped.
  Result<bool> commit_is_imminent(bool restartable);

 private:
  Result<DrainOutcome> read_frames(const IndexHeader& header, bool restarted,
                                   const Receiver& receive);
  /// Checks frames in buffer_; returns how many of them belong to whole transactions.
  Result<bool> check_frames(std::uint32_t count, CaptureCursor& cursor, std::uint32_t& whole,
                            CaptureCursor& at_whole, std::uint32_t& page_count);
  Result<bool> read_log_header(CaptureCursor& cursor);

  DatabaseHandle& handle_;
  CaptureCursor cursor_;
  CaptureCursor scan_;  ///< how far commit_is_imminent() has looked
  bool scan_found_ = false;
  Bytes buffer_;
};

/// A cursor at frame `frame` of the log that is on disk now; kCorrupt when its header is not one.
Result<CaptureCursor> cursor_at(DatabaseHandle& handle, std::uint32_t frame);

}  // namespace walferry::wal
