// What takes long: ten minutes of steady work, in which neither memory nor descriptors nor files
// may grow; one transaction of two gigabytes; the first copy of a gigabyte.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/engine/killed_bootstrap.h"
#include "tests/support/ferry_fixture.h"

namespace walferry::tests {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kWalLimit = 16u << 20;  // the default

/// Seconds of the run: WALFERRY_SOAK_SECONDS, or ten minutes.
std::chrono::seconds soak_time() {
  const char* text = std::getenv("WALFERRY_SOAK_SECONDS");  // NOLINT(concurrency-mt-unsafe)
  return std::chrono::seconds(text != nullptr ? std::atol(text) : 600);
}

std::uint64_t resident_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  file >> size >> resident;
  return resident * 4096;
}

std::size_t open_descriptors(pid_t pid) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd"))
    ++count;
  return count;
}

struct Sample {
  std::uint64_t memory = 0;
  std::size_t descriptors = 0;
};

Sample sample(pid_t pid) { return {resident_bytes(pid), open_descriptors(pid)}; }

class Soak : public FerryTest {
 protected:
  void SetUp() override { begin("CREATE TABLE t(a INTEGER PRIMARY KEY, b);"); }
  [[nodiscard]] pid_t primary() const { return primary_->process().pid(); }
  [[nodiscard]] pid_t replica() const { return replica_->process().pid(); }
};

TEST_F(Soak, NeitherMemoryNorDescriptorsNorWalsGrow) {
  StockDatabase writer(origin_);
  writer.run("PRAGMA synchronous=NORMAL");
  const auto total = soak_time();
  const auto begun = Clock::now();
  Sample primary_warm;
  Sample replica_warm;
  std::uint64_t largest_primary_wal = 0;
  std::uint64_t largest_replica_wal = 0;
  StockDatabase reader(local_, SQLITE_OPEN_READONLY);
  bool warm = false;
  while (Clock::now() - begun < total) {
    for (int i = 0; i < 200; ++i) {
      writer.run("INSERT OR REPLACE INTO t VALUES(abs(random()) % 20000, hex(randomblob(300)))");
    }
    (void)reader.number("SELECT count(*) FROM t");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    largest_primary_wal = std::max(largest_primary_wal, size_of(origin_ + "-wal"));
    largest_replica_wal = std::max(largest_replica_wal, size_of(local_ + "-wal"));
    if (!warm && Clock::now() - begun > total / 5) {
      warm = true;
      primary_warm = sample(primary());
      replica_warm = sample(replica());
    }
  }
  ASSERT_TRUE(wait_until_equal(*primary_, *replica_));
  const Sample primary_end = sample(primary());
  const Sample replica_end = sample(replica());
  expect_equal();
  RecordProperty("primary_rss_mib", std::to_string(primary_end.memory >> 20));
  RecordProperty("replica_rss_mib", std::to_string(replica_end.memory >> 20));
  EXPECT_LE(primary_end.memory, primary_warm.memory + (4u << 20));
  EXPECT_LE(replica_end.memory, replica_warm.memory + (4u << 20));
  EXPECT_LE(primary_end.descriptors, primary_warm.descriptors + 2);
  EXPECT_LE(replica_end.descriptors, replica_warm.descriptors + 2);
  EXPECT_LE(largest_primary_wal, 2 * kWalLimit);
  EXPECT_LE(largest_replica_wal, 2 * kWalLimit);
  std::printf(
      "primary %llu MiB, %zu descriptors, WAL at most %llu KiB; replica %llu MiB, %zu descriptors, "
      "WAL at most %llu KiB\n",
      static_cast<unsigned long long>(primary_end.memory >> 20), primary_end.descriptors,
      static_cast<unsigned long long>(largest_primary_wal >> 10),
      static_cast<unsigned long long>(replica_end.memory >> 20), replica_end.descriptors,
      static_cast<unsigned long long>(largest_replica_wal >> 10));
}

TEST_F(Soak, OneTransactionOfTwoGigabytesPasses) {
  StockDatabase reader(local_, SQLITE_OPEN_READONLY);
  ChildProcess writer(
      {"sqlite3", origin_,
       "INSERT INTO t SELECT value, randomblob(3900) FROM generate_series(1, 520000)"},
      {});
  bool whole = false;
  ASSERT_TRUE(wait_until(
      [&] {
        const std::int64_t rows = reader.number("SELECT count(*) FROM t");
        EXPECT_TRUE(rows == 0 || rows == 520'000) << rows;
        whole = rows == 520'000;
        return whole;
      },
      std::chrono::minutes(10), std::chrono::milliseconds(200)));
  EXPECT_EQ(writer.wait(), 0);
  // docs/operations.md: 50 bytes for each of 520,000 pages and 16 mapped for each page here, the
  // usual 40 MiB besides; a replica's memory does not depend on the transaction.
  EXPECT_LE(peak_resident_bytes(primary()), 112u << 20);
  EXPECT_LE(peak_resident_bytes(replica()), 48u << 20);
  // Both logs shrink again with the next commits.
  EXPECT_TRUE(wait_until(
      [&] {
        sql(origin_, "INSERT INTO t(b) VALUES('x')");
        return size_of(origin_ + "-wal") <= (32u << 20) && size_of(local_ + "-wal") <= (32u << 20);
      },
      std::chrono::minutes(2), std::chrono::milliseconds(500)))
      << size_of(origin_ + "-wal") << " " << size_of(local_ + "-wal");
  // Not row by row: that would take the memory of the test.
  EXPECT_TRUE(wait_until_equal(*primary_, *replica_));
  EXPECT_EQ(walferry({"verify", local_, primary_->url()}).exit_code, 0);
}

using SoakBootstrap = KilledBootstrapTest;

// Beyond the lock-byte page.
TEST_F(SoakBootstrap, OfAGigabyteKilledTenTimesFetchesHardlyAByteTwiceInLittleMemory) {
  kill_and_resume(270'000);
  StockDatabase local(local_, SQLITE_OPEN_READONLY);
  EXPECT_EQ(local.text("PRAGMA integrity_check"), "ok");
  EXPECT_EQ(local.number("SELECT count(*) FROM t"), 270'000);
}

}  // namespace
}  // namespace walferry::tests
