// A replica of a replica.
#include <gtest/gtest.h>

#include "tests/support/ferry_fixture.h"

namespace walferry::tests {
namespace {

class Danger25_ReplicaOfAReplica : public FerryTest {
 protected:
  void SetUp() override {
    sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 2000, 300));
    ASSERT_NO_FATAL_FAILURE(serve({"--wal-limit", "256K"}));
    follow({"--listen", "127.0.0.1:" + std::to_string(port_), "--wal-limit", "256K"});
    ASSERT_NO_FATAL_FAILURE(expect_equal());
    second_.start();
    ASSERT_NO_FATAL_FAILURE(expect_both_equal());
  }
  void TearDown() override {
    FerryTest::TearDown();
    if (HasFailure() || std::getenv("WALFERRY_SHOW_LOGS") != nullptr)
      std::cerr << "---- second replica\n" << second_.log();
  }
  void expect_both_equal() {
    ASSERT_NO_FATAL_FAILURE(expect_equal());
    ASSERT_TRUE(wait_until_equal(*primary_, second_)) << replica_->status() << second_.status();
    const Finished verified = walferry({"verify", farther_, onward_url()});
    EXPECT_EQ(verified.exit_code, 0) << verified.output << verified.error;
    EXPECT_EQ(difference_of_files(origin_, farther_), "");
  }
  void change(int rounds) {
    StockDatabase origin(origin_);
    for (int i = 0; i < rounds; ++i) {
      origin.run("UPDATE t SET text = hex(randomblob(100)) WHERE id % 40 = " +
                 std::to_string(i % 40));
    }
  }
  [[nodiscard]] std::string onward_url() const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/db/local.db";
  }

  std::uint16_t port_ = free_port();
  std::string farther_ = directory_ / "farther.db";
  ReplicaDaemon second_{onward_url(), farther_, directory_ / "second.log"};
};

TEST_F(Danger25_ReplicaOfAReplica, FollowsThroughGenerationsVacuumAndRestarts) {
  change(60);
  expect_both_equal();
  sql(origin_, "DELETE FROM t WHERE id > 500; VACUUM;" + filled_table("u", 500, 300));
  expect_both_equal();
  replica_->kill_hard();
  change(10);
  replica_->start();
  change(10);
  expect_both_equal();
  primary_->kill_hard();
  sql(origin_, "PRAGMA wal_checkpoint(TRUNCATE);");
  change(3);
  ASSERT_NO_FATAL_FAILURE(serve());
  expect_both_equal();
  // The bridge was handed on as one: nothing had to be compared.
  EXPECT_EQ(second_.count_in_log("reconciling"), 0U);
  second_.kill_hard();
  change(100);
  second_.start();
  expect_both_equal();
  EXPECT_EQ(second_.count_in_log("bootstrapping"), 1U);
}

TEST_F(Danger25_ReplicaOfAReplica, GoesOnWhereTheLocalFileWasReplacedByAnOlderOne) {
  const std::string older = directory_ / "older.db";
  ASSERT_EQ(replica_->stop(), 0);
  std::filesystem::copy_file(local_, older);
  replica_->start();
  change(60);
  expect_both_equal();
  std::filesystem::rename(older, local_);
  ASSERT_TRUE(replica_->wait_for_log("replaced by another file"));
  change(10);
  expect_both_equal();
  EXPECT_TRUE(replica_->running());
  sql(origin_, "DELETE FROM t WHERE id > 500; VACUUM;" + filled_table("u", 500, 300));
  expect_both_equal();
  EXPECT_EQ(second_.count_in_log("bootstrapping"), 1U);
}

TEST_F(Danger25_ReplicaOfAReplica, FollowsOverRestartsOfThePrimaryWithoutAWrite) {
  change(5);
  expect_both_equal();
  EXPECT_EQ(second_.stop(), 0);
  EXPECT_EQ(replica_->stop(), 0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(primary_->stop(), 0);
    sql(origin_, "PRAGMA wal_checkpoint(TRUNCATE);");
    ASSERT_NO_FATAL_FAILURE(serve());
  }
  change(1);
  replica_->start();
  ASSERT_NO_FATAL_FAILURE(expect_equal());
  second_.start();
  expect_both_equal();
  EXPECT_EQ(second_.count_in_log("pages differ"), 0U);
}

TEST_F(Danger25_ReplicaOfAReplica, PageHashesDeletedWhileDownAreTakenAnew) {
  EXPECT_EQ(replica_->stop(), 0);
  std::filesystem::remove(local_ + "-walferry-log/hashes");
  replica_->start();
  ASSERT_NO_FATAL_FAILURE(expect_both_equal());
  // By these hashes the second one finds out what differs.
  EXPECT_EQ(second_.stop(), 0);
  std::filesystem::remove(farther_ + "-walferry");
  change(1);
  second_.start();
  expect_both_equal();
  EXPECT_EQ(second_.count_in_log("lead to root"), 0U);
}

// The first replica shows its readers another schema cookie then, and nobody else.
TEST_F(Danger25_ReplicaOfAReplica, AThirdOneJoinsAfterAnotherHistory) {
  const std::string other = directory_ / "other.db";
  EXPECT_EQ(primary_->stop(), 0);
  std::filesystem::copy_file(origin_, other);
  sql(other,
      "PRAGMA journal_mode=WAL; DELETE FROM t WHERE id % 100 = 0;"
      "PRAGMA wal_checkpoint(TRUNCATE);");
  for (const char* ending : {"-wal", "-shm"}) std::filesystem::remove(origin_ + ending);
  std::filesystem::rename(other, origin_);
  ASSERT_NO_FATAL_FAILURE(serve());
  ASSERT_NO_FATAL_FAILURE(expect_both_equal());
  const auto cookie = [](const std::string& path) {
    return StockDatabase(path, SQLITE_OPEN_READONLY).number("PRAGMA schema_version");
  };
  EXPECT_NE(cookie(local_), cookie(origin_));
  ReplicaDaemon third(onward_url(), directory_ / "third.db", directory_ / "third.log");
  third.start();
  EXPECT_TRUE(wait_until_equal(*primary_, third)) << third.log();
  EXPECT_EQ(difference_of_files(origin_, third.local()), "");
  EXPECT_EQ(cookie(third.local()), cookie(origin_));
  EXPECT_EQ(third.count_in_log("bootstrapping"), 1U);
}

TEST_F(Danger25_ReplicaOfAReplica, PassesAnotherPageSizeOn) {
  StockDatabase reader(farther_, SQLITE_OPEN_READONLY);
  ASSERT_EQ(reader.number("SELECT count(*) FROM t"), 2000);
  EXPECT_EQ(primary_->stop(), 0);
  for (const char* ending : {"", "-wal", "-shm"}) std::filesystem::remove(origin_ + ending);
  sql(origin_, "PRAGMA page_size=8192;" + filled_table("u", 30, 50) + filled_table("t", 1000, 300) +
                   "PRAGMA journal_mode=WAL;");
  ASSERT_NO_FATAL_FAILURE(serve());
  expect_both_equal();
  change(10);
  expect_both_equal();
  EXPECT_EQ(reader.number("SELECT count(*) FROM t"), 1000);
  EXPECT_EQ(reader.number("PRAGMA page_size"), 8192);
}

TEST_F(Danger25_ReplicaOfAReplica, HearsOfTheReplicaWhileNothingIsWritten) {
  ReplicaDaemon third(onward_url(), directory_ / "third.db", directory_ / "third.log",
                      {"--idle-timeout", "15s"});
  third.start();
  ASSERT_TRUE(third.wait_for_log("live"));
  // Heartbeats, or the connection would be made anew within this time.
  EXPECT_FALSE(wait_until([&] { return third.count_in_log("idle timeout") > 0; },
                          std::chrono::milliseconds(18'000)));
}

TEST_F(Danger25_ReplicaOfAReplica, FilesAreEqualByteForByte) {
  change(20);
  expect_both_equal();
  EXPECT_EQ(second_.stop(), 0);
  EXPECT_EQ(replica_->stop(), 0);
  EXPECT_EQ(primary_->stop(), 0);
  std::string origin = content_of(origin_);
  const std::string local = content_of(local_);
  ASSERT_GT(origin.size(), 4096U);
  EXPECT_TRUE(local == content_of(farther_));
  // The write-version guard is all that differs from the primary.
  ASSERT_EQ(origin[18], '\x02');
  origin[18] = '\x03';
  EXPECT_TRUE(local == origin);
}

TEST_F(Danger25_ReplicaOfAReplica, SecondServeOnTheSameFileIsRefused) {
  for (const bool running : {true, false}) {
    if (!running) {
      EXPECT_EQ(replica_->stop(), 0);
    }
    const Finished refused = walferry({"serve", local_, "--listen", "127.0.0.1:0"});
    EXPECT_EQ(refused.exit_code, 4) << refused.error;
    EXPECT_NE(refused.error.find("replica"), std::string::npos) << refused.error;
  }
  replica_->start();
  expect_both_equal();
}

}  // namespace
}  // namespace walferry::tests
