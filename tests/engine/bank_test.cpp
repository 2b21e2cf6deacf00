// The bank test: money moves between accounts while writers, the primary and the replica are
// killed several times a second. No reader of the replica may ever see a wrong sum, an older state
// than before, or an error; and at the end both files are equal.
//
// WALFERRY_SEED=N replays the choices of a run, WALFERRY_BANK_SECONDS=N makes it longer.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/child_process.h"
#include "tests/support/daemons.h"
#include "tests/support/polling.h"
#include "tests/support/stock_database.h"
#include "tests/support/temporary_directory.h"

namespace walferry::tests {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kWriters = 3;
constexpr int kReaders = 3;
// Small, so that many generations end; but room for 256 frames of the largest pages.
std::uint64_t wal_limit(int page_size) { return page_size == 65536 ? 16u << 20 : 2u << 20; }

unsigned number_from_environment(const char* name, unsigned otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

class BankTest : public testing::TestWithParam<int> {
 protected:
  struct Kills {
    int writers = 0;
    int primary = 0;
    int replica = 0;
  };

  void SetUp() override {
    ASSERT_EQ(
        run_to_end({WALFERRY_BANK_WORKER, "create", bank_, std::to_string(GetParam())}).exit_code,
        0);
    primary_.start();
    ASSERT_TRUE(primary_.wait_until_serving()) << primary_.log();
    replica_.start();
    ASSERT_TRUE(replica_.wait_for_log("live")) << replica_.log();
    for (int i = 0; i < kWriters; ++i) writers_.push_back(start_writer());
    for (int i = 0; i < kReaders; ++i) {
      readers_.push_back(start("read", copy_, "reader-" + std::to_string(i)));
    }
  }

  ChildProcess start(const std::string& mode, const std::string& database,
                     const std::string& output) {
    return ChildProcess(
        {WALFERRY_BANK_WORKER, mode, database, std::to_string(random_() % 1'000'000)},
        {directory_ / output, directory_ / "worker-errors"});
  }
  ChildProcess start_writer() { return start("write", bank_, "writers"); }

  void kill_somebody() {
    const auto dice = random_() % 10;
    if (dice < 4) {
      ChildProcess& writer = writers_[random_() % kWriters];
      (void)writer.end(SIGKILL);
      writer = start_writer();
      ++kills_.writers;
    } else if (dice < 7) {
      primary_.kill_hard();
      primary_.start();
      ++kills_.primary;
    } else {
      replica_.kill_hard();
      replica_.start();
      ++kills_.replica;
    }
  }

  void look_at_wal_sizes() {
    primary_wal_ = std::max(primary_wal_, size_of(bank_ + "-wal"));
    replica_wal_ = std::max(replica_wal_, size_of(copy_ + "-wal"));
  }

  void expect_everybody_well() {
    for (std::size_t i = 0; i < readers_.size(); ++i) {
      ASSERT_FALSE(readers_[i].poll()) << content_of(directory_ / ("reader-" + std::to_string(i)));
    }
    for (ChildProcess& writer : writers_) {
      ASSERT_FALSE(writer.poll()) << content_of(directory_ / "writers");
    }
    ASSERT_TRUE(primary_.running()) << primary_.log();
    ASSERT_TRUE(replica_.running()) << replica_.log();
  }

  // Whether anything went wrong is said with all that is needed to run it again.
  void TearDown() override {
    if (!HasFailure()) return;
    std::cerr << "seed " << seed_ << "; again: WALFERRY_SEED=" << seed_
              << " bank_test --gtest_filter='*BankTest*/" << GetParam() << "'\n"
              << "---- primary\n"
              << primary_.log() << "---- replica\n"
              << replica_.log();
  }

  unsigned seed_ = number_from_environment("WALFERRY_SEED", std::random_device{}());
  std::minstd_rand random_{seed_};
  TemporaryDirectory directory_;
  std::string bank_ = directory_ / "bank.db";
  std::string copy_ = directory_ / "copy.db";
  PrimaryDaemon primary_{
      bank_, directory_ / "primary.log", {"--wal-limit", std::to_string(wal_limit(GetParam()))}};
  ReplicaDaemon replica_{primary_.url(),
                         copy_,
                         directory_ / "replica.log",
                         {"--wal-limit", std::to_string(wal_limit(GetParam()))}};
  std::vector<ChildProcess> writers_;
  std::vector<ChildProcess> readers_;
  Kills kills_;
  std::uint64_t primary_wal_ = 0;
  std::uint64_t replica_wal_ = 0;
};

TEST_P(BankTest, HoldsWhileEverybodyIsKilled) {
  const unsigned seconds = number_from_environment("WALFERRY_BANK_SECONDS", BANK_SECONDS);
  const auto end = steady_clock::now() + std::chrono::seconds(seconds);
  while (steady_clock::now() < end) {
    const auto next_kill = steady_clock::now() + milliseconds(100 + random_() % 300);
    while (steady_clock::now() < next_kill) {
      look_at_wal_sizes();
      std::this_thread::sleep_for(milliseconds(5));
    }
    ASSERT_NO_FATAL_FAILURE(expect_everybody_well());
    kill_somebody();
  }

  // Nobody keeps the WAL of a primary small that is dead half of the time. Now it lives.
  ASSERT_TRUE(primary_.wait_until_serving());
  const std::string before_calm = primary_.status();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const std::uint64_t under_fire = std::exchange(primary_wal_, 0);
  for (const auto calm_end = steady_clock::now() + std::chrono::seconds(2);
       steady_clock::now() < calm_end; std::this_thread::sleep_for(milliseconds(5))) {
    look_at_wal_sizes();
  }
  const std::string after_calm = primary_.status();

  for (ChildProcess& writer : writers_) {
    EXPECT_EQ(writer.end(SIGTERM), 0) << content_of(directory_ / "writers");
  }
  ASSERT_TRUE(wait_until_equal(primary_, replica_)) << primary_.status() << replica_.status();
  for (std::size_t i = 0; i < readers_.size(); ++i) {
    const std::string output = directory_ / ("reader-" + std::to_string(i));
    EXPECT_EQ(readers_[i].end(SIGTERM), 0) << content_of(output);
    EXPECT_NE(content_of(output).find(" busy=0 "), std::string::npos) << content_of(output);
    std::cout << content_of(output);
  }
  std::cout << content_of(directory_ / "writers") << "killed " << kills_.writers << " writers, "
            << kills_.primary << " primaries, " << kills_.replica
            << " replicas; WAL of the primary at most " << under_fire << ", in peace "
            << primary_wal_ << ", of the replica " << replica_wal_ << "; "
            << primary_.count_in_log("bridge the gap") << " bridges, generations "
            << json_number(before_calm, "generations_ended") << " to "
            << json_number(after_calm, "generations_ended") << " in peace\n";

  const Finished verified = walferry({"verify", copy_, primary_.url()});
  EXPECT_EQ(verified.exit_code, 0) << verified.output << verified.error;
  EXPECT_EQ(difference_of_files(bank_, copy_), "");
  StockDatabase bank(copy_, SQLITE_OPEN_READONLY);
  EXPECT_EQ(bank.number("SELECT sum(balance) FROM accounts"), 200'000);
  EXPECT_GT(bank.number("SELECT count FROM moves"), 100);

  // Followers went on by proof: one first copy, no comparing of whole files, one history.
  EXPECT_EQ(replica_.count_in_log("bootstrapping"), 1U);
  EXPECT_EQ(replica_.count_in_log("reconciling"), 0U);
  EXPECT_EQ(primary_.count_in_log("begins new log"), 0U);
  EXPECT_LE(primary_wal_, 2 * wal_limit(GetParam()));
  EXPECT_LE(replica_wal_, 2 * wal_limit(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(BANK_NAME, BankTest, testing::Values(512, 4096, 65536),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace walferry::tests
