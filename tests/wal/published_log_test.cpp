#include "wal/published_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstring>

#include "tests/fault/stock_access.h"

namespace walferry::wal {
namespace {

using testing::HasSubstr;

constexpr std::uint32_t kPageSize = 512;

GenerationStart start_of(std::uint64_t generation, std::uint64_t checksum,
                         std::uint64_t frame = 0) {
  GenerationStart start;
  start.log = LogId{{42}};
  start.generation = generation;
  start.frame = frame;
  start.checksum = checksum;
  start.page_size = kPageSize;
  start.page_count = 100;
  return start;
}

class PublishedLogTest : public testing::Test {
 protected:
  void open(const PublishedLogOptions& options = {}) {
    log_.reset();
    auto opened = PublishedLog::open(path_, options);
    ASSERT_TRUE(opened) << opened.error().message;
    log_ = std::move(*opened);
  }

  /// Appends one batch of `frames` frames of pages `first_page`...
  Status append(std::uint32_t frames, bool commit, std::uint32_t first_page = 1) {
    if (next_ == 0) next_ = log_->tail().position.frame + 1;
    BatchHeader header;
    header.generation = log_->start().generation;
    header.first_frame = next_;
    header.frame_count = frames;
    header.flags = commit ? BatchHeader::kEndsOnCommit : 0u;
    header.checksum_before = chain_;
    header.checksum_after = ++chain_;
    header.root_low = commit ? chain_ * 10 : 0;
    header.page_size = kPageSize;
    header.page_count = commit ? 100 : 0;
    const std::size_t size = frame_size(kPageSize);
    Bytes payload(BatchHeader::kSize + frames * size);
    header.encode(payload.data());
    std::vector<std::uint32_t> pages;
    for (std::uint32_t i = 0; i < frames; ++i) {
      FrameHeader frame;
      frame.page_number = first_page + i;
      frame.encode(payload.data() + BatchHeader::kSize + i * size);
      pages.push_back(frame.page_number);
    }
    auto message = std::make_shared<const Bytes>(
        encode_message(MessageType::kBatch, payload, Compression::kNever));
    Status done = log_->append(message, header, pages);
    if (done) next_ += frames;
    return done;
  }
  void begin(std::uint64_t checksum = 1'000) {
    chain_ = checksum;
    next_ = 1;
    ASSERT_TRUE(log_->begin_log(start_of(1, checksum)));
  }
  void next_generation(const PageSet& changed = {}, std::uint64_t checksum = 0) {
    chain_ = checksum != 0 ? checksum : chain_;
    ASSERT_TRUE(log_->begin_generation(start_of(log_->start().generation + 1, chain_), changed));
    next_ = 1;
  }
  Position at(std::uint64_t generation, std::uint64_t frame, std::uint64_t checksum) {
    return {LogId{{42}}, generation, frame, checksum};
  }
  std::string refusal(const Position& position) {
    auto located = log_->locate(position);
    if (located) return "";
    EXPECT_EQ(located.error().code, ErrorCode::kHistoryChanged) << position.to_text();
    return located.error().message;
  }

  test::TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "log";
  std::unique_ptr<PublishedLog> log_;
  std::uint64_t chain_ = 0;
  std::uint64_t next_ = 0;
};

TEST_F(PublishedLogTest, AnEndedGenerationWhoseFramesAreGoneTakesLittleMemory) {
  PublishedLogOptions options;
  options.retention_bytes = 0;
  open(options);
  begin();
  const auto run = [&](int generations) {
    for (int i = 0; i < generations; ++i) {
      for (int commit = 0; commit < 400; ++commit) ASSERT_TRUE(append(1, true));
      next_generation();
    }
  };
  run(20);  // until the newest messages that are kept in memory are as many as may be
  const std::size_t before = mallinfo2().uordblks;
  run(40);
  EXPECT_LE(mallinfo2().uordblks, before + 40 * 1'024);
}

TEST_F(PublishedLogTest, Danger22_LocatesCommitsAndNothingElse) {
  open();
  EXPECT_FALSE(log_->has_log());
  begin();
  ASSERT_TRUE(append(3, true));
  ASSERT_TRUE(append(2, false));
  ASSERT_TRUE(append(2, true));
  const LogTail tail = log_->tail();
  EXPECT_EQ(tail.position, at(1, 7, 1'003));
  EXPECT_EQ(log_->locate(at(1, 0, 1'000))->spool_offset, 0U);
  EXPECT_EQ(log_->locate(at(1, 7, 1'003))->spool_offset, tail.spool_end);
  const auto middle = log_->locate(at(1, 3, 1'001));
  ASSERT_TRUE(middle);
  EXPECT_GT(middle->spool_offset, 0U);
  EXPECT_LT(middle->spool_offset, tail.spool_end);
  EXPECT_THAT(refusal(at(1, 3, 1'002)), HasSubstr("checksum"));
  EXPECT_THAT(refusal(at(1, 0, 999)), HasSubstr("checksum"));
  EXPECT_THAT(refusal(at(1, 5, 1'002)), HasSubstr("no commit"));
  EXPECT_THAT(refusal(at(1, 8, 1'003)), HasSubstr("future"));
  EXPECT_THAT(refusal(at(2, 0, 1'003)), HasSubstr("future"));
  EXPECT_THAT(refusal(at(0, 0, 1'000)), HasSubstr("not kept"));
  EXPECT_THAT(refusal({LogId{{41}}, 1, 7, 1'003}), HasSubstr("log id"));
  EXPECT_EQ(log_->root_at(at(1, 3, 1'001)), (Hash128{10'010, 0}));
  EXPECT_FALSE(log_->root_at(at(1, 3, 1'002)));
}

TEST_F(PublishedLogTest, ReadsBackWhatWasAppendedMessageByMessage) {
  open();
  begin();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(append(1 + static_cast<std::uint32_t>(i) % 4, true));
  Bytes all;
  for (std::uint64_t offset = 0;;) {
    auto piece = log_->read(1, offset, 1000);
    ASSERT_TRUE(piece);
    if (!*piece) break;
    all.insert(all.end(), (*piece)->bytes.begin(), (*piece)->bytes.end());
    offset += (*piece)->bytes.size();
  }
  EXPECT_EQ(all.size(), log_->tail().spool_end);
  EXPECT_TRUE(all == test::read_file(path_ / "frames-1"));
  EXPECT_FALSE(log_->read(2, 0, 1000));
}

TEST_F(PublishedLogTest, ReopensWhereItStoodAndForgetsUnfinishedPieces) {
  open();
  begin();
  ASSERT_TRUE(append(3, true));
  const LogTail tail = log_->tail();
  ASSERT_TRUE(append(5, false));
  EXPECT_EQ(log_->tail().position, tail.position);
  open();
  EXPECT_EQ(log_->tail().position, tail.position);
  EXPECT_EQ(log_->tail().root, tail.root);
  EXPECT_EQ(std::filesystem::file_size(path_ / "frames-1"), tail.spool_end);
  chain_ = tail.position.checksum;
  next_ = 4;
  ASSERT_TRUE(append(1, true));
  EXPECT_EQ(log_->tail().position.frame, 4U);
}

TEST_F(PublishedLogTest, TheCommitOfAnAbandonedTransactionNeverComes) {
  open();
  begin();
  ASSERT_TRUE(append(3, true));
  const LogTail tail = log_->tail();
  const std::uint64_t chain = chain_;
  ASSERT_TRUE(append(5, false, 50));
  ASSERT_TRUE(log_->drop_unfinished());
  chain_ = chain;
  next_ = 4;
  ASSERT_TRUE(append(1, true, 7));
  next_generation();
  auto changes = log_->changes_between(1, 2);
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->pages.count(), 4U);
  EXPECT_FALSE(changes->pages.contains(50));
  EXPECT_FALSE(log_->read(1, tail.spool_end, 1000)->value().bytes.empty());
}

TEST_F(PublishedLogTest, ATruncatedOrDamagedSpoolEndsAtItsLastIntactCommit) {
  open();
  begin();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(append(1, true));
  log_.reset();
  const auto spool = path_ / "frames-1";
  const test::Image whole = test::read_file(spool);
  const std::size_t one = whole.size() / 4;
  for (std::size_t size = 0; size <= whole.size(); size += 97) {
    test::write_file(spool,
                     test::Image(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    open();
    ASSERT_EQ(log_->tail().position.frame, size / one) << size;
  }
  log_.reset();
  for (std::size_t at = one; at < 2 * one; at += 11) {
    test::Image damaged = whole;
    damaged[at] ^= std::byte{2};
    test::write_file(spool, damaged);
    open();
    ASSERT_EQ(log_->tail().position.frame, 1U) << at;
    log_.reset();
  }
}

TEST_F(PublishedLogTest, AGenerationGoesOnOrIsBridged) {
  open();
  begin();
  ASSERT_TRUE(append(2, true, 1));
  const Position end = log_->tail().position;
  next_generation();
  EXPECT_TRUE(log_->continues(1));
  EXPECT_TRUE(log_->is_end_of(1, *log_->ended_spool_size(1)));
  ASSERT_TRUE(append(3, true, 10));
  const auto located = log_->locate(end);
  ASSERT_TRUE(located);
  EXPECT_FALSE(located->needs_delta);
  EXPECT_EQ(located->generation, 2U);
  EXPECT_EQ(located->spool_offset, 0U);

  PageSet bridge;
  bridge.add(77);
  next_generation(bridge, 5'000);
  EXPECT_FALSE(log_->continues(2));
  const auto before_bridge = log_->locate(end);
  ASSERT_TRUE(before_bridge);
  EXPECT_TRUE(before_bridge->needs_delta);
  auto changes = log_->changes_between(1, 3);
  ASSERT_TRUE(changes);
  EXPECT_TRUE(changes->bridged);
  for (const std::uint32_t page : {1u, 2u, 10u, 11u, 12u, 77u})
    EXPECT_TRUE(changes->pages.contains(page)) << page;
  EXPECT_EQ(changes->pages.count(), 6U);
}

TEST_F(PublishedLogTest, KeepsFramesAndListsAsLongAsItSays) {
  PublishedLogOptions options;
  options.retention_bytes = 6'000;
  options.retained_generations = 8;
  open(options);
  begin();
  std::vector<Position> ends;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(append(3, true, static_cast<std::uint32_t>(i + 1)));
    ends.push_back(log_->tail().position);
    next_generation();
  }
  for (int pass = 0; pass < 2; ++pass) {
    int kept = 0;
    int located = 0;
    for (std::uint64_t generation = 1; generation <= 20; ++generation) {
      kept += log_->ended_spool_size(generation) ? 1 : 0;
      located += log_->locate(ends[generation - 1]) ? 1 : 0;
    }
    EXPECT_GE(kept, 1);
    EXPECT_LE(kept, 4);
    EXPECT_EQ(located, 8);
    EXPECT_FALSE(log_->changes_between(5, 21));
    EXPECT_TRUE(log_->changes_between(13, 21));
    chain_ = log_->tail().position.checksum;
    open(options);  // and after a restart it is all the same
  }
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    files += entry.path().filename().string().starts_with("pages-") ? 1 : 0;
  }
  EXPECT_EQ(files, 8);
}

TEST_F(PublishedLogTest, ADamagedListIsAsGoodAsNone) {
  open();
  begin();
  std::vector<Position> ends;
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(append(2, true, static_cast<std::uint32_t>(10 * i + 1)));
    ends.push_back(log_->tail().position);
    next_generation();
  }
  log_.reset();
  test::Image list = test::read_file(path_ / "pages-2");
  list.back() ^= std::byte{1};
  test::write_file(path_ / "pages-2", list);
  open();
  EXPECT_FALSE(log_->changes_between(2, 5));
  EXPECT_TRUE(log_->changes_between(3, 5));
  EXPECT_NE(refusal(ends[0]), "");
  EXPECT_NE(refusal(ends[1]), "");
  EXPECT_EQ(refusal(ends[2]), "");
}

TEST_F(PublishedLogTest, BelongsToOneProcessAtATime) {
  open();
  auto second = PublishedLog::open(path_, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kBusy);
}

TEST_F(PublishedLogTest, AReplicaBeginsWithinAGeneration) {
  open();
  ASSERT_TRUE(log_->begin_log(start_of(7, 900, 55)));
  chain_ = 900;
  next_ = 56;
  ASSERT_TRUE(append(2, true));
  EXPECT_EQ(log_->tail().position.frame, 57U);
  EXPECT_TRUE(log_->locate(at(7, 55, 900)));
  EXPECT_FALSE(log_->locate(at(7, 0, 900)));
  open();
  EXPECT_EQ(log_->tail().position.frame, 57U);
  EXPECT_TRUE(log_->locate(at(7, 55, 900)));
}

}  // namespace
}  // namespace walferry::wal
