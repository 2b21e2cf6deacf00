// Our locks and entries in the wal-index as stock SQLite, which uses the same file, sees them.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/fault/stock_access.h"
#include "wal/database_handle.h"
#include "wal/page_hash.h"

namespace walferry::wal {
namespace {

using test::Image;
using test::StockDatabase;

constexpr std::uint32_t kPageSize = 512;
constexpr std::size_t kUserVersionOffset = 60;

class BesideStock : public testing::Test {
 protected:
  BesideStock() : stock_(path_) {
    stock_.query(
        "PRAGMA page_size=512; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b); PRAGMA user_version=1; PRAGMA busy_timeout=0");
    auto opened = DatabaseHandle::open(path_, {});
    EXPECT_TRUE(opened) << opened.error().message;
    handle_ = std::move(*opened);
  }
  WalIndex& index() { return handle_->index(); }
  std::string user_version() { return stock_.query("PRAGMA user_version"); }

  /// A commit of page 1 with another user version, written but not published.
  IndexHeader write_user_version(IndexHeader header, std::uint32_t version) {
    const std::uint32_t newest = index().find_frame(1, header.max_frame).value();
    EXPECT_NE(newest, 0u);
    Image frame(frame_size(kPageSize));
    const auto page = std::span(frame).subspan(kFrameHeaderSize);
    EXPECT_TRUE(handle_->read_wal(page, frame_offset(newest, kPageSize) + kFrameHeaderSize));
    store_be(page.data() + kUserVersionOffset, version);
    FrameHeader raw{1, header.page_count, header.salts, {}};
    raw.encode(frame.data());
    const bool big = header.big_endian_words != 0;
    Checksum chain = extend_checksum(header.chain(), std::span(frame).first(8), big);
    chain = extend_checksum(chain, page, big);
    raw.checksum = chain;
    raw.encode(frame.data());
    ++header.max_frame;
    ++header.change;
    header.set_chain(chain);
    EXPECT_TRUE(handle_->write_wal(frame, frame_offset(header.max_frame, kPageSize)));
    EXPECT_TRUE(index().append(header.max_frame, 1));
    return header;
  }

  test::TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "app.db";
  StockDatabase stock_;
  std::unique_ptr<DatabaseHandle> handle_;
};

TEST_F(BesideStock, WhatIsPublishedIsSeenAndNothingBefore) {
  auto writer = SlotLock::try_take(index(), Slot::kWrite);
  ASSERT_TRUE(writer);
  IndexHeader header = *index().read_header();
  // Over the ends of three regions.
  for (std::uint32_t version = 2; header.max_frame < 4062 + 2 * 4096 + 10; ++version) {
    const IndexHeader next = write_user_version(header, version);
    const bool looks = version % 500 == 2 || (next.max_frame - 4062) % 4096 < 3;
    const std::string before = looks ? user_version() : "";
    index().publish(next);
    if (looks) {
      ASSERT_EQ(before, std::to_string(version - 1)) << next.max_frame;
      ASSERT_EQ(user_version(), std::to_string(version)) << next.max_frame;
    }
    header = next;
  }
  writer.reset();
  // What stock SQLite writes and checkpoints behind it is whole.
  EXPECT_EQ(stock_.query("INSERT INTO t VALUES(1, 'x')"), "");
  EXPECT_EQ(stock_.query("PRAGMA integrity_check; SELECT b FROM t"), "ok;x");
  const std::uint32_t last = index().read_header()->max_frame;
  EXPECT_EQ(index().page_of_frame(last).value(), 2u);
  EXPECT_EQ(index().find_frame(2, last).value(), last);
  // And the log that we wrote is one that recovery believes.
  const auto copy = directory_ / "copy.db";
  test::copy_database(path_, copy);
  EXPECT_EQ(test::ask(copy, "PRAGMA integrity_check; SELECT b FROM t"), "ok;x");
  EXPECT_EQ(test::ask(copy, "PRAGMA user_version"), user_version());
}

TEST_F(BesideStock, WhatADeadWriterLeftIsRemoved) {
  const IndexHeader header = *index().read_header();
  {
    auto writer = SlotLock::try_take(index(), Slot::kWrite);
    ASSERT_TRUE(writer);
    IndexHeader unpublished = header;
    for (std::uint32_t i = 0; i < 100; ++i) unpublished = write_user_version(unpublished, 1000 + i);
    EXPECT_EQ(index().find_frame(1, unpublished.max_frame).value(), unpublished.max_frame);
    EXPECT_LE(index().find_frame(1, header.max_frame).value(), header.max_frame);
    ASSERT_TRUE(index().clear_beyond(header.max_frame));
    EXPECT_LE(index().find_frame(1, unpublished.max_frame).value(), header.max_frame);
  }
  EXPECT_EQ(user_version(), "1");
  EXPECT_EQ(stock_.query("INSERT INTO t VALUES(1, 'x'); PRAGMA integrity_check"), "ok");
  EXPECT_EQ(user_version(), "1");
}

TEST_F(BesideStock, OurWriteLockKeepsWritersOutAndReadersIn) {
  auto writer = SlotLock::try_take(index(), Slot::kWrite);
  ASSERT_TRUE(writer);
  EXPECT_EQ(stock_.run("BEGIN IMMEDIATE"), SQLITE_BUSY);
  EXPECT_EQ(stock_.run("INSERT INTO t VALUES(1, 'x')"), SQLITE_BUSY);
  EXPECT_EQ(user_version(), "1");
  writer.reset();
  EXPECT_EQ(stock_.run("INSERT INTO t VALUES(1, 'x')"), SQLITE_OK);
}

TEST_F(BesideStock, OurCheckpointLockKeepsCheckpointsOut) {
  auto checkpoint = SlotLock::try_take(index(), Slot::kCheckpoint);
  ASSERT_TRUE(checkpoint);
  for (const char* mode : {"PASSIVE", "FULL", "RESTART", "TRUNCATE"}) {
    const std::string sql = std::string("PRAGMA wal_checkpoint(") + mode + ")";
    EXPECT_EQ(stock_.query(sql).front(), '1') << mode;
  }
  EXPECT_EQ(index().backfill(), 0u);
  EXPECT_EQ(stock_.run("INSERT INTO t VALUES(1, 'x')"), SQLITE_OK);
  checkpoint->release();
  EXPECT_EQ(stock_.query("PRAGMA wal_checkpoint(PASSIVE)").front(), '0');
  EXPECT_EQ(index().backfill(), index().read_header()->max_frame);
}

TEST_F(BesideStock, StockLocksKeepUsOut) {
  ASSERT_EQ(stock_.run("BEGIN IMMEDIATE"), SQLITE_OK);
  EXPECT_FALSE(SlotLock::try_take(index(), Slot::kWrite));
  ASSERT_EQ(stock_.run("ROLLBACK"), SQLITE_OK);
  EXPECT_TRUE(SlotLock::try_take(index(), Slot::kWrite));

  ASSERT_EQ(stock_.run("BEGIN"), SQLITE_OK);
  ASSERT_EQ(user_version(), "1");
  int held = 0;
  for (int i = 0; i < 5; ++i) {
    held += SlotLock::try_take(index(), WalIndex::read_slot(i)) ? 0 : 1;
  }
  EXPECT_EQ(held, 1);
  // Several slots are taken all or not at all.
  EXPECT_FALSE(SlotLock::try_take(index(), Slot::kRead1, 4));
  ASSERT_EQ(stock_.run("COMMIT"), SQLITE_OK);
  for (int i = 1; i < 5; ++i) {
    EXPECT_TRUE(SlotLock::try_take(index(), WalIndex::read_slot(i))) << i;
  }
  EXPECT_TRUE(SlotLock::try_take(index(), Slot::kRead1, 4));
}

}  // namespace
}  // namespace walferry::wal
