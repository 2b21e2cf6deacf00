// Danger 24, where it is not the room that is short: a directory that cannot be written to, one
// that vanishes, no descriptors left. Daemons say what is the matter, readers are served on, and
// all goes on by itself once the cause is gone.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/support/damaging_proxy.h"
#include "tests/support/ferry_fixture.h"

namespace walferry::tests {
namespace {

namespace fs = std::filesystem;

/// The primary's files and the replica's lie in directories of their own.
class FailingDirectory : public FerryTest {
 protected:
  FailingDirectory() {
    fs::create_directory(primarys_);
    fs::create_directory(replicas_);
    origin_ = primarys_ / "app.db";
    local_ = replicas_ / "local.db";
  }
  void change(const std::string& text) {
    sql(origin_,
        "UPDATE t SET text = '" + text + "' || id || hex(randomblob(100)) WHERE id % 7 = 0;");
  }
  /// A reader sees a whole state. One that is to stay has to have read before: SQLite opens the
  /// files with the first read.
  static void expect_served(StockDatabase& reader) {
    EXPECT_EQ(reader.text("PRAGMA integrity_check"), "ok");
    EXPECT_EQ(reader.number("SELECT count(*) FROM t"), 2000);
  }
  const fs::path primarys_ = directory_ / "primary";
  const fs::path replicas_ = directory_ / "replica";
};

// ---- a directory that cannot be written to ----

/// Daemons under the permissions of their files, also where the tests run as root.
class Danger24_ReadOnlyDirectory : public FailingDirectory {
 protected:
  void TearDown() override {
    for (const fs::path& path : {primarys_, replicas_}) allow_writes(path);
    FailingDirectory::TearDown();
  }
  static constexpr fs::perms kWriting =
      fs::perms::owner_write | fs::perms::group_write | fs::perms::others_write;
  static void forbid_writes(const fs::path& directory) {
    fs::permissions(directory, kWriting, fs::perm_options::remove);
  }
  static void allow_writes(const fs::path& directory) {
    fs::permissions(directory, fs::perms::owner_write, fs::perm_options::add);
  }
  /// Fails where they cannot be had: nothing would be tested.
  static void expect_permissions_to_count(const fs::path& directory) {
    forbid_writes(directory);
    std::vector<std::string> touch = without_override();
    touch.insert(touch.end(), {"touch", (directory / "probe").string()});
    const Finished touched = run_to_end(touch);
    allow_writes(directory);
    ASSERT_NE(touched.error.find("Permission denied"), std::string::npos)
        << "a directory cannot be made read-only for a process here: run the tests as an ordinary "
           "user, or as root with util-linux's setpriv and CAP_SETPCAP\n"
        << touched.error;
  }
  static std::vector<std::string> without_override() {
    if (geteuid() != 0) return {};
    return {"setpriv", "--bounding-set", "-dac_override,-dac_read_search"};
  }
};

TEST_F(Danger24_ReadOnlyDirectory, IsSaidBeforeAReplicaBegins) {
  ASSERT_NO_FATAL_FAILURE(expect_permissions_to_count(replicas_));
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 2000, 300));
  ASSERT_NO_FATAL_FAILURE(serve());
  ReplicaDaemon replica(primary_->url(), local_, directory_ / "replica.log");
  replica.run_under(without_override());
  forbid_writes(replicas_);
  replica.start();
  EXPECT_EQ(replica.process().wait(), 1);
  EXPECT_NE(replica.log().find(local_ + "-walferry: Permission denied: check the owner and the "
                                        "permissions"),
            std::string::npos)
      << replica.log();
  EXPECT_TRUE(fs::is_empty(replicas_));
  allow_writes(replicas_);
  replica.start();
  EXPECT_TRUE(wait_until_equal(*primary_, replica)) << replica.log();
}

TEST_F(Danger24_ReadOnlyDirectory, AFirstCopyThatCannotAppearDoesSoLaterWithoutBeingFetchedAgain) {
  ASSERT_NO_FATAL_FAILURE(expect_permissions_to_count(replicas_));
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 2000, 3000) +
                   "PRAGMA wal_checkpoint(TRUNCATE);");
  ASSERT_NO_FATAL_FAILURE(serve());
  DamagingProxy proxy(primary_->port(), 1);
  proxy.set_rate(10'000'000);
  ReplicaDaemon replica("http://127.0.0.1:" + std::to_string(proxy.port()) + "/db/app.db", local_,
                        directory_ / "replica.log");
  replica.run_under(without_override());
  replica.start();
  ASSERT_TRUE(wait_until([&] { return size_of(local_ + "-walferry-part") > 1'000'000; }));
  forbid_writes(replicas_);
  ASSERT_TRUE(replica.wait_for_log("renaming " + local_ + "-walferry-part to " + local_ +
                                   ": Permission denied: check the owner and the permissions"))
      << replica.log();
  ASSERT_TRUE(wait_until([&] { return replica.state() == "stalled"; })) << replica.status();
  EXPECT_FALSE(fs::exists(local_));
  const std::uint64_t fetched = replica.number("snapshot_bytes_received");
  allow_writes(replicas_);
  EXPECT_TRUE(wait_until_equal(*primary_, replica)) << replica.log();
  EXPECT_EQ(replica.number("snapshot_bytes_received"), fetched);
  EXPECT_EQ(replica.number("reconciles"), 0U);
  EXPECT_EQ(difference_of_files(origin_, local_), "");
}

TEST_F(Danger24_ReadOnlyDirectory, AReplicaInItGoesOnAndComesBack) {
  ASSERT_NO_FATAL_FAILURE(expect_permissions_to_count(replicas_));
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 2000, 300));
  ASSERT_NO_FATAL_FAILURE(serve());
  replica_ = std::make_unique<ReplicaDaemon>(primary_->url(), local_, directory_ / "replica.log",
                                             std::vector<std::string>{"--wal-limit", "64K"});
  replica_->run_under(without_override());
  replica_->start();
  ASSERT_NO_FATAL_FAILURE(expect_equal());
  StockDatabase reader(local_, SQLITE_OPEN_READONLY);
  expect_served(reader);
  forbid_writes(replicas_);
  // The files are there already: nothing has to be made.
  for (int i = 0; i < 5; ++i) change("read-only" + std::to_string(i));
  ASSERT_TRUE(wait_until_equal(*primary_, *replica_)) << replica_->log();
  expect_served(reader);
  EXPECT_EQ(replica_->stop(), 0);
  change("stopped");
  replica_->start();
  ASSERT_TRUE(wait_until_equal(*primary_, *replica_)) << replica_->log();
  expect_served(reader);
  allow_writes(replicas_);
  change("after");
  expect_equal();
  EXPECT_EQ(figure("reconciles"), 0U);
}

TEST_F(Danger24_ReadOnlyDirectory, OfAPrimaryIsSaidAndHealed) {
  ASSERT_NO_FATAL_FAILURE(expect_permissions_to_count(primarys_));
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 2000, 300));
  primary_ = std::make_unique<PrimaryDaemon>(origin_, directory_ / "primary.log",
                                             std::vector<std::string>{"--wal-limit", "64K"});
  primary_->run_under(without_override());
  forbid_writes(primarys_);
  primary_->start();
  EXPECT_EQ(primary_->process().wait(), 1);
  EXPECT_NE(primary_->log().find(origin_ + "-walferry-log: Permission denied: check the owner"),
            std::string::npos)
      << primary_->log();
  allow_writes(primarys_);
  ASSERT_NO_FATAL_FAILURE(serve());
  follow();
  ASSERT_NO_FATAL_FAILURE(expect_equal());
  StockDatabase writer(origin_);
  StockDatabase reader(local_, SQLITE_OPEN_READONLY);
  expect_served(reader);
  // Each generation is a file of its own.
  forbid_writes(origin_ + "-walferry-log");
  for (int i = 0; i < 10; ++i) change("read-only" + std::to_string(i));
  ASSERT_TRUE(primary_->wait_for_log("Permission denied: check the owner and the permissions"));
  expect_served(reader);
  change("meanwhile");
  allow_writes(origin_ + "-walferry-log");
  ASSERT_TRUE(primary_->wait_until_serving());
  expect_equal();
  change("after");
  expect_equal();
  EXPECT_LE(primary_->count_in_log("Permission denied"), 3U) << "said once, not again and again";
  EXPECT_EQ(primary_->count_in_log("bridge the gap"), 0U);
}

// ---- no descriptors left ----

class Danger24_NoDescriptorsLeft : public FailingDirectory {
 protected:
  /// What is open stays open.
  static void take_descriptors(Daemon& daemon) { set_limit(daemon, 3); }
  static void give_descriptors(Daemon& daemon) { set_limit(daemon, 0); }

 private:
  /// The soft limit of a running process; 0: its hard limit.
  static void set_limit(Daemon& daemon, rlim_t limit) {
    rlimit limits{};
    ASSERT_EQ(prlimit(daemon.process().pid(), RLIMIT_NOFILE, nullptr, &limits), 0);
    limits.rlim_cur = limit == 0 ? limits.rlim_max : limit;
    ASSERT_EQ(prlimit(daemon.process().pid(), RLIMIT_NOFILE, &limits, nullptr), 0);
  }
};

TEST_F(Danger24_NoDescriptorsLeft, ForAReplicasConnection) {
  begin(filled_table("t", 2000, 300));
  StockDatabase reader(local_, SQLITE_OPEN_READONLY);
  expect_served(reader);
  take_descriptors(*replica_);
  change("through the open connection");
  ASSERT_TRUE(wait_until_equal(*primary_, *replica_)) << replica_->log();
  EXPECT_EQ(primary_->stop(), 0);
  ASSERT_NO_FATAL_FAILURE(serve());
  change("not heard of");
  ASSERT_TRUE(replica_->wait_for_log("no file descriptors left; raise the limit (ulimit -n)"))
      << replica_->log();
  EXPECT_TRUE(wait_until([&] { return replica_->state() == "stalled"; }));
  expect_served(reader);
  give_descriptors(*replica_);
  expect_equal();
}

TEST_F(Danger24_NoDescriptorsLeft, ForAReplicasFile) {
  begin(filled_table("t", 2000, 300));
  StockDatabase reader(local_, SQLITE_OPEN_READONLY);
  expect_served(reader);
  take_descriptors(*replica_);
  // Noticed, looked at anew: the files are to be opened again.
  fs::last_write_time(local_, fs::file_time_type::clock::now());
  ASSERT_TRUE(replica_->wait_for_log("no file descriptors left; raise the limit (ulimit -n)"))
      << replica_->log();
  EXPECT_EQ(replica_->count_in_log("must be writable"), 0U);
  change("not heard of");
  expect_served(reader);
  give_descriptors(*replica_);
  expect_equal();
}

TEST_F(Danger24_NoDescriptorsLeft, ForAPrimary) {
  begin(filled_table("t", 2000, 300), {"--wal-limit", "64K"});
  StockDatabase reader(local_, SQLITE_OPEN_READONLY);
  expect_served(reader);
  StockDatabase writer(origin_);
  take_descriptors(*primary_);
  for (int i = 0; i < 10; ++i) change("no descriptors" + std::to_string(i));
  ASSERT_TRUE(primary_->wait_for_log("no file descriptors left; raise the limit (ulimit -n)"))
      << primary_->log();
  ChildProcess asker({WALFERRY_PROGRAM, "status", primary_->url()}, {});
  ASSERT_TRUE(primary_->wait_for_log("accepting connections"));
  expect_served(reader);
  EXPECT_FALSE(asker.poll());
  give_descriptors(*primary_);
  EXPECT_EQ(asker.wait(), 0) << "a connection that waited is accepted then";
  ASSERT_TRUE(primary_->wait_until_serving());
  expect_equal();
  change("after");
  expect_equal();
}

// ---- a directory that vanishes ----

class Danger24_VanishedDirectory : public FailingDirectory {
 protected:
  const fs::path elsewhere_ = directory_ / "elsewhere";
};

TEST_F(Danger24_VanishedDirectory, OfAReplicaComesBack) {
  begin(filled_table("t", 2000, 300));
  StockDatabase reader(local_, SQLITE_OPEN_READONLY);
  expect_served(reader);
  fs::rename(replicas_, elsewhere_);
  ASSERT_TRUE(replica_->wait_for_log("the local database was removed"));
  ASSERT_TRUE(replica_->wait_for_log("the directory " + replicas_.string() + " is gone"))
      << replica_->log();
  change("meanwhile");
  expect_served(reader);
  fs::rename(elsewhere_, replicas_);
  expect_equal();
  EXPECT_EQ(figure("reconciles"), 0U);
  EXPECT_EQ(replica_->count_in_log("pages differ"), 0U);
}

TEST_F(Danger24_VanishedDirectory, OfAReplicaIsMadeAnewEmpty) {
  sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 2000, 300));
  ASSERT_NO_FATAL_FAILURE(serve());
  const std::string onward = "127.0.0.1:" + std::to_string(free_port());
  follow({"--listen", onward});
  ASSERT_NO_FATAL_FAILURE(expect_equal());
  fs::remove_all(replicas_);
  ASSERT_TRUE(replica_->wait_for_log("the directory " + replicas_.string() + " is gone"))
      << replica_->log();
  change("meanwhile");
  fs::create_directory(replicas_);
  expect_equal();
  EXPECT_EQ(walferry({"verify", local_, "http://" + onward + "/db/local.db"}).exit_code, 0);
  // What it wrote down is where the next start looks for it.
  EXPECT_EQ(replica_->stop(), 0);
  change("stopped");
  replica_->start();
  expect_equal();
  EXPECT_EQ(figure("reconciles"), 0U);
}

TEST_F(Danger24_VanishedDirectory, OfAPrimaryComesBack) {
  begin(filled_table("t", 2000, 300));
  StockDatabase reader(local_, SQLITE_OPEN_READONLY);
  expect_served(reader);
  fs::rename(primarys_, elsewhere_);
  ASSERT_TRUE(primary_->wait_for_log("the database file is gone"));
  ASSERT_TRUE(primary_->wait_for_log(origin_ + ": No such file or directory")) << primary_->log();
  expect_served(reader);
  fs::rename(elsewhere_, primarys_);
  ASSERT_TRUE(primary_->wait_until_serving());
  change("after");
  expect_equal();
  EXPECT_EQ(figure("reconciles"), 0U);
  EXPECT_EQ(primary_->count_in_log("No such file or directory"), 1U) << "said once";
}

TEST_F(Danger24_VanishedDirectory, OfAPrimaryIsRestoredWithoutWhatWeKeptInIt) {
  begin(filled_table("t", 2000, 300), {"--wal-limit", "64K"});
  const std::string backup = directory_ / "backup.db";
  ASSERT_EQ(walferry({"copy", origin_, backup}).exit_code, 0);
  change("lost");
  expect_equal();
  fs::remove_all(primarys_);
  ASSERT_TRUE(primary_->wait_for_log("the database file is gone"));
  fs::create_directory(primarys_);
  fs::copy_file(backup, origin_);
  ASSERT_TRUE(primary_->wait_for_log("new log", 2)) << primary_->log();
  expect_equal();
  for (int i = 0; i < 10; ++i) change("after" + std::to_string(i));
  expect_equal();
  // What it wrote down is where the next start looks for it.
  EXPECT_EQ(primary_->stop(), 0);
  ASSERT_NO_FATAL_FAILURE(serve());
  change("restarted");
  expect_equal();
  EXPECT_EQ(primary_->count_in_log("new log"), 2U);
}

}  // namespace
}  // namespace walferry::tests
