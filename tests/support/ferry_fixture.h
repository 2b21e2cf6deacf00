/// A primary and a replica of a test's own: app.db is served, local.db follows it.
/// On failure, or where WALFERRY_SHOW_LOGS is set, the logs of both are printed.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/daemons.h"
#include "tests/support/polling.h"
#include "tests/support/stock_database.h"
#include "tests/support/temporary_directory.h"

namespace walferry::tests {

/// Runs statements through a connection of their own, as one more application would.
inline void sql(const std::filesystem::path& database, const std::string& statements) {
  StockDatabase(database).run(statements);
}

/// A table `name` of about `count` x `bytes` bytes of text that does not compress.
inline std::string filled_table(const std::string& name, int count, int bytes) {
  return "CREATE TABLE " + name +
         "(id INTEGER PRIMARY KEY, text TEXT);"
         "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < " +
         std::to_string(count) + ") INSERT INTO " + name + " SELECT i, hex(randomblob(" +
         std::to_string(bytes / 2) + ")) FROM n;";
}

class FerryTest : public testing::Test {
 protected:
  void TearDown() override {
    if (!HasFailure() && std::getenv("WALFERRY_SHOW_LOGS") == nullptr) return;
    std::cerr << "---- primary\n" << content_of(directory_ / "primary.log");
    std::cerr << "---- replica\n" << content_of(directory_ / "replica.log");
  }

  /// Starts to serve app.db, which has to exist.
  void serve(const std::vector<std::string>& options = {}) {
    if (!primary_) {
      primary_ = std::make_unique<PrimaryDaemon>(origin_, directory_ / "primary.log", options);
    }
    primary_->start();
    ASSERT_TRUE(primary_->wait_until_serving());
  }
  void follow(const std::vector<std::string>& options = {}) {
    if (!replica_) {
      replica_ = std::make_unique<ReplicaDaemon>(primary_->url(), local_,
                                                 directory_ / "replica.log", options);
    }
    replica_->start();
  }
  /// The usual beginning: app.db with these statements run on it, served and followed.
  void begin(const std::string& statements, const std::vector<std::string>& serve_options = {}) {
    sql(origin_, statements + "PRAGMA journal_mode=WAL;");
    ASSERT_NO_FATAL_FAILURE(serve(serve_options));
    follow();
    ASSERT_NO_FATAL_FAILURE(expect_equal());
  }

  /// The replica arrives where the primary is, and nothing differs.
  void expect_equal() {
    ASSERT_TRUE(wait_until_equal(*primary_, *replica_)) << primary_->status() << replica_->status();
    const Finished verified = walferry({"verify", local_, primary_->url()});
    EXPECT_EQ(verified.exit_code, 0) << verified.output << verified.error;
    EXPECT_EQ(difference_of_files(origin_, local_), "");
  }

  /// `walferry replicate URL local.db --once`.
  Finished sync_once(std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"replicate", primary_->url(), local_, "--once"});
    return walferry(options);
  }
  /// A figure of `walferry status local.db --json`.
  [[nodiscard]] std::uint64_t figure(const std::string& name) const {
    return json_number(walferry({"status", local_, "--json"}).output, name);
  }

  TemporaryDirectory directory_;
  std::string origin_ = directory_ / "app.db";
  std::string local_ = directory_ / "local.db";
  std::unique_ptr<PrimaryDaemon> primary_;
  std::unique_ptr<ReplicaDaemon> replica_;
};

}  // namespace walferry::tests
