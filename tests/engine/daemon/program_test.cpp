// The program as a shell sees it: output, exit codes, signals.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace walferry::tests {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::HasSubstr;
using testing::MatchesRegex;

class Program : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "program-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    if (child_ > 0) kill(child_, SIGKILL);
    if (child_ > 0) waitpid(child_, nullptr, 0);
    std::filesystem::remove_all(directory_);
  }

  void start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), WALFERRY_PROGRAM);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions{};
    posix_spawn_file_actions_init(&actions);
    const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND;
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, path("out").c_str(), flags, 0600);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, path("err").c_str(), flags, 0600);
    const int failed =
        posix_spawn(&child_, WALFERRY_PROGRAM, &actions, nullptr, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ASSERT_EQ(failed, 0);
  }

  // The exit code; minus the signal where one ended it.
  int wait_for_end() {
    int status = 0;
    EXPECT_EQ(waitpid(child_, &status, 0), child_);
    child_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  int run(std::vector<std::string> arguments) {
    start(std::move(arguments));
    return wait_for_end();
  }

  bool wait_for_stderr(const std::string& text) {
    const auto deadline = steady_clock::now() + std::chrono::seconds(20);
    while (steady_clock::now() < deadline) {
      if (err().find(text) != std::string::npos) return true;
      std::this_thread::sleep_for(milliseconds(10));
    }
    return false;
  }

  void make_database(const std::string& name) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path(name).c_str(), &database), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(database, "PRAGMA journal_mode=WAL; CREATE TABLE t(x);", nullptr,
                           nullptr, nullptr),
              SQLITE_OK);
    ASSERT_EQ(sqlite3_close(database), SQLITE_OK);
  }

  void send(int signal) { ASSERT_EQ(kill(child_, signal), 0); }
  [[nodiscard]] std::string path(const std::string& name) const {
    return (directory_ / name).string();
  }
  [[nodiscard]] std::string out() const { return content("out"); }
  [[nodiscard]] std::string err() const { return content("err"); }

 private:
  [[nodiscard]] std::string content(const std::string& name) const {
    std::ifstream stream(path(name));
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  std::filesystem::path directory_;
  pid_t child_ = 0;
};

TEST_F(Program, PrintsItsVersions) {
  EXPECT_EQ(run({"version"}), 0);
  EXPECT_THAT(out(), MatchesRegex("walferry [0-9.]+ \\(SQLite 3[0-9.]+\\)\n"));
  EXPECT_EQ(run({"version", "--json"}), 0);
  EXPECT_THAT(out(), MatchesRegex("\\{\"walferry\":\"[0-9.]+\",\"sqlite\":\"3[0-9.]+\"\\}\n"));
}

TEST_F(Program, PrintsHelpWithoutACommand) {
  EXPECT_EQ(run({}), 0);
  EXPECT_THAT(out(), HasSubstr("SYNOPSIS\n"));
  EXPECT_EQ(err(), "");
}

TEST_F(Program, ExitsWithTwoOnWrongUsage) {
  EXPECT_EQ(run({"serve"}), 2);
  EXPECT_EQ(err(), "walferry: serve: PATH is required; see 'walferry serve --help'\n");
  EXPECT_EQ(out(), "");
}

TEST_F(Program, ExitsWithOneWhereNoReplicaIs) {
  EXPECT_EQ(run({"status", path("none.db")}), 1);
  EXPECT_THAT(err(), HasSubstr("walferry: status: "));
  EXPECT_THAT(err(), HasSubstr("none.db"));
}

TEST_F(Program, ExitsWithFourOnAnOpenAddress) {
  make_database("app.db");
  EXPECT_EQ(run({"serve", path("app.db"), "--listen", "0.0.0.0:0"}), 4);
  EXPECT_THAT(err(), HasSubstr("walferry: serve: "));
}

TEST_F(Program, ExitsWithFiveWherePeersAreNot) {
  // Port 1 of this machine: nobody listens there.
  EXPECT_EQ(run({"status", "http://127.0.0.1:1"}), 5);
  EXPECT_EQ(run({"replicate", "http://127.0.0.1:1/db/app.db", path("l.db"), "--once"}), 5);
  EXPECT_FALSE(std::filesystem::exists(path("l.db")));
}

TEST_F(Program, NamesTheAddressAndEndsCleanlyOnEachSignal) {
  make_database("app.db");
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    start({"serve", path("app.db"), "--listen", "127.0.0.1:0"});
    ASSERT_TRUE(wait_for_stderr("serving app.db at http://127.0.0.1:")) << err();
    EXPECT_THAT(err(), HasSubstr("/db/app.db\n"));
    const auto begin = steady_clock::now();
    send(signal);
    EXPECT_EQ(wait_for_end(), 0) << err();
    EXPECT_LT(steady_clock::now() - begin, milliseconds(2000));
  }
}

TEST_F(Program, GoesOnTryingUntilASignalWhereThePrimaryIsNot) {
  start({"replicate", "http://127.0.0.1:1/db/app.db", path("l.db")});
  ASSERT_TRUE(wait_for_stderr("following http://127.0.0.1:1/db/app.db into ")) << err();
  std::this_thread::sleep_for(milliseconds(300));
  send(SIGTERM);
  EXPECT_EQ(wait_for_end(), 0) << err();
}

TEST_F(Program, LogsOneJsonObjectALine) {
  EXPECT_EQ(run({"status", path("none.db"), "--log-format", "json"}), 1);
  EXPECT_THAT(err(), MatchesRegex("\\{\"time\":\".*\",\"level\":\"error\",\"message\":\"status: "
                                  ".*\"\\}\n"));
}

}  // namespace
}  // namespace walferry::tests
