// What may happen to the primary's files, and to a follower that was away meanwhile.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/support/ferry_fixture.h"

namespace walferry::tests {
namespace {

namespace fs = std::filesystem;

void remove_log(const std::string& database) {
  fs::remove(database + "-wal");
  fs::remove(database + "-shm");
}

class ReplacedPrimary : public FerryTest {
 protected:
  // app.db has moved on since it was backed up as backup.db.
  void SetUp() override {
    begin(filled_table("t", 2000, 300));
    ASSERT_EQ(walferry({"copy", origin_, backup_}).exit_code, 0);
    sql(backup_, "PRAGMA journal_mode=WAL; PRAGMA wal_checkpoint(TRUNCATE);");
    change("later");
    expect_equal();
  }
  void change(const std::string& text) {
    sql(origin_, "UPDATE t SET text = '" + text + "' || id WHERE id % 50 = 0;");
  }
  /// With nothing in the WAL the file alone is the database, so that it can be replaced alone.
  template <class Meanwhile>
  void serve_over_an_empty_log(Meanwhile meanwhile) {
    EXPECT_EQ(primary_->stop(), 0);
    sql(origin_, "PRAGMA wal_checkpoint(TRUNCATE);");
    meanwhile();
    ASSERT_NO_FATAL_FAILURE(serve());
  }
  void expect_goes_on() {
    expect_equal();
    change("after");
    sql(origin_, filled_table("more", 100, 100));
    expect_equal();
    EXPECT_EQ(replica_->count_in_log("bootstrapping"), 1U);
  }
  std::string backup_ = directory_ / "backup.db";
};

TEST_F(ReplacedPrimary, Danger20_ByMoveWhileServing) {
  remove_log(origin_);
  fs::rename(backup_, origin_);
  ASSERT_TRUE(primary_->wait_for_log("attaching anew"));
  ASSERT_TRUE(primary_->wait_for_log("begins new log"));
  expect_goes_on();
  EXPECT_EQ(StockDatabase(local_).number("SELECT count(*) FROM t WHERE text LIKE 'later%'"), 0);
}

TEST_F(ReplacedPrimary, Danger20_ByCopyInPlaceWhileServing) {
  remove_log(origin_);
  fs::copy_file(backup_, origin_, fs::copy_options::overwrite_existing);
  ASSERT_TRUE(primary_->wait_for_log("attaching anew"));
  expect_goes_on();
  EXPECT_EQ(StockDatabase(local_).number("SELECT count(*) FROM t WHERE text LIKE 'later%'"), 0);
}

TEST_F(ReplacedPrimary, Danger20_ByMoveWithEqualSizeAndTimesWhileServing) {
  const std::string twin = directory_ / "twin.db";
  ASSERT_NO_FATAL_FAILURE(serve_over_an_empty_log([&] {
    fs::copy_file(origin_, twin);
    sql(twin,
        "UPDATE t SET text = 'twins' || id WHERE id % 50 = 0; PRAGMA wal_checkpoint(TRUNCATE);");
  }));
  ASSERT_EQ(size_of(twin), size_of(origin_));
  fs::last_write_time(twin, fs::last_write_time(origin_));
  fs::rename(twin, origin_);
  ASSERT_TRUE(primary_->wait_for_log("the database file was replaced"));
  expect_goes_on();
}

TEST_F(ReplacedPrimary, Danger20_ByCopyUnderAnEmptyLogWhileServing) {
  ASSERT_NO_FATAL_FAILURE(serve_over_an_empty_log([] {}));
  fs::copy_file(backup_, origin_, fs::copy_options::overwrite_existing);
  ASSERT_TRUE(primary_->wait_for_log("written to by another program, past SQLite"));
  expect_goes_on();
}

TEST_F(ReplacedPrimary, Danger20_ByCopyInPlaceWhileDown) {
  EXPECT_EQ(primary_->stop(), 0);
  remove_log(origin_);
  fs::copy_file(backup_, origin_, fs::copy_options::overwrite_existing);
  ASSERT_NO_FATAL_FAILURE(serve());
  expect_goes_on();
}

// The log stands, frame by frame; what lies below it does not.
TEST_F(ReplacedPrimary, Danger20_ByAnOlderFileUnderItsLogAfterAKill) {
  sql(origin_, filled_table("u", 500, 300));
  expect_equal();
  EXPECT_EQ(primary_->stop(), 0);
  const std::string older = directory_ / "older.db";
  fs::copy_file(origin_, older);
  ASSERT_NO_FATAL_FAILURE(serve());
  change("newer");
  expect_equal();
  ASSERT_NO_FATAL_FAILURE(serve_over_an_empty_log([] {}));
  sql(origin_, "UPDATE u SET text = 'in the log' WHERE id < 5;");
  expect_equal();
  primary_->kill_hard();
  ASSERT_EQ(size_of(older), size_of(origin_));
  fs::copy_file(older, origin_, fs::copy_options::overwrite_existing);
  ASSERT_NO_FATAL_FAILURE(serve());
  expect_equal();
  EXPECT_EQ(StockDatabase(local_).number("SELECT count(*) FROM t WHERE text LIKE 'newer%'"), 0);
  EXPECT_EQ(StockDatabase(local_).number("SELECT count(*) FROM u WHERE text = 'in the log'"), 4);
  expect_goes_on();
}

TEST_F(ReplacedPrimary, Danger20_ByMoveWhileDown) {
  EXPECT_EQ(primary_->stop(), 0);
  remove_log(origin_);
  fs::rename(backup_, origin_);
  ASSERT_NO_FATAL_FAILURE(serve());
  expect_goes_on();
}

TEST_F(ReplacedPrimary, Danger20_ByCopyInPlaceAfterAKill) {
  primary_->kill_hard();
  remove_log(origin_);
  fs::copy_file(backup_, origin_, fs::copy_options::overwrite_existing);
  ASSERT_NO_FATAL_FAILURE(serve());
  expect_goes_on();
}

TEST_F(ReplacedPrimary, Danger20_LogDeletedAfterAKillTakesCommitsBack) {
  change("lost");
  expect_equal();
  primary_->kill_hard();
  remove_log(origin_);
  ASSERT_NO_FATAL_FAILURE(serve());
  expect_goes_on();
  EXPECT_EQ(StockDatabase(local_).number("SELECT count(*) FROM t WHERE text LIKE 'lost%'"), 0);
}

TEST_F(ReplacedPrimary, Danger20_LogDeletedWhileServing) {
  remove_log(origin_);
  ASSERT_TRUE(primary_->wait_for_log("attaching anew"));
  expect_goes_on();
}

TEST_F(ReplacedPrimary, Danger20_OnlyTheWalDeletedWhileServing) {
  fs::remove(origin_ + "-wal");
  ASSERT_TRUE(primary_->wait_for_log("the -wal file was removed: attaching anew"));
  expect_goes_on();
}

// Programs that come later share another wal-index: what they commit would not be heard of.
TEST_F(ReplacedPrimary, Danger20_OnlyTheSharedMemoryDeletedWhileServing) {
  fs::remove(origin_ + "-shm");
  ASSERT_TRUE(primary_->wait_for_log("the -shm file was removed: attaching anew"));
  expect_goes_on();
}

TEST_F(ReplacedPrimary, Danger20_PageHashesDeletedWhileDown) {
  EXPECT_EQ(primary_->stop(), 0);
  fs::remove(origin_ + "-walferry-log/hashes");
  ASSERT_NO_FATAL_FAILURE(serve());
  expect_goes_on();
}

TEST_F(ReplacedPrimary, Danger20_WhatIsKeptForFollowersDeletedWhileServing) {
  fs::remove_all(origin_ + "-walferry-log");
  ASSERT_TRUE(primary_->wait_for_log("was removed: attaching anew"));
  ASSERT_TRUE(primary_->wait_for_log("new log", 2));
  expect_goes_on();
  EXPECT_TRUE(fs::exists(origin_ + "-walferry-log/state"));
}

TEST_F(ReplacedPrimary, ForeignCheckpointWhileDownIsBridged) {
  change("before");
  primary_->kill_hard();
  sql(origin_, "PRAGMA wal_checkpoint(TRUNCATE);");
  change("between");
  sql(origin_, "PRAGMA wal_checkpoint(TRUNCATE);");
  ASSERT_NO_FATAL_FAILURE(serve());
  expect_goes_on();
  EXPECT_EQ(primary_->count_in_log("begins new log"), 0U);
  EXPECT_EQ(figure("reconciles"), 0U);
}

TEST_F(ReplacedPrimary, RestartsWithoutAWriteInBetweenAreSteppedOver) {
  EXPECT_EQ(replica_->stop(), 0);
  for (int i = 0; i < 3; ++i) {
    ASSERT_NO_FATAL_FAILURE(serve_over_an_empty_log([] {}));
  }
  change("after");
  replica_->start();
  expect_goes_on();
  EXPECT_EQ(primary_->count_in_log("bridge the gap"), 0U);
  EXPECT_EQ(figure("reconciles"), 0U);
}

TEST_F(ReplacedPrimary, UncleanRestartIsProvenWhereTheLogStands) {
  StockDatabase application(origin_);  // keeps the WAL from being deleted
  application.run("UPDATE t SET text = 'x' WHERE id < 20");
  primary_->kill_hard();
  application.run("UPDATE t SET text = 'y' WHERE id < 20");
  ASSERT_NO_FATAL_FAILURE(serve());
  expect_goes_on();
  EXPECT_EQ(primary_->count_in_log("bridge the gap"), 0U);
  EXPECT_EQ(figure("reconciles"), 0U);
}

class OtherPageSize : public ReplacedPrimary, public testing::WithParamInterface<int> {
 protected:
  // The primary's database becomes another one, of another page size and with other tables where
  // the same ones were: what readers have cached is wrong.
  void replace_primary(int rows) {
    EXPECT_EQ(primary_->stop(), 0);
    remove_log(origin_);
    fs::remove(origin_);
    sql(origin_, "PRAGMA page_size=" + std::to_string(GetParam()) + ";" +
                     filled_table("u", 30, 50) + filled_table("t", rows, 300) +
                     "UPDATE t SET text = 'another'; PRAGMA journal_mode=WAL;");
    ASSERT_NO_FATAL_FAILURE(serve());
  }
  static constexpr const char* kRows = "SELECT count(*) || ' ' || sum(text LIKE 'another%') FROM t";
};

TEST_P(OtherPageSize, IsFollowedByOpenReaders) {
  StockDatabase idle(local_, SQLITE_OPEN_READONLY);
  ASSERT_EQ(idle.text(kRows), "2000 0");
  StockDatabase mapping(local_, SQLITE_OPEN_READONLY);
  mapping.run("PRAGMA mmap_size=100000000");
  ASSERT_EQ(mapping.text(kRows), "2000 0");
  StockDatabase long_reader(local_, SQLITE_OPEN_READONLY);
  long_reader.run("BEGIN");
  ASSERT_EQ(long_reader.text(kRows), "2000 0");
  change("more");  // its snapshot is one of the log
  replace_primary(1500);
  // Whichever comes first: the reader that is in the way of it, or the change beside it.
  ASSERT_TRUE(replica_->wait_for_log("all of it is replaced"));
  EXPECT_EQ(long_reader.text(kRows), "2000 0");
  EXPECT_EQ(long_reader.text("PRAGMA integrity_check"), "ok");
  long_reader.run("COMMIT");
  expect_goes_on();
  for (StockDatabase* reader : {&idle, &mapping, &long_reader}) {
    EXPECT_EQ(reader->text(kRows), "1500 1470");
    EXPECT_EQ(reader->number("SELECT count(*) FROM u"), 30);
    EXPECT_EQ(reader->number("PRAGMA page_size"), GetParam());
    EXPECT_EQ(reader->text("PRAGMA integrity_check"), "ok");
  }
  EXPECT_EQ(replica_->stop(), 0);
  EXPECT_EQ(idle.text(kRows), "1500 1470");
  replica_->start();
  change("at last");
  expect_equal();
}

TEST_P(OtherPageSize, SurvivesKillsAtAnyMoment) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::minstd_rand random(seed);
  replica_->add_argument("--wal-limit");
  replica_->add_argument("64K");
  StockDatabase reader(local_, SQLITE_OPEN_READONLY);
  ASSERT_EQ(reader.text(kRows), "2000 0");
  EXPECT_EQ(replica_->stop(), 0);
  replace_primary(6000);
  bool replaced = false;
  for (int kill = 0; kill < 12; ++kill) {
    replica_->start();
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 80));
    replica_->kill_hard();
    const std::string rows = reader.text(kRows);
    EXPECT_TRUE(rows == "6000 6000" || (rows == "2000 0" && !replaced)) << rows;
    replaced = rows == "6000 6000";
    EXPECT_EQ(StockDatabase(local_, SQLITE_OPEN_READONLY).text(kRows), rows);
    EXPECT_EQ(reader.text("PRAGMA integrity_check"), "ok");
  }
  replica_->start();
  expect_goes_on();
}

INSTANTIATE_TEST_SUITE_P(Sizes, OtherPageSize, testing::Values(512, 8192, 65536));

class Danger21_LongAway : public FerryTest {
 protected:
  static std::uint64_t differing_pages(const std::string& a, const std::string& b) {
    const std::string left = content_of(a);
    const std::string right = content_of(b);
    std::uint64_t count = 0;
    for (std::size_t at = 0; at < right.size(); at += 4096) {
      if (left.size() < at + 4096 || left.compare(at, 4096, right, at, 4096) != 0) ++count;
    }
    return count;
  }
};

// Whether the frames of all generations are kept or only the lists of their pages.
class Danger21_Retention : public Danger21_LongAway,
                           public testing::WithParamInterface<std::string> {};

TEST_P(Danger21_Retention, CatchesUpOverTenGenerationsAndARestartWithLittleTraffic) {
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 20'000, 380));
  ASSERT_NO_FATAL_FAILURE(serve({"--wal-limit", "256K", "--retention", GetParam()}));
  ASSERT_EQ(sync_once().exit_code, 0);
  const std::string before = directory_ / "before.db";
  fs::copy_file(local_, before);

  // The same two hundred pages over and over: far more frames than pages that differ.
  std::uint64_t generations = 0;
  for (int restart = 0; restart < 2; ++restart) {
    {
      StockDatabase origin(origin_);
      int round = 0;
      ASSERT_TRUE(wait_until([&] {
        for (int i = 0; i < 20; ++i, ++round) {
          origin.run("UPDATE t SET text = 'round " + std::to_string(round) +
                     "' || hex(randomblob(170)) WHERE id % 100 = " + std::to_string(round % 5));
        }
        return json_number(primary_->status(), "generations_ended") >= 6;
      }));
      generations += json_number(primary_->status(), "generations_ended");
    }
    EXPECT_EQ(primary_->stop(), 0);
    if (restart == 0) {
      ASSERT_NO_FATAL_FAILURE(serve());
    }
  }
  EXPECT_GE(generations, 10U);
  const std::uint64_t differing = differing_pages(before, origin_);
  ASSERT_NO_FATAL_FAILURE(serve());
  const Finished synced = sync_once();
  EXPECT_EQ(synced.exit_code, 0) << synced.error;
  const std::uint64_t fetched = figure("bytes_received");
  EXPECT_EQ(difference_of_files(origin_, local_), "");
  EXPECT_EQ(figure("reconciles"), 0U);
  EXPECT_LE(fetched, differing * 4096 * 11 / 10 + 64 * 1024) << differing << " pages differ";
}

INSTANTIATE_TEST_SUITE_P(Retention, Danger21_Retention, testing::Values("512K", "64M"),
                         [](const auto& instance) { return instance.param; });

TEST_F(Danger21_LongAway, CatchesUpWhereTheHistoryIsNotKeptAnyMore) {
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 20'000, 380));
  ASSERT_NO_FATAL_FAILURE(serve({"--wal-limit", "256K"}));
  ASSERT_EQ(sync_once().exit_code, 0);
  const std::string before = directory_ / "before.db";
  fs::copy_file(local_, before);
  EXPECT_EQ(primary_->stop(), 0);
  fs::remove_all(origin_ + "-walferry-log");
  sql(origin_, "UPDATE t SET text = 'other' WHERE id % 400 = 0; PRAGMA wal_checkpoint(TRUNCATE);");
  const std::uint64_t differing = differing_pages(before, origin_);
  ASSERT_NO_FATAL_FAILURE(serve());
  const Finished synced = sync_once();
  EXPECT_EQ(synced.exit_code, 0) << synced.error;
  EXPECT_EQ(difference_of_files(origin_, local_), "");
  // The manifest of 2,000 pages has some 2,000 hashes of 16 bytes below its inner nodes.
  EXPECT_LE(figure("bytes_received"), differing * 4096 * 11 / 10 + 64 * 1024)
      << differing << " pages differ";
}

}  // namespace
}  // namespace walferry::tests
