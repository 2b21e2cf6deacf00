// The first copy: killed and resumed, in little memory, while generations end.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/support/damaging_proxy.h"
#include "tests/support/ferry_fixture.h"

namespace walferry::tests {
namespace {

class Danger26_Bootstrap : public FerryTest {};

TEST_F(Danger26_Bootstrap, KilledTenTimesFetchesHardlyAByteTwiceInLittleMemory) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  sql(origin_, "PRAGMA journal_mode=WAL; PRAGMA cache_size=-20000;" +
                   filled_table("t", 25'000, 3900) + "CREATE TABLE ticks(x);");
  ASSERT_NO_FATAL_FAILURE(serve({"--wal-limit", "64K"}));
  const std::uint64_t size = size_of(origin_);
  ASSERT_GT(size, 90'000'000U);

  // The bytes are counted, and slowed down, so that hardly one is on its way when the kill comes.
  DamagingProxy proxy(primary_->port(), seed);
  proxy.set_rate(30'000'000);
  ReplicaDaemon replica("http://127.0.0.1:" + std::to_string(proxy.port()) + "/db/app.db", local_,
                        directory_ / "replica.log");
  std::atomic<bool> enough = false;
  std::thread writer([&] {
    // About a generation each second, of few frames.
    StockDatabase origin(origin_);
    for (int i = 0; !enough; ++i) {
      origin.run("INSERT INTO ticks VALUES(" + std::to_string(i) + ")");
      origin.run("UPDATE t SET text = upper(text) WHERE id = " +
                 std::to_string(1 + i * 97 % 25'000));
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
    }
  });
  std::uint64_t peak = 0;
  const std::string part = local_ + "-walferry-part";
  bool well = true;
  for (int kill = 0; kill < 10 && well; ++kill) {
    // Somewhere within the next tenth.
    const std::uint64_t until = size / 11 * static_cast<unsigned>(kill) + random() % (size / 11);
    replica.start();
    well = wait_until([&] {
      peak = std::max(peak, peak_resident_bytes(replica.process().pid()));
      return size_of(part) >= until;
    });
    EXPECT_FALSE(std::filesystem::exists(local_));
    replica.kill_hard();
  }
  replica.start();
  well = well && wait_until([&] {
           peak = std::max(peak, peak_resident_bytes(replica.process().pid()));
           return std::filesystem::exists(local_);
         });
  const std::uint64_t fetched = proxy.bytes_from_server();
  const std::string status = primary_->status();
  const std::uint64_t frames = json_number(status, "frames");
  enough = true;
  writer.join();
  ASSERT_TRUE(well) << replica.log();
  EXPECT_GE(json_number(status, "generations_ended"), 2U);
  proxy.set_rate(0);
  ASSERT_TRUE(wait_until_equal(*primary_, replica)) << replica.log();
  EXPECT_EQ(difference_of_files(origin_, local_), "");
  // What was written meanwhile came as frames; the rest is the snapshot.
  EXPECT_LE(static_cast<double>(fetched) - static_cast<double>(frames * (4096 + 24)),
            1.02 * static_cast<double>(size))
      << fetched << " bytes, thereof " << frames << " frames";
  EXPECT_LE(peak, 32U << 20);
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
