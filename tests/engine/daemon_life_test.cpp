// Starting, stopping, and what happens while the other side is not there.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/support/ferry_fixture.h"

namespace walferry::tests {
namespace {

using std::chrono::milliseconds;

class DaemonLife : public FerryTest {};

TEST_F(DaemonLife, OnceSyncsAndExits) {
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 100, 100));
  ASSERT_NO_FATAL_FAILURE(serve());
  for (int i = 0; i < 3; ++i) {
    const Finished synced = sync_once();
    EXPECT_EQ(synced.exit_code, 0) << synced.error;
    EXPECT_EQ(difference_of_files(origin_, local_), "");
    sql(origin_, "INSERT INTO t(text) VALUES('one more');");
  }
}

TEST_F(DaemonLife, IntervalSyncsAgainAndAgain) {
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 100, 100));
  ASSERT_NO_FATAL_FAILURE(serve());
  follow({"--interval", "200ms"});
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(local_); }));
  for (int i = 1; i <= 3; ++i) {
    sql(origin_, "INSERT INTO t(text) VALUES('one more');");
    ASSERT_TRUE(wait_until([&] {
      return StockDatabase(local_, SQLITE_OPEN_READONLY).number("SELECT count(*) FROM t") ==
             100 + i;
    }));
  }
}

TEST_F(DaemonLife, SigtermEndsBothWithinTwoSecondsAtAnyPoint) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::minstd_rand random(seed);
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 30'000, 900));
  primary_ = std::make_unique<PrimaryDaemon>(origin_, directory_ / "primary.log");
  replica_ = std::make_unique<ReplicaDaemon>(primary_->url(), local_, directory_ / "replica.log",
                                             std::vector<std::string>{"--limit-rate", "20M"});
  for (int i = 0; i < 8; ++i) {
    primary_->start();
    replica_->start();
    // Not a wait for anything: the moment of the signal is what the test varies.
    std::this_thread::sleep_for(milliseconds(random() % 700));
    for (Daemon* daemon :
         {static_cast<Daemon*>(primary_.get()), static_cast<Daemon*>(replica_.get())}) {
      // Before its handlers stand a signal just ends it.
      const int outcome = daemon->process().end(SIGTERM, milliseconds(2000));
      EXPECT_TRUE(outcome == 0 || outcome == -SIGTERM) << outcome;
    }
  }
  ASSERT_NO_FATAL_FAILURE(serve());
  follow();
  expect_equal();
}

TEST_F(DaemonLife, ReadsGoOnWithoutTheServerAndStatusSaysWhy) {
  begin(filled_table("t", 100, 100));
  EXPECT_EQ(replica_->stop(), 0);
  EXPECT_EQ(primary_->stop(), 0);
  replica_->start();
  ASSERT_TRUE(wait_until([&] { return replica_->state() == "stalled"; }));
  const std::string status = replica_->status();
  EXPECT_NE(json_field(status, "last_error").find(std::to_string(primary_->port())),
            std::string::npos)
      << status;
  EXPECT_EQ(StockDatabase(local_, SQLITE_OPEN_READONLY).number("SELECT count(*) FROM t"), 100);
  EXPECT_EQ(replica_->stop(), 0);
  replica_->start();
  ASSERT_NO_FATAL_FAILURE(serve());
  expect_equal();
}

TEST_F(DaemonLife, WhenItLastHadEverythingIsKnownOverARestart) {
  begin(filled_table("t", 100, 100));
  ASSERT_TRUE(wait_until([&] { return replica_->number("last_success_unix") > 0; }));
  EXPECT_EQ(primary_->stop(), 0);
  for (const bool killed : {false, true}) {
    if (killed) {
      replica_->kill_hard();
    } else {
      EXPECT_EQ(replica_->stop(), 0);
    }
    const std::uint64_t last = replica_->number("last_success_unix");
    EXPECT_GT(last, 0U);
    replica_->start();
    ASSERT_TRUE(wait_until([&] { return replica_->state() == "stalled"; }));
    EXPECT_EQ(replica_->number("last_success_unix"), last);
    EXPECT_EQ(walferry({"status", local_}).output.find("never"), std::string::npos);
  }
  // Of another primary nothing is known.
  EXPECT_EQ(replica_->stop(), 0);
  const std::string other = "http://127.0.0.1:" + std::to_string(free_port()) + "/db/app.db";
  EXPECT_EQ(walferry({"replicate", other, local_, "--once"}).exit_code, 5);
  EXPECT_EQ(figure("last_success_unix"), 0U);
}

TEST_F(DaemonLife, PositionMovesIntoAGenerationThatNothingWasWrittenTo) {
  begin(filled_table("t", 100, 100), {"--wal-limit", "64K"});
  StockDatabase origin(origin_);
  ASSERT_TRUE(wait_until([&] {
    origin.run("UPDATE t SET text = hex(randomblob(50))");
    return json_field(primary_->status(), "position").find(".0.") != std::string::npos;
  }));
  EXPECT_TRUE(wait_until([&] { return replica_->position() == primary_->position(); }));
}

TEST_F(DaemonLife, OpenAddressesAreRefused) {
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 100, 100));
  EXPECT_EQ(walferry({"serve", origin_, "--listen", "0.0.0.0:0"}).exit_code, 4);
  EXPECT_EQ(walferry({"serve", origin_, "--listen", "[::]:0"}).exit_code, 4);
  ASSERT_NO_FATAL_FAILURE(serve());
  const Finished refused =
      walferry({"replicate", primary_->url(), local_, "--listen", "0.0.0.0:0"});
  EXPECT_EQ(refused.exit_code, 4) << refused.error;
  EXPECT_FALSE(std::filesystem::exists(local_));
}

}  // namespace
}  // namespace walferry::tests
