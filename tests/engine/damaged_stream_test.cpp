// Danger 22: a proxy flips, cuts, repeats and reorders bytes of what the server sends. Nothing of
// it may reach the file, the error names the place, and all goes on when the proxy behaves.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/support/damaging_proxy.h"
#include "tests/support/ferry_fixture.h"

namespace walferry::tests {
namespace {

class Danger22_DamagedStream : public FerryTest, public testing::WithParamInterface<Damage> {
 protected:
  void SetUp() override {
    ASSERT_EQ(run_to_end({WALFERRY_BANK_WORKER, "create", origin_, "4096"}).exit_code, 0);
    sql(origin_, filled_table("ballast", 8000, 380));
    ASSERT_NO_FATAL_FAILURE(serve({"--wal-limit", "1M"}));
    proxy_ = std::make_unique<DamagingProxy>(primary_->port(), seed_);
    url_ = "http://127.0.0.1:" + std::to_string(proxy_->port()) + "/db/app.db";
  }
  void TearDown() override {
    FerryTest::TearDown();
    if (HasFailure()) std::cerr << "seed " << seed_ << "\n";
  }
  // A cut leaves the client waiting for bytes that never come: it shall not do so for long.
  Finished sync_through_proxy() {
    return walferry({"replicate", url_, local_, "--once", "--idle-timeout", "1s"});
  }
  const unsigned seed_ = std::random_device{}();
  std::unique_ptr<DamagingProxy> proxy_;
  std::string url_;
};

TEST_P(Danger22_DamagedStream, FirstCopyAppearsWholeOrNotAtAll) {
  proxy_->set_damage(GetParam(), 2'000'000);
  int failures = 0;
  for (int i = 0; i < 8; ++i) {
    const Finished synced = sync_through_proxy();
    if (synced.exit_code != 0) {
      ++failures;
      EXPECT_NE(synced.error.find("ferry/"), std::string::npos) << synced.error;
    }
    // It may have appeared before what came next was damaged.
    if (!std::filesystem::exists(local_)) continue;
    EXPECT_EQ(difference_of_files(origin_, local_), "");
    for (const char* ending : {"", "-wal", "-shm", "-walferry"}) {
      std::filesystem::remove(local_ + ending);
    }
  }
  EXPECT_GT(proxy_->damages_done(), 0U);
  EXPECT_GT(failures, 0);
  proxy_->set_damage(Damage::kNone, 1);
  const Finished synced = sync_through_proxy();
  EXPECT_EQ(synced.exit_code, 0) << synced.error;
  EXPECT_EQ(difference_of_files(origin_, local_), "");
}

TEST_P(Danger22_DamagedStream, FollowedFileShowsCommittedStatesOnly) {
  replica_ = std::make_unique<ReplicaDaemon>(url_, local_, directory_ / "replica.log",
                                             std::vector<std::string>{"--idle-timeout", "1s"});
  replica_->start();
  ASSERT_TRUE(wait_until_equal(*primary_, *replica_));
  ChildProcess writer({WALFERRY_BANK_WORKER, "write", origin_, "1"},
                      {directory_ / "writer", "/dev/null"});
  ChildProcess reader({WALFERRY_BANK_WORKER, "read", local_, "2"},
                      {directory_ / "reader", "/dev/null"});
  const std::uint64_t wanted = proxy_->damages_done() + 6;
  proxy_->set_damage(GetParam(), 400'000);
  EXPECT_TRUE(wait_until([&] { return proxy_->damages_done() >= wanted || reader.poll(); },
                         std::chrono::milliseconds(120'000)));
  proxy_->set_damage(Damage::kNone, 1);
  EXPECT_EQ(writer.end(SIGTERM), 0) << content_of(directory_ / "writer");
  EXPECT_TRUE(wait_until_equal(*primary_, *replica_)) << replica_->status();
  EXPECT_EQ(reader.end(SIGTERM), 0) << content_of(directory_ / "reader");
  EXPECT_NE(content_of(directory_ / "reader").find(" busy=0 "), std::string::npos);
  EXPECT_EQ(walferry({"verify", local_, primary_->url()}).exit_code, 0);
  EXPECT_EQ(difference_of_files(origin_, local_), "");
  // "at byte N of the stream", or "after N bytes" where the connection itself broke.
  EXPECT_TRUE(replica_->count_in_log("at byte ") + replica_->count_in_log(" bytes of the body") >
              0);
  EXPECT_EQ(replica_->count_in_log("bootstrapping"), 1U);
}

INSTANTIATE_TEST_SUITE_P(Damage, Danger22_DamagedStream,
                         testing::Values(Damage::kFlip, Damage::kCut, Damage::kBreak,
                                         Damage::kRepeat, Damage::kReorder),
                         [](const auto& instance) { return to_string(instance.param); });

}  // namespace
}  // namespace walferry::tests
