#include "wal/capture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/fault/stock_access.h"

namespace walferry::wal {
namespace {

using test::Image;
using test::StockDatabase;
using test::TempDirectory;

constexpr std::uint32_t kPageSize = 4096;

class CaptureTest : public testing::Test {
 protected:
  CaptureTest() : writer_(path_) {
    writer_.query(
        "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a INTEGER PRIMARY "
        "KEY, b)");
    auto opened = DatabaseHandle::open(path_, {});
    EXPECT_TRUE(opened);
    handle_ = std::move(*opened);
    auto start = cursor_at(*handle_, 0);
    EXPECT_TRUE(start);
    capture_.emplace(*handle_, *start);
  }

  Result<DrainOutcome> drain(bool restartable = false) {
    return capture_->drain(restartable, [this](const CapturedFrames& captured) -> Status {
      ++batches_;
      restarts_ += captured.restarted ? 1 : 0;
      EXPECT_EQ(captured.after.frame, captured.before.frame + captured.count);
      for (std::uint32_t i = 0; i < captured.count; ++i) {
        const auto frame = captured.frame(i, kPageSize);
        const FrameHeader header = FrameHeader::decode(frame.data());
        const std::size_t end = std::size_t{header.page_number} * kPageSize;
        if (image_.size() < end) image_.resize(end);
        std::memcpy(image_.data() + end - kPageSize, frame.data() + kFrameHeaderSize, kPageSize);
      }
      if (captured.page_count != 0) image_.resize(std::size_t{captured.page_count} * kPageSize);
      whole_ = captured.page_count != 0;
      return refuse_ ? fail(ErrorCode::kNoSpace, "no room") : Status{};
    });
  }

  void insert(int rows = 20) {
    ASSERT_EQ(
        writer_.query("WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < " +
                      std::to_string(rows) + ") INSERT INTO t SELECT NULL, randomblob(900) FROM s"),
        "");
  }
  void expect_whole() {
    EXPECT_TRUE(whole_);
    EXPECT_TRUE(image_ == writer_.image());
  }

  TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "app.db";
  StockDatabase writer_;
  std::unique_ptr<DatabaseHandle> handle_;
  std::optional<Capture> capture_;
  Image image_;
  int batches_ = 0;
  int restarts_ = 0;
  bool whole_ = false;
  bool refuse_ = false;
};

TEST_F(CaptureTest, FollowsAStockWriter) {
  for (int i = 0; i < 30; ++i) {
    insert(1 + i * 5);
    if (i % 3 == 0) writer_.query("DELETE FROM t WHERE a % 7 = 3");
    ASSERT_EQ(drain().value(), DrainOutcome::kCaughtUp);
    expect_whole();
  }
  writer_.query("VACUUM");
  ASSERT_EQ(drain().value(), DrainOutcome::kCaughtUp);
  expect_whole();
}

TEST_F(CaptureTest, CutsLongTransactionsIntoPieces) {
  insert(3000);
  ASSERT_EQ(drain().value(), DrainOutcome::kCaughtUp);
  EXPECT_GT(batches_, 2);
  expect_whole();
}

TEST_F(CaptureTest, StaysWhereItWasWhenTheReceiverRefuses) {
  insert();
  refuse_ = true;
  const auto before = capture_->cursor().frame;
  EXPECT_FALSE(drain());
  EXPECT_EQ(capture_->cursor().frame, before);
  refuse_ = false;
  ASSERT_EQ(drain().value(), DrainOutcome::kCaughtUp);
  expect_whole();
}

TEST_F(CaptureTest, ARestartIsFollowedOnlyWhenItMayHappen) {
  for (const bool restartable : {true, false}) {
    insert();
    ASSERT_EQ(drain().value(), DrainOutcome::kCaughtUp);
    writer_.query("PRAGMA wal_checkpoint(RESTART)");
    insert();
    const auto outcome = drain(restartable);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(*outcome, restartable ? DrainOutcome::kCaughtUp : DrainOutcome::kLost);
    if (restartable) expect_whole();
  }
  EXPECT_EQ(restarts_, 1);
}

TEST_F(CaptureTest, ADamagedFrameIsNeverDelivered) {
  insert(3);
  ASSERT_EQ(drain().value(), DrainOutcome::kCaughtUp);
  const int delivered = batches_;
  insert(3);
  const auto first = capture_->cursor().frame + 1;
  const auto last = handle_->index().read_header()->max_frame;
  for (std::uint32_t frame = first; frame <= last; ++frame) {
    for (const std::uint64_t at : {0u, 5u, 9u, 17u, 100u, 4119u}) {
      const std::uint64_t offset = frame_offset(frame, kPageSize) + at;
      std::array<std::byte, 1> byte{};
      ASSERT_TRUE(handle_->read_wal(byte, offset));
      byte[0] ^= std::byte{4};
      ASSERT_TRUE(handle_->write_wal(byte, offset));
      EXPECT_EQ(drain().value(), DrainOutcome::kLost) << "frame " << frame << " byte " << at;
      byte[0] ^= std::byte{4};
      ASSERT_TRUE(handle_->write_wal(byte, offset));
    }
  }
  EXPECT_EQ(batches_, delivered);
  ASSERT_EQ(drain().value(), DrainOutcome::kCaughtUp);
  expect_whole();
}

TEST_F(CaptureTest, ATornHeaderIsUnreadableAndNotAnError) {
  insert();
  void volatile* region = nullptr;
  ASSERT_EQ(writer_.file()->pMethods->xShmMap(writer_.file(), 0, 32768, 0, &region), SQLITE_OK);
  auto* bytes = static_cast<unsigned char volatile*>(region);
  bytes[48 + 16] = bytes[48 + 16] ^ 1;
  EXPECT_EQ(drain().value(), DrainOutcome::kUnreadable);
  EXPECT_EQ(batches_, 0);
  bytes[48 + 16] = bytes[48 + 16] ^ 1;
  EXPECT_EQ(drain().value(), DrainOutcome::kCaughtUp);
  expect_whole();
}

TEST_F(CaptureTest, SeesACommitThatTheHeaderDoesNotShowYet) {
  insert();
  ASSERT_EQ(drain().value(), DrainOutcome::kCaughtUp);
  EXPECT_FALSE(capture_->commit_is_imminent(false).value());
  const auto header = handle_->index().read_header();
  insert();
  const auto newer = handle_->index().read_header();
  {
    auto lock = SlotLock::try_take(handle_->index(), Slot::kWrite);
    ASSERT_TRUE(lock);
    handle_->index().publish(*header);  // as it was a moment ago
    EXPECT_EQ(drain().value(), DrainOutcome::kCaughtUp);
    EXPECT_TRUE(capture_->commit_is_imminent(false).value());
    EXPECT_TRUE(capture_->commit_is_imminent(false).value());
    handle_->index().publish(*newer);
  }
  ASSERT_EQ(drain().value(), DrainOutcome::kCaughtUp);
  EXPECT_FALSE(capture_->commit_is_imminent(false).value());
  expect_whole();
}

TEST_F(CaptureTest, AForkedChildRefuses) {
  const int code = test::run_in_child([&] {
    const auto outcome = drain();
    return !outcome && outcome.error().code == ErrorCode::kInternal ? 0 : 1;
  });
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace walferry::wal
