// Every kind of database that SQLite makes, followed by real processes.
#include <gtest/gtest.h>

#include "tests/support/ferry_fixture.h"

namespace walferry::tests {
namespace {

class Danger23_EveryPageSize : public FerryTest, public testing::WithParamInterface<int> {};

TEST_P(Danger23_EveryPageSize, IsFollowed) {
  begin("PRAGMA page_size=" + std::to_string(GetParam()) + ";" + filled_table("t", 300, 500));
  EXPECT_EQ(StockDatabase(local_).number("PRAGMA page_size"), GetParam());
  sql(origin_, filled_table("u", 300, 500) + "UPDATE t SET text = 'short' WHERE id % 3 = 0;");
  expect_equal();
  sql(origin_, "DROP TABLE t; VACUUM;");
  expect_equal();
  sql(origin_, filled_table("again", 1000, 300));
  expect_equal();
}

INSTANTIATE_TEST_SUITE_P(PageSize, Danger23_EveryPageSize,
                         testing::Values(512, 1024, 2048, 4096, 8192, 16384, 32768, 65536),
                         testing::PrintToStringParamName());

// SQLite neither reads nor writes the page at 1 GiB, which holds its locks.
class Danger23_AroundAGibibyte : public FerryTest {
 protected:
  void begin_beyond(int page_size) {
    sql(origin_, "PRAGMA page_size=" + std::to_string(page_size) +
                     "; PRAGMA journal_mode=OFF; CREATE TABLE big(x);"
                     "INSERT INTO big VALUES(zeroblob(540000000)), (zeroblob(540000000));"
                     "PRAGMA journal_mode=WAL;");
    ASSERT_GT(size_of(origin_), 1U << 30);
    ASSERT_NO_FATAL_FAILURE(serve());
    follow();
    expect_proven();
  }
  // Not row by row: that would take gigabytes.
  void expect_proven() {
    ASSERT_TRUE(wait_until_equal(*primary_, *replica_)) << replica_->status();
    const Finished verified = walferry({"verify", local_, primary_->url()});
    EXPECT_EQ(verified.exit_code, 0) << verified.output << verified.error;
  }
};

class Danger23_BeyondAGibibyte : public Danger23_AroundAGibibyte,
                                 public testing::WithParamInterface<int> {};

TEST_P(Danger23_BeyondAGibibyte, IsFollowed) {
  ASSERT_NO_FATAL_FAILURE(begin_beyond(GetParam()));
  EXPECT_EQ(size_of(local_), size_of(origin_));
  sql(origin_, filled_table("t", 2000, 300) + "DELETE FROM t WHERE id % 3 = 0;");
  ASSERT_NO_FATAL_FAILURE(expect_proven());
  {
    StockDatabase local(local_, SQLITE_OPEN_READONLY);
    EXPECT_EQ(local.text("PRAGMA quick_check"), "ok");
    EXPECT_EQ(local.number("SELECT count(*) FROM t"), 1334);
  }
  EXPECT_EQ(replica_->stop(), 0);
  std::filesystem::remove(local_ + "-walferry");
  replica_->start();  // compares the hashes of all pages
  ASSERT_NO_FATAL_FAILURE(expect_proven());
  EXPECT_EQ(replica_->count_in_log(": 0 of "), 1U);
}

INSTANTIATE_TEST_SUITE_P(PageSize, Danger23_BeyondAGibibyte, testing::Values(512, 65536),
                         testing::PrintToStringParamName());

TEST_F(Danger23_AroundAGibibyte, IsLeftAgain) {
  ASSERT_NO_FATAL_FAILURE(begin_beyond(65536));
  sql(origin_, filled_table("t", 2000, 300) + "DROP TABLE big; VACUUM;");
  ASSERT_TRUE(wait_until([&] { return StockDatabase(local_).number("PRAGMA page_count") < 100; }));
  expect_equal();
}

class Danger23_KindsOfDatabase : public FerryTest {};

TEST_F(Danger23_KindsOfDatabase, AutoVacuumFullGivesPagesBack) {
  begin("PRAGMA auto_vacuum=FULL; VACUUM;" + filled_table("t", 2000, 500));
  sql(origin_, "DELETE FROM t WHERE id > 100;");
  expect_equal();
  EXPECT_LT(StockDatabase(local_).number("PRAGMA page_count"), 50);
}

TEST_F(Danger23_KindsOfDatabase, AutoVacuumIncrementalGivesPagesBack) {
  begin("PRAGMA auto_vacuum=INCREMENTAL; VACUUM;" + filled_table("t", 2000, 500));
  sql(origin_, "DELETE FROM t WHERE id > 100; PRAGMA incremental_vacuum(20);");
  expect_equal();
  sql(origin_, "PRAGMA incremental_vacuum;");
  expect_equal();
}

TEST_F(Danger23_KindsOfDatabase, AutoVacuumIsSwitchedWhileFollowed) {
  begin(filled_table("t", 500, 500));
  for (const char* mode : {"FULL", "NONE", "INCREMENTAL"}) {
    sql(origin_, std::string("PRAGMA auto_vacuum=") + mode +
                     "; VACUUM; DELETE FROM t WHERE id % 7;" +
                     "INSERT INTO t(text) SELECT hex(randomblob(300)) FROM t;");
    expect_equal();
  }
}

TEST_F(Danger23_KindsOfDatabase, Utf16) {
  begin("PRAGMA encoding='UTF-16le'; CREATE TABLE t(x); INSERT INTO t VALUES('grüße 漢字');");
  sql(origin_, "INSERT INTO t VALUES('\xF0\x9F\x9A\xA2 ferry');");
  expect_equal();
  EXPECT_EQ(StockDatabase(local_).text("SELECT x FROM t WHERE rowid = 2"),
            "\xF0\x9F\x9A\xA2 ferry");
}

TEST_F(Danger23_KindsOfDatabase, VirtualTablesWithoutRowidAndGeneratedColumns) {
  begin(
      "CREATE VIRTUAL TABLE words USING fts5(body);"
      "CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1, y0, y1);"
      "CREATE TABLE pairs(a TEXT, b TEXT, PRIMARY KEY(a, b)) WITHOUT ROWID;"
      "CREATE TABLE made(a INT, b INT GENERATED ALWAYS AS (a * 2) STORED, c AS (a + 1) VIRTUAL);"
      "CREATE INDEX made_c ON made(c);"
      "CREATE TRIGGER copied AFTER INSERT ON made BEGIN INSERT INTO pairs VALUES(new.a, new.b); "
      "END;"
      "CREATE VIEW seen AS SELECT a, c FROM made;");
  sql(origin_,
      "INSERT INTO words VALUES('the quick brown fox'), ('jumps over'), ('the lazy dog');"
      "INSERT INTO boxes VALUES(1, 0, 10, 0, 10), (2, 5, 15, 5, 15);"
      "INSERT INTO made(a) VALUES(1), (2), (3);"
      "INSERT INTO words(words) VALUES('optimize');");
  expect_equal();
  StockDatabase local(local_, SQLITE_OPEN_READONLY);
  EXPECT_EQ(local.number("SELECT count(*) FROM words WHERE words MATCH 'the'"), 2);
  EXPECT_EQ(local.number("SELECT count(*) FROM boxes WHERE x0 > 1"), 1);
  EXPECT_EQ(local.number("SELECT sum(b) + sum(c) FROM made"), 12 + 9);
  EXPECT_EQ(local.number("SELECT count(*) FROM pairs"), 3);
}

TEST_F(Danger23_KindsOfDatabase, GrowthAndTruncation) {
  begin(filled_table("small", 10, 100));
  sql(origin_, filled_table("large", 20'000, 400));
  expect_equal();
  EXPECT_GT(StockDatabase(local_).number("PRAGMA page_count"), 2000);
  sql(origin_, "DROP TABLE large;");
  sql(origin_, "VACUUM;");
  expect_equal();
  EXPECT_LT(StockDatabase(local_).number("PRAGMA page_count"), 10);
  // What was given back is gone from the file as well once the replica has settled.
  EXPECT_EQ(replica_->stop(), 0);
  EXPECT_LT(size_of(local_), 100'000U);
}

TEST_F(Danger23_KindsOfDatabase, TwoThousandTables) {
  std::string tables = "BEGIN;";
  for (int i = 0; i < 2000; ++i) {
    tables += "CREATE TABLE t" + std::to_string(i) + "(x, y);";
    tables += "INSERT INTO t" + std::to_string(i) + " VALUES(" + std::to_string(i) + ", 'y');";
  }
  begin(tables + "COMMIT;");
  sql(origin_, "DROP TABLE t7; ALTER TABLE t8 RENAME TO other; ALTER TABLE t9 ADD COLUMN z;");
  expect_equal();
}

TEST_F(Danger23_KindsOfDatabase, FileWithoutABytePublishesItsFirstTable) {
  write_content(origin_, "");
  ASSERT_NO_FATAL_FAILURE(serve());
  follow();
  expect_equal();
  sql(origin_, filled_table("first", 100, 100));
  expect_equal();
}

TEST_F(Danger23_KindsOfDatabase, DatabaseWithoutTables) {
  begin("PRAGMA user_version=7;");
  EXPECT_EQ(StockDatabase(local_).number("PRAGMA user_version"), 7);
  sql(origin_, "CREATE TABLE t(x); INSERT INTO t VALUES(1);");
  expect_equal();
}

TEST_F(Danger23_KindsOfDatabase, NamesWithSpacesPercentAndUnicode) {
  for (const std::string name :
       {"with space.db", "100% sure%20.db", "größe 漢字.db", "a#b?c&d.db"}) {
    SCOPED_TRACE(name);
    primary_.reset();
    replica_.reset();
    origin_ = directory_ / name;
    local_ = directory_ / ("copy of " + name);
    begin(filled_table("t", 20, 100));
    sql(origin_, "DELETE FROM t WHERE id < 10;");
    expect_equal();
  }
}

TEST_F(Danger23_KindsOfDatabase, SymlinkedPaths) {
  std::filesystem::create_directory(directory_ / "real");
  std::filesystem::create_symlink(directory_ / "real" / "app.db", origin_);
  begin(filled_table("t", 20, 100));
  EXPECT_EQ(replica_->stop(), 0);
  // The replica through a link as well.
  std::filesystem::rename(local_, directory_ / "real" / "local.db");
  std::filesystem::rename(local_ + "-walferry", directory_ / "real" / "local.db-walferry");
  std::filesystem::create_symlink(directory_ / "real" / "local.db", local_);
  sql(origin_, "DELETE FROM t WHERE id < 10;");
  replica_->start();
  expect_equal();
  EXPECT_TRUE(std::filesystem::is_symlink(local_));
  EXPECT_EQ(figure("reconciles"), 0U);
}

TEST_F(Danger23_KindsOfDatabase, RollbackJournalIsSwitchedToWal) {
  sql(origin_, "PRAGMA journal_mode=DELETE;" + filled_table("t", 50, 100));
  ASSERT_NO_FATAL_FAILURE(serve());
  EXPECT_NE(primary_->log().find("WAL mode"), std::string::npos) << primary_->log();
  follow();
  expect_equal();
  EXPECT_EQ(StockDatabase(origin_).text("PRAGMA journal_mode"), "wal");
  sql(origin_, "DELETE FROM t WHERE id < 10;");
  expect_equal();
}

}  // namespace
}  // namespace walferry::tests
