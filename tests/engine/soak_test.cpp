// Ten minutes of steady work: neither memory nor descriptors nor files may grow.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/support/daemons.h"
#include "tests/support/polling.h"
#include "tests/support/stock_database.h"
#include "tests/support/temporary_directory.h"

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

TEST(Soak, NeitherMemoryNorDescriptorsNorWalsGrow) {
  TemporaryDirectory directory;
  StockDatabase writer(directory / "app.db");
  writer.run(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE t(a INTEGER PRIMARY KEY, "
      "b)");
  PrimaryDaemon primary(directory / "app.db", directory / "primary.log");
  primary.start();
  ASSERT_TRUE(primary.wait_until_serving()) << primary.log();
  ReplicaDaemon replica(primary.url(), directory / "local.db", directory / "replica.log");
  replica.start();
  ASSERT_TRUE(wait_until_equal(primary, replica)) << replica.log();

  const auto total = soak_time();
  const auto begun = Clock::now();
  Sample primary_warm;
  Sample replica_warm;
  std::uint64_t largest_primary_wal = 0;
  std::uint64_t largest_replica_wal = 0;
  StockDatabase reader(directory / "local.db", SQLITE_OPEN_READONLY);
  bool warm = false;
  while (Clock::now() - begun < total) {
    for (int i = 0; i < 200; ++i) {
      writer.run("INSERT OR REPLACE INTO t VALUES(abs(random()) % 20000, hex(randomblob(300)))");
    }
    (void)reader.number("SELECT count(*) FROM t");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    largest_primary_wal = std::max(largest_primary_wal, size_of(directory / "app.db-wal"));
    largest_replica_wal = std::max(largest_replica_wal, size_of(directory / "local.db-wal"));
    if (!warm && Clock::now() - begun > total / 5) {
      warm = true;
      primary_warm = sample(primary.process().pid());
      replica_warm = sample(replica.process().pid());
    }
  }
  ASSERT_TRUE(wait_until_equal(primary, replica)) << replica.log();
  const Sample primary_end = sample(primary.process().pid());
  const Sample replica_end = sample(replica.process().pid());
  RecordProperty("primary_rss_mib", std::to_string(primary_end.memory >> 20));
  RecordProperty("replica_rss_mib", std::to_string(replica_end.memory >> 20));
  EXPECT_LE(primary_end.memory, primary_warm.memory + (4u << 20));
  EXPECT_LE(replica_end.memory, replica_warm.memory + (4u << 20));
  EXPECT_LE(primary_end.descriptors, primary_warm.descriptors + 2);
  EXPECT_LE(replica_end.descriptors, replica_warm.descriptors + 2);
  EXPECT_LE(largest_primary_wal, 2 * kWalLimit);
  EXPECT_LE(largest_replica_wal, 2 * kWalLimit);
  EXPECT_EQ(difference_of_files(directory / "app.db", directory / "local.db"), "");
  std::printf(
      "primary %llu MiB, %zu descriptors, WAL at most %llu KiB; replica %llu MiB, %zu descriptors, "
      "WAL at most %llu KiB\n",
      static_cast<unsigned long long>(primary_end.memory >> 20), primary_end.descriptors,
      static_cast<unsigned long long>(largest_primary_wal >> 10),
      static_cast<unsigned long long>(replica_end.memory >> 20), replica_end.descriptors,
      static_cast<unsigned long long>(largest_replica_wal >> 10));
}

TEST(Soak, OneTransactionOfTwoGigabytesPasses) {
  TemporaryDirectory directory;
  {
    StockDatabase writer(directory / "app.db");
    writer.run("PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
  }
  PrimaryDaemon primary(directory / "app.db", directory / "primary.log");
  primary.start();
  ASSERT_TRUE(primary.wait_until_serving()) << primary.log();
  ReplicaDaemon replica(primary.url(), directory / "local.db", directory / "replica.log");
  replica.start();
  ASSERT_TRUE(wait_until_equal(primary, replica)) << replica.log();
  StockDatabase reader(directory / "local.db", SQLITE_OPEN_READONLY);
  ChildProcess writer(
      {"sqlite3", (directory / "app.db").string(),
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
  EXPECT_LE(peak_resident_bytes(primary.process().pid()), 112u << 20);
  EXPECT_LE(peak_resident_bytes(replica.process().pid()), 48u << 20);
  // Both logs shrink again with the next commits.
  EXPECT_TRUE(wait_until(
      [&] {
        StockDatabase(directory / "app.db").run("INSERT INTO t(b) VALUES('x')");
        return size_of(directory / "app.db-wal") <= (32u << 20) &&
               size_of(directory / "local.db-wal") <= (32u << 20);
      },
      std::chrono::minutes(2), std::chrono::milliseconds(500)))
      << size_of(directory / "app.db-wal") << " " << size_of(directory / "local.db-wal");
  EXPECT_TRUE(wait_until_equal(primary, replica));
  EXPECT_EQ(walferry({"verify", (directory / "local.db").string(), primary.url()}).exit_code, 0);
}

}  // namespace
}  // namespace walferry::tests
