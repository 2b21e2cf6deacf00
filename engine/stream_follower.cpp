#include "engine/stream_follower.h"

#include <algorithm>
#include <utility>

namespace walferry::engine {

using wal::BatchHeader;
using wal::Checksum;
using wal::FrameHeader;
using wal::MessageType;

namespace {

/// Transactions are joined while more messages are at hand, up to this much.
constexpr std::size_t kJoinBytes = 4u << 20;

/// A primary that is restarted again and again ends generations without a frame in them. No message
/// tells of these; the checksum at their start is that at their end. A server keeps no more by
/// default.
constexpr std::uint64_t kMostGenerationsAtOnce = 1'000;

std::unexpected<Error> wrong(const std::string& what) { return fail(ErrorCode::kCorrupt, what); }

}  // namespace

StreamFollower::StreamFollower(ReplicaTarget& target, const Position& from, bool image,
                               bool other_history)
    : target_(target),
      committed_(from),
      received_(from),
      image_(image),
      other_history_(other_history) {}

Status StreamFollower::take(MessageType type, std::span<const std::byte> payload) {
  switch (type) {
    case MessageType::kBatch:
      return take_batch(payload);
    case MessageType::kPages:
      return take_pages(payload);
    case MessageType::kDeltaBegin:
      return take_delta_begin(payload);
    case MessageType::kDeltaEnd:
      return take_delta_end(payload);
    case MessageType::kTail:
      return take_tail(payload);
    case MessageType::kFailure:
      return fail(ErrorCode::kNetwork,
                  "the server ended the stream: " +
                      std::string(reinterpret_cast<const char*>(payload.data()), payload.size()));
    case MessageType::kHashes:
      break;
  }
  return wrong("a message that does not belong in a stream");
}

Status StreamFollower::take_tail(std::span<const std::byte> payload) {
  auto tail = wal::Tail::decode(payload);
  if (!tail) return wrong("a malformed tail message");
  if (tail->log != committed_.log.bytes) return wrong("a stream of another log");
  if (tail->page_size != target_.page_size()) return wrong("a stream of another page size");
  tail_ = *tail;
  step_into_generation();
  return {};
}

/// The start of a generation is the same state as the end of the one before: no message says so.
void StreamFollower::step_into_generation() {
  if (!tail_ || image_ || in_delta_ || base_ || ready_ || received_ != committed_) return;
  if (tail_->frame != 0 || tail_->generation <= committed_.generation ||
      tail_->generation - committed_.generation > kMostGenerationsAtOnce ||
      tail_->checksum != committed_.checksum)
    return;
  received_.generation = committed_.generation = tail_->generation;
  received_.frame = committed_.frame = 0;
}

Status StreamFollower::take_delta_begin(std::span<const std::byte> payload) {
  const auto begin = wal::DeltaBegin::decode(payload);
  if (!begin) return wrong("a malformed delta");
  if (Status possible = check_delta_begin(*begin); !possible) return possible;
  if (Status flushed = flush(); !flushed) return flushed;
  in_delta_ = true;
  delta_generation_ = begin->generation;
  other_history_ = other_history_ || (begin->flags & wal::DeltaBegin::kBridged) != 0;
  return {};
}

Status StreamFollower::check_delta_begin(const wal::DeltaBegin& begin) const {
  if (begin.page_size != target_.page_size()) return wrong("a delta of another page size");
  if (in_delta_) return wrong("a delta within a delta");
  if (in_transaction_ || base_) return wrong("a delta within a transaction");
  // Generations without a frame may lie between, of which no message told.
  if (begin.generation < received_.generation ||
      (image_ && begin.generation != received_.generation)) {
    return wrong("a delta from generation " + std::to_string(begin.generation) + " on position " +
                 received_.to_text());
  }
  return {};
}

/// A state of so many pages is possible, and they are all there. SQLite never makes a database
/// larger than by pages that it writes, but for the lock-byte page.
Status StreamFollower::check_pages(std::uint32_t page_count) const {
  if (page_count == 0 || page_count > wal::kMaxPageCount || !target_.covers(page_count)) {
    return wrong("a database of " + std::to_string(page_count) + " pages at position " +
                 received_.to_text() + ", where not all of them were sent");
  }
  return {};
}

Status StreamFollower::take_pages(std::span<const std::byte> payload) {
  const auto header = wal::PagesHeader::decode(payload);
  if (!header) return wrong("malformed pages");
  if (!in_delta_) return wrong("pages outside of a delta");
  if (header->page_size != target_.page_size()) return wrong("pages of another size");
  const wal::PagesView pages(*header, payload);
  for (std::uint32_t i = 0; i < pages.count(); ++i) {
    if (pages.number(i) == 0 || pages.number(i) > wal::kMaxPageCount)
      return wrong("a page with number " + std::to_string(pages.number(i)));
  }
  for (std::uint32_t i = 0; i < pages.count(); ++i) {
    if (Status added = target_.add_page(pages.number(i), pages.page(i)); !added) return added;
  }
  pages_ += pages.count();
  return {};
}

Status StreamFollower::take_delta_end(std::span<const std::byte> payload) {
  const auto end = wal::DeltaEnd::decode(payload);
  if (!end || !in_delta_) return wrong("a malformed end of a delta");
  if (end->page_size != target_.page_size()) return wrong("a delta of another page size");
  if (end->generation < delta_generation_) {
    return wrong("a delta from generation " + std::to_string(delta_generation_) +
                 " on that ends in generation " + std::to_string(end->generation));
  }
  in_delta_ = false;
  const bool was_image = std::exchange(image_, false);
  received_ = Position{committed_.log, end->generation, end->start_frame, end->start_checksum};
  const CommittedState start{received_, {end->root_low, end->root_high}, end->page_count};
  std::uint64_t base = end->base_frame;
  // What an image lacks was found by the hashes of a later state than the generation's start, but
  // no later one than the log reached when the stream began.
  if (was_image && tail_ && tail_->generation == end->generation)
    base = std::max(base, tail_->frame);
  if (base > end->start_frame) base_ = base;
  // An image may lack pages that a later state than the start does not have any more: what it is at
  // the start, and at frames before the base, is nothing that a target could count from.
  counts_from_base_ = was_image && base_;
  if (!counts_from_base_) {
    if (Status enough = check_pages(end->page_count); !enough) return enough;
    if (Status begun = target_.begin_frames(start, other_history_); !begun) return begun;
  }
  if (base_) return {};
  ready_ = start;
  return flush();
}

Status StreamFollower::check_chain(const BatchHeader& header,
                                   std::span<const std::byte> payload) const {
  const bool next_in_generation =
      header.generation == received_.generation && header.first_frame == received_.frame + 1;
  const bool next_generation = header.generation > received_.generation &&
                               header.generation - received_.generation <= kMostGenerationsAtOnce &&
                               header.first_frame == 1 && !base_ && !in_transaction_;
  if (!next_in_generation && !next_generation) {
    return wrong("frames (" + std::to_string(header.generation) + ", " +
                 std::to_string(header.first_frame) + ") where the next after (" +
                 std::to_string(received_.generation) + ", " + std::to_string(received_.frame) +
                 ") should be");
  }
  if (header.checksum_before != received_.checksum)
    return wrong("frames that do not fit on position " + received_.to_text());
  if (header.page_size != target_.page_size()) return wrong("frames of another page size");
  const bool big = (header.flags & BatchHeader::kBigEndianWords) != 0;
  Checksum chain = Checksum::unpack(
      (header.flags & BatchHeader::kChainRestarted) != 0 ? header.seed : header.checksum_before);
  const std::size_t size = wal::frame_size(header.page_size);
  for (std::uint32_t i = 0; i < header.frame_count; ++i) {
    const auto frame = payload.subspan(BatchHeader::kSize + i * size, size);
    const FrameHeader decoded = FrameHeader::decode(frame.data());
    chain = wal::extend_checksum(chain, frame.first(8), big);
    chain = wal::extend_checksum(chain, frame.subspan(wal::kFrameHeaderSize), big);
    const auto wrong_frame = [&](const std::string& what) {
      return wrong("frame " + std::to_string(header.first_frame + i) + " of generation " +
                   std::to_string(header.generation) + " " + what);
    };
    if (chain != decoded.checksum ||
        wal::load_be<std::uint64_t>(decoded.salts.data()) != header.salts) {
      return wrong_frame("breaks SQLite's checksum chain");
    }
    if (decoded.page_number == 0 || decoded.page_number > wal::kMaxPageCount)
      return wrong_frame("has page number " + std::to_string(decoded.page_number));
    if (i + 1 == header.frame_count && decoded.commit_page_count != header.page_count) {
      return wrong("a batch that does not end where it says");
    }
  }
  if (chain.packed() != header.checksum_after)
    return wrong("a batch whose last checksum is not the one it says");
  return {};
}

Status StreamFollower::add_frames(const BatchHeader& header, std::span<const std::byte> payload) {
  const std::size_t size = wal::frame_size(header.page_size);
  for (std::uint32_t i = 0; i < header.frame_count; ++i) {
    const auto frame = payload.subspan(BatchHeader::kSize + i * size, size);
    const std::uint32_t page = FrameHeader::decode(frame.data()).page_number;
    if (Status added = target_.add_page(page, frame.subspan(wal::kFrameHeaderSize)); !added)
      return added;
  }
  pages_ += header.frame_count;
  return counts_from_base_ ? Status{} : target_.note_batch(header, payload);
}

Status StreamFollower::take_batch(std::span<const std::byte> payload) {
  const auto header = BatchHeader::decode(payload);
  if (!header) return wrong("a malformed batch");
  if (image_ || in_delta_) return wrong("frames before the end of a delta");
  if (Status chained = check_chain(*header, payload); !chained) return chained;
  if (Status added = add_frames(*header, payload); !added) return added;
  received_.generation = header->generation;
  received_.frame = header->last_frame();
  received_.checksum = header->checksum_after;
  captured_us_ = header->captured_us;
  in_transaction_ = !header->ends_on_commit();
  if (in_transaction_) {
    ready_.reset();  // what was complete is now part of a longer transaction
    return {};
  }
  if (base_ && received_.frame < *base_ && counts_from_base_) return {};
  if (Status enough = check_pages(header->page_count); !enough) return enough;
  if (base_ && received_.frame < *base_) return {};
  base_.reset();
  const CommittedState state{received_, {header->root_low, header->root_high}, header->page_count};
  if (std::exchange(counts_from_base_, false)) {
    if (Status begun = target_.begin_frames(state, other_history_); !begun) return begun;
  }
  ready_ = state;
  if (target_.held_bytes() >= kJoinBytes) return flush();
  return {};
}

Status StreamFollower::flush() {
  if (!ready_) return {};
  const CommittedState state = *ready_;
  ready_.reset();
  Status done = target_.commit(state, other_history_);
  if (!done) {
    diverged_ = done.error().code == ErrorCode::kCorrupt;
    return done;
  }
  committed_ = state.position;
  other_history_ = false;
  ++commits_;
  if (tail_ &&
      (state.position.generation > tail_->generation ||
       (state.position.generation == tail_->generation && state.position.frame > tail_->frame))) {
    tail_->generation = state.position.generation;
    tail_->frame = state.position.frame;
    tail_->checksum = state.position.checksum;
  }
  step_into_generation();
  return {};
}

bool StreamFollower::caught_up() const noexcept {
  return tail_ && !image_ && !in_delta_ && !base_ && !ready_ && received_ == committed_ &&
         (committed_.generation > tail_->generation ||
          (committed_.generation == tail_->generation && committed_.frame >= tail_->frame));
}

std::uint64_t StreamFollower::lag_frames() const noexcept {
  if (!tail_ || committed_.generation > tail_->generation) return 0;
  if (committed_.generation == tail_->generation)
    return tail_->frame - std::min(tail_->frame, committed_.frame);
  return std::max<std::uint64_t>(tail_->frame, 1);  // and what is left of the generations between
}

}  // namespace walferry::engine
