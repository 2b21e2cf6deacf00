#include "engine/stream_follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "wal/message_codec.h"

namespace walferry::engine {
namespace {

using testing::HasSubstr;
using wal::BatchHeader;
using wal::Bytes;
using wal::Checksum;
using wal::MessageType;

constexpr std::uint32_t kPageSize = 512;
const LogId kLog{{1, 2, 3}};

class RecordingTarget : public ReplicaTarget {
 public:
  [[nodiscard]] std::uint32_t page_size() const override { return kPageSize; }
  Status add_page(std::uint32_t page, std::span<const std::byte>) override {
    ++added[page];
    return {};
  }
  [[nodiscard]] std::size_t held_bytes() const override { return held; }
  Status begin_frames(const CommittedState& state, bool) override {
    starts.push_back(state.position);
    return {};
  }
  Status note_batch(const BatchHeader&, std::span<const std::byte>) override {
    ++batches;
    return {};
  }
  Status commit(const CommittedState& state, bool other_history) override {
    if (answer) return fail(*answer);
    commits.push_back(state.position);
    other_histories.push_back(other_history);
    return {};
  }
  void rollback() override {}

  std::map<std::uint32_t, int> added;
  std::vector<Position> starts;
  std::vector<Position> commits;
  std::vector<bool> other_histories;
  std::optional<Error> answer;
  std::size_t held = 0;
  int batches = 0;
};

/// Makes batches that fit on each other.
class Sender {
 public:
  explicit Sender(const Position& at) : at_(at) {}

  Bytes batch(std::uint32_t frames, bool commit,
              const std::function<void(BatchHeader&)>& change = {}) {
    BatchHeader header;
    header.generation = at_.generation;
    header.first_frame = at_.frame + 1;
    header.frame_count = frames;
    header.flags = commit ? BatchHeader::kEndsOnCommit : 0u;
    header.checksum_before = at_.checksum;
    if (header.first_frame == 1) {
      header.flags |= BatchHeader::kChainRestarted;
      header.seed = 0x1111222233334444;
    }
    header.salts = 0x0102030405060708;
    header.root_low = at_.frame;
    header.page_size = kPageSize;
    header.page_count = commit ? 50 : 0;
    header.captured_us = UINT64_MAX;  // a primary whose clock is far ahead
    const std::size_t size = wal::frame_size(kPageSize);
    Bytes payload(BatchHeader::kSize + frames * size);
    Checksum chain =
        Checksum::unpack(header.first_frame == 1 ? header.seed : header.checksum_before);
    for (std::uint32_t i = 0; i < frames; ++i) {
      std::byte* raw = payload.data() + BatchHeader::kSize + i * size;
      wal::FrameHeader frame;
      frame.page_number = 1 + (i + static_cast<std::uint32_t>(at_.frame)) % 40;
      frame.commit_page_count = i + 1 == frames ? header.page_count : 0;
      wal::store_be(frame.salts.data(), header.salts);
      frame.encode(raw);
      std::fill(raw + wal::kFrameHeaderSize, raw + size, static_cast<std::byte>(i));
      chain = wal::extend_checksum(chain, std::span<const std::byte>(raw, 8), false);
      chain = wal::extend_checksum(
          chain, std::span<const std::byte>(raw + wal::kFrameHeaderSize, kPageSize), false);
      frame.checksum = chain;
      frame.encode(raw);
    }
    header.checksum_after = chain.packed();
    if (change) change(header);
    header.encode(payload.data());
    at_.frame += frames;
    at_.checksum = chain.packed();
    return payload;
  }
  void next_generation() {
    ++at_.generation;
    at_.frame = 0;
  }
  [[nodiscard]] const Position& at() const noexcept { return at_; }

 private:
  Position at_;
};

Bytes tail_of(const Position& position, const LogId& log = kLog,
              std::uint32_t page_size = kPageSize) {
  wal::Tail tail;
  tail.log = log.bytes;
  tail.generation = position.generation;
  tail.frame = position.frame;
  tail.checksum = position.checksum;
  tail.page_size = page_size;
  Bytes payload(wal::Tail::kSize);
  tail.encode(payload.data());
  return payload;
}

Bytes delta_begin(std::uint32_t flags = 0, std::uint32_t page_size = kPageSize) {
  wal::DeltaBegin begin;
  begin.page_size = page_size;
  begin.flags = flags;
  Bytes payload(wal::DeltaBegin::kSize);
  begin.encode(payload.data());
  return payload;
}

Bytes delta_end(const Position& start, std::uint64_t base) {
  wal::DeltaEnd end;
  end.generation = start.generation;
  end.start_frame = start.frame;
  end.start_checksum = start.checksum;
  end.base_frame = base;
  end.page_size = kPageSize;
  end.page_count = 50;
  Bytes payload(wal::DeltaEnd::kSize);
  end.encode(payload.data());
  return payload;
}

Bytes pages_of(const std::vector<std::uint32_t>& numbers) {
  const auto count = static_cast<std::uint32_t>(numbers.size());
  Bytes payload(wal::PagesHeader::kSize + wal::PagesHeader::numbers_size(count) +
                count * kPageSize);
  wal::PagesHeader{kPageSize, count}.encode(payload.data());
  for (std::uint32_t i = 0; i < count; ++i) {
    wal::store_le(payload.data() + wal::PagesHeader::kSize + std::size_t{4} * i, numbers[i]);
  }
  return payload;
}

class StreamFollowerTest : public testing::Test {
 protected:
  void expect_refused(MessageType type, const Bytes& payload, const std::string& text) {
    const auto batches = target_.batches;
    const Status taken = follower_->take(type, payload);
    ASSERT_FALSE(taken) << text;
    EXPECT_EQ(taken.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(taken.error().message, HasSubstr(text));
    EXPECT_EQ(target_.batches, batches);
  }
  void start(bool image = false, bool other_history = false) {
    follower_.emplace(target_, from_, image, other_history);
  }

  const Position from_{kLog, 3, 7, 0xabcdef};
  RecordingTarget target_;
  Sender sender_{from_};
  std::optional<StreamFollower> follower_;
};

TEST_F(StreamFollowerTest, CommitsWhatFitsAndJoinsWhatIsAtHand) {
  start();
  ASSERT_TRUE(follower_->take(MessageType::kTail, tail_of({kLog, 3, 12, 5})));
  EXPECT_EQ(follower_->lag_frames(), 5U);
  EXPECT_FALSE(follower_->caught_up());
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(follower_->take(MessageType::kBatch, sender_.batch(1, true)));
  EXPECT_TRUE(target_.commits.empty());
  ASSERT_TRUE(follower_->flush());
  EXPECT_EQ(target_.commits, std::vector{sender_.at()});
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender_.batch(2, true)));
  ASSERT_TRUE(follower_->flush());
  EXPECT_EQ(follower_->committed(), sender_.at());
  EXPECT_TRUE(follower_->caught_up());
  EXPECT_EQ(follower_->lag_frames(), 0U);
  sender_.next_generation();
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender_.batch(4, true)));
  ASSERT_TRUE(follower_->flush());
  EXPECT_EQ(follower_->committed(), sender_.at());
  EXPECT_EQ(follower_->lag_frames(), 0U);
  EXPECT_EQ(follower_->pages(), 9U);
}

TEST_F(StreamFollowerTest, FlushesByItselfWhenMuchIsHeld) {
  start();
  target_.held = 64u << 20;
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender_.batch(1, true)));
  EXPECT_EQ(target_.commits.size(), 1U);
}

TEST_F(StreamFollowerTest, NothingIsCommittedWithinATransaction) {
  start();
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender_.batch(2, true)));
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender_.batch(2, false)));
  ASSERT_TRUE(follower_->flush());
  EXPECT_TRUE(target_.commits.empty());
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender_.batch(2, true)));
  ASSERT_TRUE(follower_->flush());
  EXPECT_EQ(target_.commits, std::vector{sender_.at()});
}

TEST_F(StreamFollowerTest, BatchesOutOfSequenceAreRefused) {
  start();
  const auto refuse = [&](const std::function<void(BatchHeader&)>& change,
                          const std::string& text) {
    Sender sender(from_);
    expect_refused(MessageType::kBatch, sender.batch(2, true, change), text);
  };
  refuse([](BatchHeader& h) { ++h.first_frame; }, "where the next after (3, 7)");
  refuse([](BatchHeader& h) { --h.first_frame; }, "where the next after (3, 7)");
  refuse([](BatchHeader& h) { ++h.generation; }, "where the next after (3, 7)");
  refuse(
      [](BatchHeader& h) {
        h.generation += 2;
        h.first_frame = 1;
      },
      "where the next after (3, 7)");
  refuse([](BatchHeader& h) { --h.generation; }, "where the next after (3, 7)");
  refuse([](BatchHeader& h) { ++h.checksum_before; }, "do not fit on position");
  refuse([](BatchHeader& h) { ++h.checksum_after; }, "last checksum");
  refuse([](BatchHeader& h) { ++h.salts; },
         "frame 8 of generation 3 breaks SQLite's checksum chain");
  refuse([](BatchHeader& h) { h.flags |= BatchHeader::kBigEndianWords; }, "checksum chain");
  refuse([](BatchHeader& h) { h.flags |= BatchHeader::kChainRestarted; }, "checksum chain");
  refuse([](BatchHeader& h) { h.page_count = 51; }, "does not end where it says");
  refuse([](BatchHeader& h) { h.page_size = 1024; }, "malformed batch");
  refuse([](BatchHeader& h) { h.frame_count = 3; }, "malformed batch");
  // And what does fit is still taken.
  EXPECT_TRUE(follower_->take(MessageType::kBatch, sender_.batch(2, true)));
}

TEST_F(StreamFollowerTest, EveryChangedByteOfAFrameIsRefused) {
  start();
  const Bytes whole = Sender(from_).batch(2, true);
  for (std::size_t at = BatchHeader::kSize; at < whole.size(); ++at) {
    Bytes damaged = whole;
    damaged[at] ^= std::byte{0x20};
    ASSERT_FALSE(follower_->take(MessageType::kBatch, damaged)) << at;
  }
  EXPECT_TRUE(target_.added.empty());
}

TEST_F(StreamFollowerTest, MessagesInTheWrongPlaceAreRefused) {
  start();
  expect_refused(MessageType::kPages, pages_of({1}), "outside of a delta");
  expect_refused(MessageType::kDeltaEnd, delta_end(from_, 0), "malformed end");
  expect_refused(MessageType::kHashes, Bytes(16), "does not belong");
  expect_refused(MessageType::kTail, tail_of(from_, LogId{{9}}), "another log");
  expect_refused(MessageType::kTail, tail_of(from_, kLog, 1024), "another page size");
  expect_refused(MessageType::kTail, Bytes(3), "malformed tail");
  expect_refused(MessageType::kDeltaBegin, Bytes(3), "malformed delta");
  expect_refused(MessageType::kDeltaBegin, delta_begin(0, 1024), "another page size");
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender_.batch(1, false)));
  expect_refused(MessageType::kDeltaBegin, delta_begin(), "within a transaction");
}

TEST_F(StreamFollowerTest, ADeltaIsAStateOnlyFromItsBaseOn) {
  start(true, true);
  expect_refused(MessageType::kBatch, sender_.batch(1, true), "before the end of a delta");
  ASSERT_TRUE(follower_->take(MessageType::kDeltaBegin, delta_begin()));
  ASSERT_TRUE(follower_->take(MessageType::kPages, pages_of({2, 3, 9})));
  expect_refused(MessageType::kPages, pages_of({4, 0}), "number 0");
  const Position start{kLog, 8, 0, 0x77};
  ASSERT_TRUE(follower_->take(MessageType::kDeltaEnd, delta_end(start, 5)));
  EXPECT_EQ(target_.starts, std::vector{start});
  Sender sender(start);
  for (const std::uint32_t frames : {1u, 2u, 1u}) {
    ASSERT_TRUE(follower_->take(MessageType::kBatch, sender.batch(frames, true)));
    ASSERT_TRUE(follower_->flush());
    EXPECT_TRUE(target_.commits.empty());
  }
  EXPECT_FALSE(follower_->caught_up());
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender.batch(1, true)));
  ASSERT_TRUE(follower_->flush());
  EXPECT_EQ(target_.commits, std::vector{sender.at()});
  EXPECT_EQ(target_.other_histories, std::vector{true});
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender.batch(1, true)));
  ASSERT_TRUE(follower_->flush());
  EXPECT_EQ(target_.other_histories.back(), false);
}

TEST_F(StreamFollowerTest, ABaseIsOwedWithinItsGeneration) {
  start(true);
  ASSERT_TRUE(follower_->take(MessageType::kDeltaBegin, delta_begin()));
  const Position start{kLog, 8, 0, 0x77};
  ASSERT_TRUE(follower_->take(MessageType::kDeltaEnd, delta_end(start, 5)));
  Sender sender(start);
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender.batch(2, true)));
  sender.next_generation();
  expect_refused(MessageType::kBatch, sender.batch(2, true), "where the next after");
  EXPECT_TRUE(target_.commits.empty());
}

TEST_F(StreamFollowerTest, ADeltaWithoutABaseIsAStateAtOnceAndABridgeIsAnotherHistory) {
  start();
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender_.batch(1, true)));
  ASSERT_TRUE(follower_->take(MessageType::kDeltaBegin, delta_begin(wal::DeltaBegin::kBridged)));
  EXPECT_EQ(target_.commits.size(), 1U);  // what was complete before it
  const Position start{kLog, 5, 0, 0x99};
  ASSERT_TRUE(follower_->take(MessageType::kDeltaEnd, delta_end(start, 0)));
  EXPECT_EQ(target_.commits.back(), start);
  EXPECT_EQ(target_.other_histories, (std::vector{false, true}));
}

TEST_F(StreamFollowerTest, TheStartOfTheNextGenerationIsTheSameState) {
  start();
  ASSERT_TRUE(follower_->take(MessageType::kTail, tail_of({kLog, 4, 0, 0xabcdef})));
  EXPECT_EQ(follower_->committed(), (Position{kLog, 4, 0, 0xabcdef}));
  EXPECT_TRUE(follower_->caught_up());
  EXPECT_TRUE(target_.commits.empty());
}

TEST_F(StreamFollowerTest, ATargetThatRefusesTheRootHasDiverged) {
  start();
  target_.answer = Error{ErrorCode::kNoSpace, "full"};
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender_.batch(1, true)));
  EXPECT_FALSE(follower_->flush());
  EXPECT_FALSE(follower_->diverged());
  target_.answer = Error{ErrorCode::kCorrupt, "the pages lead elsewhere"};
  ASSERT_TRUE(follower_->take(MessageType::kBatch, sender_.batch(1, true)));
  EXPECT_FALSE(follower_->flush());
  EXPECT_TRUE(follower_->diverged());
  EXPECT_EQ(follower_->committed(), from_);
}

TEST_F(StreamFollowerTest, AFailureMessageIsToldAsItIs) {
  start();
  const std::string text = "the generation is gone";
  const auto bytes = std::as_bytes(std::span(text));
  const Status taken = follower_->take(MessageType::kFailure, bytes);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kNetwork);
  EXPECT_THAT(taken.error().message, HasSubstr(text));
}

}  // namespace
}  // namespace walferry::engine
