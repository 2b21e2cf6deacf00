// The first copy: killed and resumed, in little memory, while generations end.
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/engine/killed_bootstrap.h"

namespace walferry::tests {
namespace {

class Danger26_Bootstrap : public KilledBootstrapTest {};

TEST_F(Danger26_Bootstrap, KilledTenTimesFetchesHardlyAByteTwiceInLittleMemory) {
  kill_and_resume(25'000);
  EXPECT_EQ(difference_of_files(origin_, local_), "");
}

// The record of the progress survived a power cut, and pages before it did not.
TEST_F(Danger26_Bootstrap, PagesThatAPowerCutTookAreNoticed) {
  sql(origin_, filled_table("t", 2000, 3900) + "PRAGMA journal_mode=WAL;");
  ASSERT_NO_FATAL_FAILURE(serve());
  DamagingProxy proxy(primary_->port(), 1);
  proxy.set_rate(5'000'000);
  replica_ = std::make_unique<ReplicaDaemon>(
      "http://127.0.0.1:" + std::to_string(proxy.port()) + "/db/app.db", local_,
      directory_ / "replica.log");
  replica_->start();
  const std::string part = local_ + "-walferry-part";
  ASSERT_TRUE(wait_until([&] { return size_of(part) > 3'000'000; }));
  replica_->kill_hard();
  std::fstream(part, std::ios::binary | std::ios::in | std::ios::out)
      .seekp(1'000'000)
      .write(std::string(500'000, '\0').data(), 500'000);
  proxy.set_rate(0);
  replica_->start();
  expect_equal();
  EXPECT_EQ(replica_->count_in_log("the first copy has root"), 1U);
}

TEST_F(Danger26_Bootstrap, WhileManyGenerationsEndTheFirstStateIsACommittedOne) {
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 20'000, 380) +
                   "CREATE TABLE pairs(a, b); INSERT INTO pairs VALUES(0, 0);");
  ASSERT_NO_FATAL_FAILURE(serve({"--wal-limit", "256K"}));
  std::atomic<bool> enough = false;
  std::thread writer([&] {
    StockDatabase origin(origin_);
    for (int i = 0; !enough; ++i) {
      origin.run(
          "BEGIN; UPDATE pairs SET a = a + 1; UPDATE t SET text = hex(randomblob(190)) WHERE id % "
          "500 = " +
          std::to_string(i % 500) + "; UPDATE pairs SET b = b + 1; COMMIT");
    }
  });
  DamagingProxy proxy(primary_->port(), 1);
  proxy.set_rate(8'000'000);
  ReplicaDaemon replica("http://127.0.0.1:" + std::to_string(proxy.port()) + "/db/app.db", local_,
                        directory_ / "replica.log");
  replica.start();
  const bool appeared = wait_until([&] { return std::filesystem::exists(local_); });
  std::int64_t last = -1;
  for (int i = 0; appeared && i < 100; ++i) {
    StockDatabase local(local_, SQLITE_OPEN_READONLY);
    const std::string pair = local.text("SELECT a || ' ' || b FROM pairs");
    const std::int64_t a = std::stoll(pair);
    EXPECT_EQ(pair, std::to_string(a) + " " + std::to_string(a));
    EXPECT_GE(a, last);
    last = a;
    if (i % 20 == 0) {
      EXPECT_EQ(local.text("PRAGMA integrity_check"), "ok");
    }
  }
  enough = true;
  writer.join();
  ASSERT_TRUE(appeared) << replica.log();
  EXPECT_GE(json_number(primary_->status(), "generations_ended"), 5U);
  proxy.set_rate(0);
  ASSERT_TRUE(wait_until_equal(*primary_, replica)) << replica.log();
  EXPECT_EQ(difference_of_files(origin_, local_), "");
}

TEST_F(Danger26_Bootstrap, ALimitOfFileSizesIsAnErrorAndNotTheEndOfTheProgram) {
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 5'000, 1000));
  ASSERT_NO_FATAL_FAILURE(serve());
  const Finished limited =
      run_to_end({"/bin/sh", "-c", "ulimit -f 1000; exec \"$0\" \"$@\"", WALFERRY_PROGRAM,
                  "replicate", primary_->url(), local_, "--once"});
  EXPECT_EQ(limited.exit_code, 1) << limited.error;
  EXPECT_NE(limited.error.find("ulimit -f"), std::string::npos) << limited.error;
  const Finished synced = sync_once();
  EXPECT_EQ(synced.exit_code, 0) << synced.error;
  EXPECT_EQ(difference_of_files(origin_, local_), "");
}

}  // namespace
}  // namespace walferry::tests
