// What may happen to the replica's file, and what must not: writes of others, files that are not
// ours, copies that are, restored backups, deleted logs, flipped bytes.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/damaging_proxy.h"
#include "tests/support/ferry_fixture.h"

namespace walferry::tests {
namespace {

namespace fs = std::filesystem;

class ReplicaFile : public FerryTest {
 protected:
  void expect_writes_refused() {
    StockDatabase local(local_, SQLITE_OPEN_READWRITE);
    for (const char* write :
         {"INSERT INTO t(text) VALUES('x')", "CREATE TABLE u(x)", "VACUUM", "DELETE FROM t",
          "BEGIN IMMEDIATE; DELETE FROM t", "ROLLBACK; DELETE FROM t", "PRAGMA user_version=9"}) {
      EXPECT_EQ(local.try_run(write), SQLITE_READONLY) << write;
    }
    EXPECT_EQ(local.number("SELECT count(*) FROM t"), 100);
  }
};

TEST_F(ReplicaFile, RefusesWritesWithTheDaemonRunningAndStopped) {
  begin(filled_table("t", 100, 100));
  expect_writes_refused();
  EXPECT_EQ(replica_->stop(), 0);
  expect_writes_refused();
  replica_->start();
  expect_equal();
  replica_->kill_hard();
  expect_writes_refused();
  replica_->start();
  expect_equal();
  EXPECT_EQ(figure("reconciles"), 0U);
}

TEST_F(ReplicaFile, Danger20_AGuardThatWasTakenAwayIsPutBack) {
  begin(filled_table("t", 100, 100));
  EXPECT_EQ(replica_->stop(), 0);
  std::fstream(local_, std::ios::binary | std::ios::in | std::ios::out).seekp(18).put('\x02');
  replica_->start();
  expect_equal();
  expect_writes_refused();
}

class Danger20_ForeignFile : public FerryTest {
 protected:
  void SetUp() override {
    sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 100, 100));
    ASSERT_NO_FATAL_FAILURE(serve());
  }
};

TEST_F(Danger20_ForeignFile, AnotherDatabaseIsRefusedAndUntouched) {
  sql(local_, filled_table("customers", 300, 200));
  const std::string before = content_of(local_);
  const Finished refused = sync_once();
  EXPECT_EQ(refused.exit_code, 4) << refused.error;
  EXPECT_NE(refused.error.find("local.db"), std::string::npos) << refused.error;
  EXPECT_EQ(content_of(local_), before);
  EXPECT_FALSE(fs::exists(local_ + "-wal"));
  // Whoever insists gets it.
  EXPECT_EQ(sync_once({"--adopt"}).exit_code, 0);
  EXPECT_EQ(difference_of_files(origin_, local_), "");
}

TEST_F(Danger20_ForeignFile, LiveWalOfAnotherDatabaseIsUntouched) {
  StockDatabase other(local_);
  other.run("PRAGMA journal_mode=WAL;" + filled_table("customers", 300, 200));
  EXPECT_EQ(sync_once().exit_code, 4);
  EXPECT_EQ(other.number("SELECT count(*) FROM customers"), 300);
  other.run("INSERT INTO customers(text) VALUES('still ours')");
  EXPECT_EQ(other.text("PRAGMA integrity_check"), "ok");
}

TEST_F(Danger20_ForeignFile, TextIsRefusedAndUntouched) {
  const std::string text(5000, 'x');
  write_content(local_, text);
  const Finished refused = sync_once();
  EXPECT_EQ(refused.exit_code, 4) << refused.error;
  EXPECT_EQ(content_of(local_), text);
}

TEST_F(Danger20_ForeignFile, DirectoryIsRefusedAndUntouched) {
  fs::create_directory(local_);
  const Finished refused = sync_once();
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.error.find("is a directory"), std::string::npos) << refused.error;
  EXPECT_TRUE(fs::is_empty(local_));
}

TEST_F(Danger20_ForeignFile, LeftOverWalIsNotAppliedToTheFirstCopy) {
  write_content(local_ + "-wal", "left over");
  const Finished refused = sync_once();
  EXPECT_EQ(refused.exit_code, 4) << refused.error;
  EXPECT_EQ(content_of(local_ + "-wal"), "left over");
  EXPECT_FALSE(fs::exists(local_));
}

TEST_F(Danger20_ForeignFile, OneThatAppearsDuringTheFirstCopyIsUntouched) {
  DamagingProxy proxy(primary_->port(), 1);
  proxy.set_rate(100'000);
  ReplicaDaemon replica("http://127.0.0.1:" + std::to_string(proxy.port()) + "/db/app.db", local_,
                        directory_ / "replica.log");
  replica.start();
  ASSERT_TRUE(wait_until([&] { return size_of(local_ + "-walferry-part") > 0; }));
  sql(local_, filled_table("customers", 300, 200));
  const std::string before = content_of(local_);
  proxy.set_rate(0);
  EXPECT_EQ(replica.process().wait(), 4) << replica.log();
  EXPECT_NE(replica.log().find("has appeared while it was being fetched"), std::string::npos);
  EXPECT_EQ(content_of(local_), before);
}

class Adoption : public FerryTest {
 protected:
  // 1,000 pages of 4 KiB; nothing but a few pages of it may be fetched again.
  void SetUp() override {
    sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 10'000, 380) +
                     "PRAGMA wal_checkpoint(TRUNCATE);");
  }
  void expect_little_fetched() {
    EXPECT_EQ(figure("snapshot_bytes_received"), 0U);
    EXPECT_EQ(figure("reconciles"), 1U);
    EXPECT_LT(figure("bytes_received"), 200'000U);
    EXPECT_EQ(difference_of_files(origin_, local_), "");
  }
};

TEST_F(Adoption, CopyOfThePrimary) {
  fs::copy_file(origin_, local_);
  sql(origin_, "UPDATE t SET text = 'changed' WHERE id IN (5, 3000, 6000, 9999);");
  ASSERT_NO_FATAL_FAILURE(serve());
  const Finished adopted = sync_once();
  EXPECT_EQ(adopted.exit_code, 0) << adopted.error;
  expect_little_fetched();
}

TEST_F(Adoption, ReplicaWhoseSideFileIsLost) {
  ASSERT_NO_FATAL_FAILURE(serve());
  ASSERT_EQ(sync_once().exit_code, 0);
  fs::remove(local_ + "-walferry");
  sql(origin_, "UPDATE t SET text = 'changed' WHERE id IN (5, 3000, 6000, 9999);");
  const Finished adopted = sync_once();
  EXPECT_EQ(adopted.exit_code, 0) << adopted.error;
  expect_little_fetched();
}

TEST_F(Adoption, DetachedReplicaThatWasWrittenTo) {
  ASSERT_NO_FATAL_FAILURE(serve());
  ASSERT_EQ(sync_once().exit_code, 0);
  ASSERT_EQ(walferry({"detach", local_}).exit_code, 0);
  sql(local_, "UPDATE t SET text = 'mine' WHERE id = 77; PRAGMA wal_checkpoint(TRUNCATE);");
  const Finished adopted = sync_once();
  EXPECT_EQ(adopted.exit_code, 0) << adopted.error;
  expect_little_fetched();
}

// dangers 11 and 20: older bytes where newer ones should be.
class RestoredReplica : public FerryTest {
 protected:
  // An older copy of the replica as old.db, and a replica that has moved on since.
  void SetUp() override {
    begin(filled_table("t", 2000, 300), {"--wal-limit", "256K"});
    EXPECT_EQ(replica_->stop(), 0);
    fs::copy_file(local_, old_);
    fs::copy_file(local_ + "-walferry", old_ + "-walferry");
    replica_->add_argument("--wal-limit");
    replica_->add_argument("64K");
    replica_->start();
    change("new");
    expect_equal();
  }
  void change(const std::string& text) {
    StockDatabase origin(origin_);
    for (int i = 0; i < 30; ++i) {
      origin.run("UPDATE t SET text = '" + text +
                 "' || id || hex(randomblob(100)) WHERE id % 30 = " + std::to_string(i));
    }
  }
  void overwrite_in_place(const std::string& with) {
    fs::copy_file(with, local_, fs::copy_options::overwrite_existing);
  }
  std::string old_ = directory_ / "old.db";
};

TEST_F(RestoredReplica, Danger11_OlderFileUnderTheNewSideFile) {
  EXPECT_EQ(replica_->stop(), 0);
  overwrite_in_place(old_);
  replica_->start();
  expect_equal();
  EXPECT_EQ(replica_->count_in_log("bootstrapping"), 1U);
}

TEST_F(RestoredReplica, Danger11_OlderFileUnderItsNewerLog) {
  change("newer");
  replica_->kill_hard();
  ASSERT_TRUE(fs::exists(local_ + "-wal"));
  overwrite_in_place(old_);
  replica_->start();
  expect_equal();
}

TEST_F(RestoredReplica, Danger20_OlderFileAndItsSideFile) {
  EXPECT_EQ(replica_->stop(), 0);
  fs::remove(local_ + "-wal");
  fs::remove(local_ + "-shm");
  fs::rename(old_, local_);
  fs::rename(old_ + "-walferry", local_ + "-walferry");
  replica_->start();
  expect_equal();
}

TEST_F(RestoredReplica, Danger20_OverwrittenInPlaceWhileItIsFollowed) {
  overwrite_in_place(old_);
  ASSERT_TRUE(replica_->wait_for_log("by another program"));
  change("after");
  expect_equal();
}

TEST_F(RestoredReplica, Danger20_ReplacedByMoveWhileItIsFollowed) {
  fs::rename(old_, local_);
  ASSERT_TRUE(replica_->wait_for_log("replaced by another file"));
  change("after");
  expect_equal();
}

TEST_F(RestoredReplica, Danger20_LogDeletedWhileItIsFollowed) {
  fs::remove(local_ + "-wal");
  ASSERT_TRUE(replica_->wait_for_log("-wal"));
  change("after");
  expect_equal();
}

TEST_F(RestoredReplica, Danger20_SharedMemoryDeletedWhileItIsFollowed) {
  fs::remove(local_ + "-shm");
  ASSERT_TRUE(replica_->wait_for_log("-shm file was removed"));
  change("after");
  expect_equal();
}

TEST_F(RestoredReplica, Danger20_LogDeletedAfterAKill) {
  change("newer");
  replica_->kill_hard();
  fs::remove(local_ + "-wal");
  fs::remove(local_ + "-shm");
  replica_->start();
  change("after");
  expect_equal();
}

TEST_F(RestoredReplica, Danger20_FileDeletedWhileItIsFollowed) {
  for (const char* ending : {"", "-wal", "-shm"}) fs::remove(local_ + ending);
  ASSERT_TRUE(replica_->wait_for_log("removed"));
  ASSERT_TRUE(wait_until([&] { return fs::exists(local_); }));
  expect_equal();
}

TEST_F(RestoredReplica, Danger20_SideFileDeletedWhileItIsFollowed) {
  fs::remove(local_ + "-walferry");
  ASSERT_TRUE(replica_->wait_for_log("local.db-walferry was removed"));
  change("after");
  expect_equal();
  EXPECT_EQ(figure("reconciles"), 0U);
}

TEST_F(RestoredReplica, Danger20_FileDeletedWhileDown) {
  replica_->kill_hard();
  fs::remove(local_);
  replica_->start();
  expect_equal();
}

class DamagedReplica : public FerryTest {};

TEST_F(DamagedReplica, FlippedByteIsFoundByVerifyAndHealedByTheStart) {
  begin(filled_table("t", 1000, 300));
  EXPECT_EQ(replica_->stop(), 0);
  ASSERT_GT(size_of(local_), 40U * 4096);
  flip_byte(local_, 31 * 4096 + 1000);
  const Finished found = walferry({"verify", local_, primary_->url(), "--json"});
  EXPECT_EQ(found.exit_code, 3) << found.output << found.error;
  EXPECT_NE(found.output.find("[32]"), std::string::npos) << found.output;
  replica_->start();
  ASSERT_TRUE(replica_->wait_for_log("cannot be proven"));
  ASSERT_TRUE(replica_->wait_for_log("1 of "));
  expect_equal();
}

class Tools : public FerryTest {};

TEST_F(Tools, DetachMakesAWritableDatabase) {
  begin(filled_table("t", 100, 100));
  EXPECT_NE(walferry({"detach", local_}).exit_code, 0) << "the daemon still runs";
  EXPECT_EQ(replica_->stop(), 0);
  const Finished detached = walferry({"detach", local_});
  EXPECT_EQ(detached.exit_code, 0) << detached.error;
  EXPECT_FALSE(fs::exists(local_ + "-walferry"));
  sql(local_, "INSERT INTO t(text) VALUES('mine'); VACUUM;");
  StockDatabase local(local_);
  EXPECT_EQ(local.number("SELECT count(*) FROM t"), 101);
  EXPECT_EQ(local.text("PRAGMA integrity_check"), "ok");
}

TEST_F(Tools, CopyIsWritableWhileAllGoesOn) {
  begin(filled_table("t", 100, 100));
  const std::string copy = directory_ / "copy.db";
  const Finished copied = walferry({"copy", local_, copy});
  EXPECT_EQ(copied.exit_code, 0) << copied.error;
  sql(copy, "INSERT INTO t(text) VALUES('mine');");
  EXPECT_EQ(StockDatabase(copy).number("SELECT count(*) FROM t"), 101);
  EXPECT_NE(walferry({"copy", local_, copy}).exit_code, 0) << "OUT exists";
  EXPECT_EQ(StockDatabase(copy).number("SELECT count(*) FROM t"), 101);
  expect_equal();
}

}  // namespace
}  // namespace walferry::tests
