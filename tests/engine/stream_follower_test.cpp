#include "engine/stream_follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/wal/batch_builder.h"

namespace walferry::engine {
namespace {

using test::BatchBuilder;
using test::BuiltBatch;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using wal::Bytes;
using wal::Hash128;
using wal::MessageType;

constexpr std::uint32_t kPageSize = 512;
const LogId kLog{{1, 2, 3}};
const Position kFrom{kLog, 5, 0, 0xabcdef};

std::string place(const Position& position) {
  return std::to_string(position.generation) + "." + std::to_string(position.frame);
}

/// Writes down what it is told, and refuses what it is told to refuse.
class RecordingTarget : public ReplicaTarget {
 public:
  [[nodiscard]] std::uint32_t page_size() const override { return kPageSize; }
  Status add_page(std::uint32_t page, std::span<const std::byte> bytes) override {
    pages_[page] = Bytes(bytes.begin(), bytes.end());
    ++added_;
    return failure_of_pages;
  }
  bool covers(std::uint32_t page_count) override {
    asked_to_cover.push_back(page_count);
    return page_count <= covered;
  }
  [[nodiscard]] std::size_t held_bytes() const override { return held; }
  Status begin_frames(const CommittedState& start, bool other_history) override {
    events.push_back("begin " + place(start.position) + (other_history ? " other" : ""));
    return {};
  }
  Status note_batch(const wal::BatchHeader& header, std::span<const std::byte> payload) override {
    EXPECT_EQ(payload.size(),
              wal::BatchHeader::kSize + header.frame_count * wal::frame_size(kPageSize));
    return {};
  }
  Status commit(const CommittedState& state, bool other_history) override {
    events.push_back("commit " + place(state.position) + " of " + std::to_string(added_) +
                     " pages" + (other_history ? " other" : ""));
    added_ = 0;
    committed = state;
    return failure_of_commit;
  }
  void rollback() override { events.emplace_back("rollback"); }

  [[nodiscard]] const std::map<std::uint32_t, Bytes>& pages() const { return pages_; }
  /// What happened since the last call.
  std::vector<std::string> take_events() { return std::exchange(events, {}); }

  std::vector<std::string> events;
  CommittedState committed;
  std::size_t held = 0;
  std::uint32_t covered = wal::kMaxPageCount;
  std::vector<std::uint32_t> asked_to_cover;
  Status failure_of_pages;
  Status failure_of_commit;

 private:
  std::map<std::uint32_t, Bytes> pages_;
  int added_ = 0;
};

template <class Header>
Bytes encoded(const Header& header) {
  Bytes payload(Header::kSize);
  header.encode(payload.data());
  return payload;
}

Bytes pages_payload(const std::vector<std::uint32_t>& numbers,
                    std::uint32_t page_size = kPageSize) {
  const auto count = static_cast<std::uint32_t>(numbers.size());
  Bytes payload(wal::PagesHeader::kSize + wal::PagesHeader::numbers_size(count) +
                numbers.size() * page_size);
  wal::PagesHeader{page_size, count}.encode(payload.data());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    wal::store_le(payload.data() + wal::PagesHeader::kSize + i * 4, numbers[i]);
  }
  return payload;
}

class StreamFollowerTest : public testing::Test {
 protected:
  void start(bool image = false, bool other_history = false) {
    follower_ = std::make_unique<StreamFollower>(target_, kFrom, image, other_history);
  }
  Status take(const BuiltBatch& batch) {
    return follower_->take(MessageType::kBatch, batch.payload);
  }
  void take_and_flush(const BuiltBatch& batch) {
    const Status taken = take(batch);
    ASSERT_TRUE(taken) << taken.error().message;
    ASSERT_TRUE(follower_->flush());
  }
  static wal::Tail tail_at(const Position& position) {
    wal::Tail tail;
    tail.log = position.log.bytes;
    tail.generation = position.generation;
    tail.frame = position.frame;
    tail.checksum = position.checksum;
    tail.page_size = kPageSize;
    tail.page_count = 100;
    return tail;
  }
  Status take_tail(const Position& position) {
    return follower_->take(MessageType::kTail, encoded(tail_at(position)));
  }
  Status take_delta_begin(std::uint32_t flags = 0) {
    wal::DeltaBegin begin;
    begin.generation = kFrom.generation;
    begin.page_size = kPageSize;
    begin.flags = flags;
    return follower_->take(MessageType::kDeltaBegin, encoded(begin));
  }
  Status take_pages(const std::vector<std::uint32_t>& numbers) {
    return follower_->take(MessageType::kPages, pages_payload(numbers));
  }
  static wal::DeltaEnd delta_end(const Position& start, std::uint64_t base) {
    wal::DeltaEnd end;
    end.generation = start.generation;
    end.start_frame = start.frame;
    end.start_checksum = start.checksum;
    end.base_frame = base;
    end.root_low = 77;
    end.page_size = kPageSize;
    end.page_count = 50;
    return end;
  }
  Status take_delta_end(const Position& start, std::uint64_t base) {
    return follower_->take(MessageType::kDeltaEnd, encoded(delta_end(start, base)));
  }
  /// It is refused as damage, in words that contain `text`, and nothing is committed by it.
  void expect_refused(const Status& taken, const std::string& text) {
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(taken.error().message, HasSubstr(text));
    EXPECT_FALSE(follower_->diverged());
    EXPECT_THAT(target_.take_events(), IsEmpty());
  }

  RecordingTarget target_;
  BatchBuilder builder_{kPageSize, kFrom};
  std::unique_ptr<StreamFollower> follower_;
};

TEST_F(StreamFollowerTest, CommitsEachTransactionThatIsComplete) {
  start();
  ASSERT_TRUE(take_tail(kFrom));
  EXPECT_TRUE(follower_->caught_up());
  const Bytes content = builder_.page(8, 2);
  take_and_flush(builder_.commit({7, 8}, 90));
  take_and_flush(builder_.commit({9}, 91));
  EXPECT_THAT(target_.take_events(), ElementsAre("commit 5.2 of 2 pages", "commit 5.3 of 1 pages"));
  EXPECT_EQ(follower_->committed(), builder_.position());
  EXPECT_EQ(target_.committed.position, builder_.position());
  EXPECT_EQ(target_.committed.root, builder_.root());
  EXPECT_EQ(target_.committed.page_count, 91u);
  EXPECT_EQ(target_.pages().at(8), content);
  EXPECT_EQ(follower_->commits(), 2u);
  EXPECT_EQ(follower_->pages(), 3u);
  EXPECT_EQ(follower_->last_captured_us(), 1'002u);
  EXPECT_TRUE(follower_->caught_up());
  EXPECT_TRUE(follower_->flush());
  EXPECT_THAT(target_.take_events(), IsEmpty());
}

TEST_F(StreamFollowerTest, FollowsBothByteOrders) {
  builder_ = BatchBuilder(kPageSize, kFrom, true);
  start();
  take_and_flush(builder_.commit({1, 2, 3}));
  EXPECT_THAT(target_.take_events(), ElementsAre("commit 5.3 of 3 pages"));
}

TEST_F(StreamFollowerTest, JoinsTransactionsWhileMoreAreAtHand) {
  start();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(take(builder_.commit({1, 2})));
  EXPECT_THAT(target_.take_events(), IsEmpty());
  EXPECT_EQ(follower_->committed(), kFrom);
  EXPECT_FALSE(follower_->caught_up());
  ASSERT_TRUE(follower_->flush());
  EXPECT_THAT(target_.take_events(), ElementsAre("commit 5.10 of 10 pages"));
}

TEST_F(StreamFollowerTest, JoinsOnlyAsMuchAsMemoryAllows) {
  start();
  target_.held = 64u << 20;
  ASSERT_TRUE(take(builder_.commit({1, 2})));
  EXPECT_THAT(target_.take_events(), ElementsAre("commit 5.2 of 2 pages"));
  ASSERT_TRUE(take(builder_.piece({1, 2})));
  EXPECT_THAT(target_.take_events(), IsEmpty());
}

TEST_F(StreamFollowerTest, PiecesBecomeOneTransaction) {
  start();
  ASSERT_TRUE(take(builder_.piece({1, 2})));
  ASSERT_TRUE(follower_->flush());
  ASSERT_TRUE(take(builder_.piece({3})));
  ASSERT_TRUE(follower_->flush());
  EXPECT_THAT(target_.take_events(), IsEmpty());
  EXPECT_EQ(follower_->committed(), kFrom);
  take_and_flush(builder_.commit({4}));
  EXPECT_THAT(target_.take_events(), ElementsAre("commit 5.4 of 4 pages"));
}

TEST_F(StreamFollowerTest, ATransactionThatIsCompleteWaitsForPiecesThatJoinedIt) {
  start();
  ASSERT_TRUE(take(builder_.commit({1})));
  ASSERT_TRUE(take(builder_.piece({2})));
  ASSERT_TRUE(follower_->flush());
  EXPECT_THAT(target_.take_events(), IsEmpty());
  take_and_flush(builder_.commit({3}));
  EXPECT_THAT(target_.take_events(), ElementsAre("commit 5.3 of 3 pages"));
}

TEST_F(StreamFollowerTest, GoesOnInTheNextGeneration) {
  start();
  take_and_flush(builder_.commit({1}));
  builder_.end_generation();
  take_and_flush(builder_.commit({2}));
  builder_.end_generation();
  ASSERT_TRUE(take(builder_.commit({3})));
  builder_.end_generation();
  take_and_flush(builder_.commit({4}));
  EXPECT_THAT(target_.take_events(), ElementsAre("commit 5.1 of 1 pages", "commit 6.1 of 1 pages",
                                                 "commit 8.1 of 2 pages"));
}

// Those of a primary that was restarted twice without a write in between.
TEST_F(StreamFollowerTest, StepsOverGenerationsWithoutAFrame) {
  start();
  take_and_flush(builder_.commit({1}));
  builder_.end_generation();
  builder_.end_generation();
  builder_.end_generation();
  take_and_flush(builder_.commit({2}));
  EXPECT_THAT(target_.take_events(), ElementsAre("commit 5.1 of 1 pages", "commit 8.1 of 1 pages"));
  builder_.end_generation();
  builder_.end_generation();
  ASSERT_TRUE(take_tail(builder_.position()));
  EXPECT_EQ(follower_->committed(), builder_.position());
  EXPECT_TRUE(follower_->caught_up());
  // Not over a bridge: the state there is another.
  builder_.end_generation();
  builder_.bridge_to_next_generation();
  expect_refused(take(builder_.commit({3})), "do not fit on position");
}

TEST_F(StreamFollowerTest, StepsIntoAGenerationThatIsStillEmpty) {
  start();
  take_and_flush(builder_.commit({1}));
  const Position end = builder_.position();
  builder_.end_generation();
  Position other = builder_.position();
  other.checksum ^= 1;  // after a bridge: not the same state
  ASSERT_TRUE(take_tail(other));
  EXPECT_EQ(follower_->committed(), end);
  ASSERT_TRUE(take_tail(builder_.position()));
  EXPECT_EQ(follower_->committed(), builder_.position());
  EXPECT_EQ(follower_->committed().generation, end.generation + 1);
  EXPECT_TRUE(follower_->caught_up());
  take_and_flush(builder_.commit({2}));
  EXPECT_EQ(follower_->committed(), builder_.position());
}

TEST_F(StreamFollowerTest, StepsIntoItAfterTheLastCommitOfTheOneBefore) {
  start();
  const BuiltBatch last = builder_.commit({1});
  builder_.end_generation();
  ASSERT_TRUE(take_tail(builder_.position()));
  EXPECT_FALSE(follower_->caught_up());
  EXPECT_GT(follower_->lag_frames(), 0u);
  take_and_flush(last);
  EXPECT_EQ(follower_->committed(), builder_.position());
  EXPECT_TRUE(follower_->caught_up());
  EXPECT_EQ(follower_->lag_frames(), 0u);
}

TEST_F(StreamFollowerTest, KnowsHowFarBehindItIs) {
  start();
  EXPECT_FALSE(follower_->caught_up());
  const BuiltBatch first = builder_.commit({1, 2, 3});
  const BuiltBatch second = builder_.commit({4, 5});
  ASSERT_TRUE(take_tail(builder_.position()));
  EXPECT_EQ(follower_->lag_frames(), 5u);
  take_and_flush(first);
  EXPECT_EQ(follower_->lag_frames(), 2u);
  EXPECT_FALSE(follower_->caught_up());
  take_and_flush(second);
  EXPECT_EQ(follower_->lag_frames(), 0u);
  EXPECT_TRUE(follower_->caught_up());
  // What is newer than the last heartbeat moves the tail along.
  take_and_flush(builder_.commit({6}));
  EXPECT_EQ(follower_->tail()->frame, 6u);
  EXPECT_EQ(follower_->lag_frames(), 0u);
}

// A delta and the frames up to its base are one transaction.
TEST_F(StreamFollowerTest, ADeltaIsShownOnlyFromItsBaseOn) {
  start();
  const Position begun{kLog, 9, 0, 0x1234};
  ASSERT_TRUE(take_delta_begin());
  ASSERT_TRUE(take_pages({1, 2}));
  ASSERT_TRUE(take_pages({3}));
  ASSERT_TRUE(take_delta_end(begun, 4));
  EXPECT_FALSE(follower_->caught_up());
  builder_.stand_at(begun);
  take_and_flush(builder_.commit({4, 5}));
  take_and_flush(builder_.piece({6}));
  EXPECT_THAT(target_.take_events(), ElementsAre("begin 9.0"));
  EXPECT_EQ(follower_->committed(), kFrom);
  take_and_flush(builder_.commit({7, 8}));
  take_and_flush(builder_.commit({9}));
  EXPECT_THAT(target_.take_events(), ElementsAre("commit 9.5 of 8 pages", "commit 9.6 of 1 pages"));
}

TEST_F(StreamFollowerTest, ADeltaWithoutABaseBeyondItsStartIsAStateItself) {
  for (const std::uint64_t base : {0u, 7u}) {
    start();
    const Position begun{kLog, 9, 7, 0x1234};
    ASSERT_TRUE(take_delta_begin());
    ASSERT_TRUE(take_pages({1}));
    ASSERT_TRUE(take_delta_end(begun, base));
    EXPECT_THAT(target_.take_events(), ElementsAre("begin 9.7", "commit 9.7 of 1 pages"));
    EXPECT_EQ(follower_->committed(), begun);
    EXPECT_EQ(target_.committed.root, (Hash128{77, 0}));
    EXPECT_EQ(target_.committed.page_count, 50u);
  }
}

TEST_F(StreamFollowerTest, WhatIsCompleteIsCommittedBeforeADelta) {
  start();
  ASSERT_TRUE(take(builder_.commit({1})));
  ASSERT_TRUE(take_delta_begin());
  EXPECT_THAT(target_.take_events(), ElementsAre("commit 5.1 of 1 pages"));
  ASSERT_TRUE(take_delta_end({kLog, 6, 0, 1}, 0));
  EXPECT_THAT(target_.take_events(), ElementsAre("begin 6.0", "commit 6.0 of 0 pages"));
}

// Over a bridge readers must not keep their schema; over what follows it they may.
TEST_F(StreamFollowerTest, ABridgeIsAnotherHistoryOnce) {
  start();
  ASSERT_TRUE(take_delta_begin(wal::DeltaBegin::kBridged));
  const Position begun{kLog, 6, 0, 1};
  ASSERT_TRUE(take_delta_end(begun, 0));
  builder_.stand_at(begun);
  take_and_flush(builder_.commit({1}));
  EXPECT_THAT(target_.take_events(), ElementsAre("begin 6.0 other", "commit 6.0 of 0 pages other",
                                                 "commit 6.1 of 1 pages"));
}

TEST_F(StreamFollowerTest, AnImageIsNoStateBeforeItsBase) {
  start(true, true);
  ASSERT_TRUE(take_tail(kFrom));
  EXPECT_FALSE(follower_->caught_up());
  expect_refused(take(builder_.commit({1})), "before the end of a delta");
  expect_refused(take_pages({1}), "outside of a delta");

  start(true, true);
  builder_.stand_at(kFrom);
  ASSERT_TRUE(take_delta_begin());
  ASSERT_TRUE(take_delta_end(kFrom, 2));
  take_and_flush(builder_.commit({1}));
  EXPECT_THAT(target_.take_events(), IsEmpty());
  take_and_flush(builder_.commit({1}));
  take_and_flush(builder_.commit({1}));
  EXPECT_THAT(target_.take_events(), ElementsAre("begin 5.2 other", "commit 5.2 of 2 pages other",
                                                 "commit 5.3 of 1 pages"));
}

// Pages of an image may be as new as the log was when the stream began.
TEST_F(StreamFollowerTest, TheBaseOfAnImageIsNotBeforeTheTail) {
  start(true);
  Position tail = kFrom;
  tail.frame = 3;
  ASSERT_TRUE(take_tail(tail));
  ASSERT_TRUE(take_delta_begin());
  ASSERT_TRUE(take_delta_end(kFrom, 1));
  take_and_flush(builder_.commit({1}));
  take_and_flush(builder_.commit({1}));
  EXPECT_THAT(target_.take_events(), IsEmpty());
  take_and_flush(builder_.commit({1}));
  EXPECT_THAT(target_.take_events(), ElementsAre("begin 5.3", "commit 5.3 of 3 pages"));
}

TEST_F(StreamFollowerTest, Danger22_RefusesFramesOutOfOrder) {
  const BuiltBatch first = builder_.commit({1, 2});
  const BuiltBatch second = builder_.commit({3});
  const BuiltBatch third = builder_.commit({4});
  start();
  expect_refused(take(second), "(5, 3) where the next after (5, 0) should be");
  start();
  ASSERT_TRUE(take(first));
  expect_refused(take(third), "(5, 4) where the next after (5, 2) should be");
  start();
  ASSERT_TRUE(take(first));
  expect_refused(take(first), "(5, 1) where the next after (5, 2) should be");
}

TEST_F(StreamFollowerTest, Danger22_RefusesFramesOfAnotherGeneration) {
  for (const std::uint64_t generation : {std::uint64_t{4}, std::uint64_t{2'000}, UINT64_MAX}) {
    start();
    builder_.stand_at({kLog, generation, 0, kFrom.checksum});
    expect_refused(take(builder_.commit({1})), "where the next after (5, 0) should be");
  }
  // Of the next one, but not from its first frame on.
  start();
  builder_.stand_at({kLog, 6, 1, kFrom.checksum});
  expect_refused(take(builder_.commit({1})), "where the next after (5, 0) should be");
}

TEST_F(StreamFollowerTest, Danger22_RefusesAnotherChecksumBefore) {
  start();
  Position other = kFrom;
  ++other.checksum;
  builder_.stand_at(other);
  expect_refused(take(builder_.commit({1})), "do not fit on position " + kFrom.to_text());
  start();
  builder_.stand_at(kFrom);
  builder_.bridge_to_next_generation();
  expect_refused(take(builder_.commit({1})), "do not fit on position " + kFrom.to_text());
}

TEST_F(StreamFollowerTest, Danger22_RefusesABrokenChainAtAnyByte) {
  const BuiltBatch whole = builder_.commit({1, 2});
  const std::size_t second_frame = wal::BatchHeader::kSize + wal::frame_size(kPageSize);
  for (std::size_t at = wal::BatchHeader::kSize; at < whole.payload.size(); at += 3) {
    BuiltBatch damaged = whole;
    damaged.payload[at] ^= std::byte{4};
    start();
    const bool in_first = at < second_frame;
    expect_refused(take(damaged), in_first
                                      ? "frame 1 of generation 5 breaks SQLite's checksum chain"
                                      : "frame 2 of generation 5 breaks SQLite's checksum chain");
    ASSERT_THAT(target_.pages(), IsEmpty()) << "nothing is used before all of it is proven";
  }
}

TEST_F(StreamFollowerTest, Danger22_RefusesAHeaderThatItsFramesDoNotBear) {
  const BuiltBatch whole = builder_.commit({1, 2});
  const auto refused = [&](const std::function<void(wal::BatchHeader&)>& change,
                           const std::string& text) {
    BuiltBatch wrong = whole;
    change(wrong.header);
    wrong.reseal();
    start();
    expect_refused(take(wrong), text);
    EXPECT_THAT(target_.pages(), IsEmpty());
  };
  using wal::BatchHeader;
  refused([](BatchHeader& h) { ++h.salts; }, "checksum chain");
  refused([](BatchHeader& h) { h.flags |= BatchHeader::kBigEndianWords; }, "checksum chain");
  refused([](BatchHeader& h) { h.flags |= BatchHeader::kChainRestarted; }, "checksum chain");
  refused([](BatchHeader& h) { ++h.page_count; }, "does not end where it says");
  refused([](BatchHeader& h) { h.flags = h.page_count = 0; }, "does not end where it says");
  refused([](BatchHeader& h) { ++h.checksum_after; }, "last checksum");
  refused([](BatchHeader& h) { h.frame_count = 1; }, "malformed batch");
  refused([](BatchHeader& h) { h.first_frame = 0; }, "malformed batch");
}

TEST_F(StreamFollowerTest, Danger22_RefusesPageNumbersThatSqliteDoesNotHave) {
  for (const std::uint32_t number : {0u, wal::kMaxPageCount + 1}) {
    const std::string text = "number " + std::to_string(number);
    start();
    builder_.stand_at(kFrom);
    expect_refused(take(builder_.commit({number})), "frame 1 of generation 5 has page " + text);
    EXPECT_THAT(target_.pages(), IsEmpty());
    ASSERT_TRUE(take_delta_begin());
    expect_refused(take_pages({3, number}), text);
  }
  start();
  builder_.stand_at(kFrom);
  take_and_flush(builder_.commit({wal::kMaxPageCount}));
}

// A database grows by pages that it writes: a size that it cannot have come to is refused before
// anything is made of it.
TEST_F(StreamFollowerTest, Danger22_RefusesASizeOfWhichPagesWereNotSent) {
  start();
  target_.covered = 100;
  take_and_flush(builder_.commit({1}, 100));
  const BuiltBatch larger = builder_.commit({2}, 101);
  EXPECT_THAT(target_.take_events(), ElementsAre("commit 5.1 of 1 pages"));
  expect_refused(take(larger), "101 pages at position " + builder_.position().to_text());
  for (const std::uint32_t pages : {wal::kMaxPageCount, wal::kMaxPageCount + 1}) {
    target_.covered = UINT32_MAX;
    start();
    builder_.stand_at(kFrom);
    const BuiltBatch huge = builder_.commit({2}, pages);
    if (pages <= wal::kMaxPageCount) {
      EXPECT_TRUE(take(huge));
    } else {
      expect_refused(take(huge), std::to_string(pages) + " pages");
    }
  }
}

TEST_F(StreamFollowerTest, Danger22_RefusesADeltaToASizeOfWhichPagesWereNotSent) {
  target_.covered = 49;
  for (const std::uint64_t base : {0u, 4u}) {
    start();
    ASSERT_TRUE(take_delta_begin());
    expect_refused(take_delta_end({kLog, 9, 0, 0x1234}, base), "50 pages at position");
  }
  start();
  ASSERT_TRUE(take_delta_begin());
  wal::DeltaEnd end = delta_end(kFrom, 0);
  end.page_count = 0;
  expect_refused(follower_->take(MessageType::kDeltaEnd, encoded(end)), "0 pages at position");
  // Before its base also the commits of a delta are ones of a whole image.
  target_.covered = 50;
  start();
  builder_.stand_at(kFrom);
  ASSERT_TRUE(take_delta_begin());
  ASSERT_TRUE(take_delta_end(kFrom, 4));
  EXPECT_THAT(target_.take_events(), ElementsAre("begin 5.0"));
  expect_refused(take(builder_.commit({1}, 51)), "51 pages at position");
}

// What an image lacks was found by a later state, which may be smaller than those before it.
TEST_F(StreamFollowerTest, AnImageIsToCoverItsBaseOnly) {
  start(true, true);
  target_.covered = 30;
  ASSERT_TRUE(take_delta_begin());
  ASSERT_TRUE(take_delta_end(kFrom, 2));
  ASSERT_TRUE(take(builder_.commit({1}, 40)));
  EXPECT_THAT(target_.asked_to_cover, IsEmpty());
  take_and_flush(builder_.commit({1}, 30));
  EXPECT_THAT(target_.asked_to_cover, ElementsAre(30));
  EXPECT_THAT(target_.take_events(), ElementsAre("begin 5.2 other", "commit 5.2 of 2 pages other"));
  expect_refused(take(builder_.commit({1}, 31)), "31 pages at position");

  start(true, true);
  builder_.stand_at(kFrom);
  ASSERT_TRUE(take_delta_begin());
  ASSERT_TRUE(take_delta_end(kFrom, 1));
  expect_refused(take(builder_.commit({1}, 31)), "31 pages at position");
  start(true, true);
  ASSERT_TRUE(take_delta_begin());
  expect_refused(take_delta_end(kFrom, 0), "50 pages at position");
}

TEST_F(StreamFollowerTest, Danger22_RefusesAnotherLogAndAnotherPageSize) {
  start();
  Position other = kFrom;
  other.log.bytes[15] = 1;
  expect_refused(take_tail(other), "another log");
  wal::Tail tail = tail_at(kFrom);
  tail.page_size = 1024;
  expect_refused(follower_->take(MessageType::kTail, encoded(tail)), "another page size");
  BatchBuilder larger(1024, kFrom);
  expect_refused(take(larger.commit({1})), "another page size");
  wal::DeltaBegin begin;
  begin.page_size = 1024;
  expect_refused(follower_->take(MessageType::kDeltaBegin, encoded(begin)), "another page size");
  ASSERT_TRUE(take_delta_begin());
  expect_refused(follower_->take(MessageType::kPages, pages_payload({1}, 1024)), "another size");
  wal::DeltaEnd end = delta_end(kFrom, 0);
  end.page_size = 1024;
  expect_refused(follower_->take(MessageType::kDeltaEnd, encoded(end)), "another page size");
}

TEST_F(StreamFollowerTest, Danger22_RefusesDeltasInTheWrongPlace) {
  start();
  expect_refused(take_pages({1}), "outside of a delta");
  expect_refused(take_delta_end(kFrom, 0), "end of a delta");
  ASSERT_TRUE(take(builder_.piece({1})));
  expect_refused(take_delta_begin(), "within a transaction");
  start();
  builder_.stand_at(kFrom);
  ASSERT_TRUE(take_delta_begin());
  expect_refused(take(builder_.commit({1})), "before the end of a delta");
  expect_refused(take_delta_begin(), "within a delta");
  EXPECT_THAT(target_.pages(), testing::SizeIs(1)) << "only that of the piece above";
}

// Not even where the image stands at the very position that the delta led to.
TEST_F(StreamFollowerTest, RefusesADeltaBeforeTheBaseOfAnother) {
  start(true);
  ASSERT_TRUE(take_delta_begin());
  ASSERT_TRUE(take_delta_end(kFrom, 2));
  expect_refused(take_delta_begin(), "within a transaction");
}

TEST_F(StreamFollowerTest, RefusesADeltaFromAnotherGeneration) {
  const auto begin_from = [&](std::uint64_t generation) {
    wal::DeltaBegin begin;
    begin.generation = generation;
    begin.page_size = kPageSize;
    return follower_->take(MessageType::kDeltaBegin, encoded(begin));
  };
  for (const bool image : {false, true}) {
    start(image);
    expect_refused(begin_from(4), "from generation 4 on position " + kFrom.to_text());
  }
  start(true);
  expect_refused(begin_from(6), "from generation 6 on position " + kFrom.to_text());
  // The end of a generation is the start of the next, and empty ones are not told of.
  start();
  ASSERT_TRUE(begin_from(7));
  expect_refused(take_delta_end({kLog, 6, 0, 1}, 0), "that ends in generation 6");
  ASSERT_TRUE(take_delta_end({kLog, 7, 0, 1}, 0));
  EXPECT_EQ(follower_->committed().generation, 7u);
}

TEST_F(StreamFollowerTest, RefusesAGenerationThatEndsWithinATransaction) {
  start();
  ASSERT_TRUE(take(builder_.piece({1, 2})));
  builder_.end_generation();
  expect_refused(take(builder_.commit({3})), "(6, 1) where the next after (5, 2) should be");
  EXPECT_EQ(target_.pages().count(3), 0u);
}

// The frames up to a base all belong to the generation that the delta ended with.
TEST_F(StreamFollowerTest, Danger22_RefusesAGenerationThatEndsBeforeTheBase) {
  start();
  ASSERT_TRUE(take_delta_begin());
  ASSERT_TRUE(take_delta_end(kFrom, 2));
  (void)target_.take_events();
  ASSERT_TRUE(take(builder_.commit({1})));
  builder_.end_generation();
  expect_refused(take(builder_.commit({1})), "(6, 1) where the next after (5, 1) should be");
}

TEST_F(StreamFollowerTest, Danger22_RefusesWhatIsMalformedOrDoesNotBelong) {
  start();
  const Bytes nothing;
  for (const auto type : {MessageType::kBatch, MessageType::kPages, MessageType::kDeltaBegin,
                          MessageType::kDeltaEnd, MessageType::kTail}) {
    expect_refused(follower_->take(type, nothing), "malformed");
  }
  expect_refused(follower_->take(MessageType::kHashes, nothing), "does not belong in a stream");
}

TEST_F(StreamFollowerTest, PassesOnWhyTheServerEndedTheStream) {
  start();
  const std::string why = "shutting down";
  const Status taken = follower_->take(MessageType::kFailure, std::as_bytes(std::span(why)));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kNetwork);
  EXPECT_THAT(taken.error().message, HasSubstr(why));
}

TEST_F(StreamFollowerTest, ARootThatDoesNotMatchIsADivergence) {
  start();
  target_.failure_of_commit = fail(ErrorCode::kCorrupt, "another root");
  ASSERT_TRUE(take(builder_.commit({1})));
  EXPECT_EQ(follower_->flush().error().message, "another root");
  EXPECT_TRUE(follower_->diverged());
  EXPECT_EQ(follower_->committed(), kFrom);
  EXPECT_EQ(follower_->commits(), 0u);
}

TEST_F(StreamFollowerTest, ADiskThatIsFullIsNone) {
  start();
  target_.failure_of_commit = fail(ErrorCode::kNoSpace, "full");
  ASSERT_TRUE(take(builder_.commit({1})));
  EXPECT_EQ(follower_->flush().error().code, ErrorCode::kNoSpace);
  EXPECT_FALSE(follower_->diverged());
  start();
  builder_.stand_at(kFrom);
  target_.failure_of_pages = fail(ErrorCode::kNoSpace, "full");
  EXPECT_EQ(take(builder_.commit({1})).error().code, ErrorCode::kNoSpace);
  ASSERT_TRUE(take_delta_begin());
  EXPECT_EQ(take_pages({1}).error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(follower_->committed(), kFrom);
}

}  // namespace
}  // namespace walferry::engine
