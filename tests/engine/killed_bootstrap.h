/// The first copy of a database on which a writer ends a generation about every second: killed ten
/// times, resumed each time. The same test at several sizes.
#pragma once

#include <atomic>
#include <iostream>
#include <random>
#include <thread>

#include "tests/support/damaging_proxy.h"
#include "tests/support/ferry_fixture.h"

namespace walferry::tests {

class KilledBootstrapTest : public FerryTest {
 protected:
  static constexpr int kKills = 10;

  /// A database of so many pages of 4 KiB.
  void kill_and_resume(int pages) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    sql(origin_, "PRAGMA journal_mode=OFF; PRAGMA cache_size=-20000;" +
                     filled_table("t", pages, 3900) +
                     "CREATE TABLE ticks(x); PRAGMA journal_mode=WAL;");
    ASSERT_NO_FATAL_FAILURE(serve({"--wal-limit", "64K"}));
    const std::uint64_t size = size_of(origin_);
    ASSERT_GT(size, std::uint64_t{4000} * static_cast<unsigned>(pages));

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
                   std::to_string(1 + i * 97 % pages));
        std::this_thread::sleep_for(std::chrono::milliseconds(60));
      }
    });
    const std::uint64_t tenth = size / (kKills + 1);
    const auto patience = std::chrono::milliseconds(30'000 + size / 1000);
    std::uint64_t peak = 0;
    const std::string part = local_ + "-walferry-part";
    bool well = true;
    for (unsigned kill = 0; kill < kKills && well; ++kill) {
      // Somewhere within the next tenth.
      const std::uint64_t until = tenth * kill + random() % tenth;
      replica.start();
      well = wait_until(
          [&] {
            peak = std::max(peak, peak_resident_bytes(replica.process().pid()));
            return size_of(part) >= until;
          },
          patience);
      EXPECT_FALSE(std::filesystem::exists(local_));
      replica.kill_hard();
    }
    replica.start();
    well = well && wait_until(
                       [&] {
                         peak = std::max(peak, peak_resident_bytes(replica.process().pid()));
                         return std::filesystem::exists(local_);
                       },
                       patience);
    const std::uint64_t fetched = proxy.bytes_from_server();
    const std::string status = primary_->status();
    const std::uint64_t frames = json_number(status, "frames");
    const std::uint64_t generations = json_number(status, "generations_ended");
    enough = true;
    writer.join();
    ASSERT_TRUE(well) << replica.log();
    EXPECT_GE(generations, size / 50'000'000);
    proxy.set_rate(0);
    ASSERT_TRUE(wait_until_equal(*primary_, replica)) << replica.log();
    EXPECT_EQ(replica.stop(), 0);
    EXPECT_EQ(walferry({"verify", local_, primary_->url()}).exit_code, 0);
    // What was written meanwhile came as frames; the rest is the snapshot.
    const std::uint64_t as_frames = frames * (4096 + 24);
    const double share =
        static_cast<double>(fetched - std::min(fetched, as_frames)) / static_cast<double>(size);
    std::cout << size << " bytes, " << fetched << " fetched, thereof " << as_frames
              << " as frames: " << share << " of the size; " << generations
              << " generations ended; peak memory " << (peak >> 10) << " KiB\n";
    EXPECT_LE(share, 1.02);
    EXPECT_LE(peak, 32U << 20);
  }
};

}  // namespace walferry::tests
