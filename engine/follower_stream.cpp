#include "engine/follower_stream.h"

#include <algorithm>
#include <utility>

#include "engine/page_messages.h"

namespace walferry::engine {

using namespace std::chrono_literals;
using net::BodyPiece;
using net::PullState;
using wal::GenerationStart;

namespace {

constexpr auto kHeartbeat = 5s;
constexpr std::size_t kReadSize = std::size_t{256} << 10;

template <class Message>
wal::Bytes encode_small(wal::MessageType type, const Message& message) {
  wal::Bytes payload(Message::kSize);
  message.encode(payload.data());
  return wal::encode_message(type, payload, wal::Compression::kNever);
}

bool same_place(const GenerationStart& a, const GenerationStart& b) {
  return a.log == b.log && a.generation == b.generation && a.cursor.frame == b.cursor.frame &&
         a.cursor.salts == b.cursor.salts;
}

}  // namespace

Result<std::unique_ptr<FollowerStream>> FollowerStream::open(
    std::shared_ptr<Publication> publication, const Position& from, bool image,
    wal::Compression compression) {
  auto located = publication->log().locate(from);
  if (!located) return fail(located.error());
  std::unique_ptr<FollowerStream> stream(new FollowerStream(std::move(publication), compression));
  stream->log_ = from.log;
  stream->generation_ = image ? from.generation : located->generation;
  stream->spool_offset_ = located->spool_offset;
  stream->starts_with_delta_ = image || located->needs_delta;
  return stream;
}

FollowerStream::~FollowerStream() {
  if (waker_ != 0) publication_->unsubscribe(waker_);
}

void FollowerStream::set_waker(std::function<void()> waker) {
  waker_ = publication_->subscribe(std::move(waker), compression_ == wal::Compression::kWhenItPays);
}

PullState FollowerStream::deliver(BodyPiece& piece, wal::Bytes message) {
  auto owner = std::make_shared<const wal::Bytes>(std::move(message));
  piece.bytes = *owner;
  piece.owner = std::move(owner);
  last_sent_ = Clock::now();
  return PullState::kReady;
}

PullState FollowerStream::fail_with(BodyPiece& piece, const Error& error) {
  stage_ = Stage::kFailed;
  const std::span text(reinterpret_cast<const std::byte*>(error.message.data()),
                       error.message.size());
  return deliver(piece,
                 wal::encode_message(wal::MessageType::kFailure, text, wal::Compression::kNever));
}

PullState FollowerStream::pull(BodyPiece& piece) {
  if (stage_ != Stage::kFailed && publication_->log().start().log != log_) {
    return fail_with(
        piece, {ErrorCode::kHistoryChanged, "the database has another log now: connect again"});
  }
  switch (stage_) {
    case Stage::kGreeting:
      stage_ = starts_with_delta_ ? Stage::kDelta : Stage::kFrames;
      return deliver(piece, tail_message());
    case Stage::kFailed:
      return PullState::kEnd;
    case Stage::kDelta: {
      auto message = next_of_delta();
      if (!message) return fail_with(piece, message.error());
      if (*message) return deliver(piece, std::move(**message));
      return heartbeat(piece);
    }
    case Stage::kFrames: {
      auto next = next_frames();
      if (!next) return fail_with(piece, next.error());
      if (*next) {
        piece.owner = std::move((*next)->owner);
        piece.bytes = (*next)->bytes;
        last_sent_ = Clock::now();
        return PullState::kReady;
      }
      if (stage_ == Stage::kDelta) return pull(piece);
      return heartbeat(piece);
    }
  }
  return PullState::kFailed;
}

PullState FollowerStream::heartbeat(BodyPiece& piece) {
  // A generation that ended without another frame is told as well, or the follower would stand at
  // the end of the old one until the next heartbeat.
  if (std::exchange(tail_owed_, false) || Clock::now() - last_sent_ >= kHeartbeat)
    return deliver(piece, tail_message());
  return PullState::kPending;
}

wal::Bytes FollowerStream::tail_message() {
  const wal::LogTail tail = publication_->log().tail();
  wal::Tail message;
  message.log = tail.position.log.bytes;
  message.generation = tail.position.generation;
  message.frame = tail.position.frame;
  message.checksum = tail.position.checksum;
  message.page_size = tail.page_size;
  message.page_count = tail.page_count;
  return encode_small(wal::MessageType::kTail, message);
}

Result<std::optional<wal::PublishedLog::Piece>> FollowerStream::next_frames() {
  for (;;) {
    auto piece = publication_->log().read(generation_, spool_offset_, kReadSize);
    if (!piece) {
      // Dropped behind us. At its begin a delta can replace it; within it the follower connects
      // anew with the position that it has applied.
      if (piece.error().code != ErrorCode::kNotFound || spool_offset_ != 0)
        return fail(piece.error());
    } else if (*piece) {
      spool_offset_ += (*piece)->bytes.size();
      return piece;
    } else if (!publication_->log().is_end_of(generation_, spool_offset_)) {
      return std::optional<wal::PublishedLog::Piece>{};
    } else if (publication_->log().continues(generation_)) {
      ++generation_;
      spool_offset_ = 0;
      tail_owed_ = true;
      continue;
    }
    stage_ = Stage::kDelta;
    delta_begun_ = false;
    return std::optional<wal::PublishedLog::Piece>{};
  }
}

Result<wal::Bytes> FollowerStream::begin_delta() {
  const GenerationStart start = publication_->log().start();
  auto changes = publication_->log().changes_between(generation_, start.generation);
  if (!changes) return fail(changes.error());
  delta_begun_ = true;
  delta_pages_ = std::move(changes->pages);
  delta_next_ = 1;
  delta_until_ = start.generation;
  wal::DeltaBegin begin;
  begin.generation = generation_;
  begin.page_size = start.page_size;
  begin.pages = delta_pages_.count();
  begin.flags = changes->bridged ? wal::DeltaBegin::kBridged : 0u;
  return encode_small(wal::MessageType::kDeltaBegin, begin);
}

Result<std::optional<wal::Bytes>> FollowerStream::next_of_delta() {
  if (!delta_begun_) return begin_delta();
  const auto source = publication_->source();
  if (!source) return fail(ErrorCode::kBusy, "the database is being attached anew: connect again");
  for (;;) {
    const GenerationStart start = publication_->log().start();
    const std::uint32_t page_count = publication_->log().tail().page_count;
    const std::uint32_t lock_page = wal::lock_byte_page(start.page_size);
    std::vector<std::uint32_t> numbers;
    while (numbers.size() < pages_per_message(start.page_size)) {
      const std::uint32_t page = delta_pages_.next(delta_next_);
      if (page == 0) break;
      delta_next_ = page + 1;
      if (page != lock_page && page <= std::max(page_count, start.page_count))
        numbers.push_back(page);
    }
    if (!numbers.empty()) return encode_pages(*source, start.page_size, numbers, compression_);
    if (start.generation == delta_until_) {
      // The base is read after the last page.
      const std::uint64_t base = source->base_frame(start);
      // A generation is just ending; whoever ends it wakes us.
      if (base == kBaseElsewhere) return std::optional<wal::Bytes>{};
      if (!same_place(publication_->log().start(), start)) continue;
      // The next pull goes on with frames.
      generation_ = start.generation;
      spool_offset_ = 0;
      stage_ = Stage::kFrames;
      return end_delta(start, base);
    }
    // A generation ended while its pages were read: what it changed is still owed.
    auto more = publication_->log().changes_between(delta_until_, start.generation);
    if (!more) return fail(more.error());
    if (more->bridged)
      return fail(ErrorCode::kBusy, "the history was bridged meanwhile: connect again");
    delta_pages_ = std::move(more->pages);
    delta_next_ = 1;
    delta_until_ = start.generation;
  }
}

wal::Bytes FollowerStream::end_delta(const GenerationStart& start, std::uint64_t base_frame) {
  wal::DeltaEnd end;
  end.generation = start.generation;
  end.start_frame = start.frame;
  end.start_checksum = start.checksum;
  end.base_frame = std::max(base_frame, start.frame);
  end.root_low = start.root.low;
  end.root_high = start.root.high;
  end.page_size = start.page_size;
  end.page_count = start.page_count;
  return encode_small(wal::MessageType::kDeltaEnd, end);
}

}  // namespace walferry::engine
