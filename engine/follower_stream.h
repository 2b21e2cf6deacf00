/// What one follower receives: from its position to the tail, then each commit as it happens.
///
/// The stream sends the frames themselves where they are kept and not more than the pages they
/// changed; else a delta: those pages as they are now, and the frames of the current generation,
/// which together are a committed state from the base on. It keeps no more than one piece.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "engine/publication.h"
#include "net/http_server.h"

namespace walferry::engine {

class FollowerStream : public net::BodySource {
 public:
  /// `image`: the follower has an image that is complete only from a base on (a snapshot it has
  /// just read, a reconcile), as of the start of `from`'s generation; it is told the base.
  static Result<std::unique_ptr<FollowerStream>> open(std::shared_ptr<Publication> publication,
                                                      const Position& from, bool image,
                                                      wal::Compression compression);
  ~FollowerStream() override;

  net::PullState pull(net::BodyPiece& piece) override;
  void set_waker(std::function<void()> waker) override;

 private:
  enum class Stage { kGreeting, kDelta, kFrames, kFailed };
  using Clock = std::chrono::steady_clock;

  FollowerStream(std::shared_ptr<Publication> publication, wal::Compression compression)
      : publication_(std::move(publication)), compression_(compression) {}

  /// Nothing while a generation is just ending.
  Result<std::optional<wal::Bytes>> next_of_delta();
  Result<wal::Bytes> begin_delta();
  static wal::Bytes end_delta(const wal::GenerationStart& start, std::uint64_t base_frame);
  Result<std::optional<wal::PublishedLog::Piece>> next_frames();
  /// Nothing to send: the tail now and then, so that the follower knows that we live.
  net::PullState heartbeat(net::BodyPiece& piece);
  wal::Bytes tail_message();
  net::PullState deliver(net::BodyPiece& piece, wal::Bytes message);
  net::PullState fail_with(net::BodyPiece& piece, const Error& error);

  std::shared_ptr<Publication> publication_;
  LogId log_;  ///< generations are numbered within it
  wal::Compression compression_;
  Publication::WakerId waker_ = 0;
  Stage stage_ = Stage::kGreeting;
  bool starts_with_delta_ = false;
  bool delta_begun_ = false;
  std::uint64_t generation_ = 0;  ///< of the next frame, or the first that the delta covers
  std::uint64_t spool_offset_ = 0;
  wal::PageSet delta_pages_;
  std::uint32_t delta_next_ = 1;   ///< the next page number to look for in delta_pages_
  std::uint64_t delta_until_ = 0;  ///< generation that the pages listed so far lead to
  bool tail_owed_ = false;
  Clock::time_point last_sent_{};
};

}  // namespace walferry::engine
