// The dangers that need whole processes: ended or stopped at any moment, or with a clock that
// jumps.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

#include "tests/fault/engine_harness.h"
#include "walferry/replica.hpp"
#include "walferry/server.hpp"

/// What the wall clock of this process is ahead of the machine's.
static std::atomic<std::int64_t> wall_clock_ahead_s{0};

// Takes the place of the C library's in this program and in the libraries it uses.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const long rc = ::syscall(SYS_clock_gettime, clock, time);
  if (rc == 0 && clock == CLOCK_REALTIME) time->tv_sec += wall_clock_ahead_s.load();
  return static_cast<int>(rc);
}

namespace walferry::test {
namespace {

using namespace std::chrono_literals;

void create_database(const std::filesystem::path& path, int rows) {
  StockDatabase database(path);
  database.query(
      "PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, v INT, b TEXT);"
      "CREATE INDEX i ON t(b);"
      "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < " +
      std::to_string(rows) + ") INSERT INTO t SELECT n, 0, hex(randomblob(200)) FROM s");
}

std::unique_ptr<Server> start_server(const std::filesystem::path& path) {
  ServerOptions options;
  options.databases.push_back({path, "app"});
  options.port = 0;
  auto server = Server::start(options);
  EXPECT_TRUE(server) << server.error().message;
  return server ? std::move(*server) : nullptr;
}

ReplicaOptions options_for(std::uint16_t port, const std::filesystem::path& path) {
  ReplicaOptions options;
  options.url = "http://127.0.0.1:" + std::to_string(port) + "/db/app";
  options.path = path;
  return options;
}

// ---- 17: a main file of 0 bytes under a WAL ----

TEST(Danger17_EmptyMainFile, ABootstrapKilledAtAnyMomentNeverLeavesOne) {
  std::minstd_rand random(test_seed());
  const TempDirectory directory;
  const auto app = directory / "app.db";
  create_database(app, 3'000);
  auto* port_file = new std::filesystem::path(directory / "port");
  ChildProcess server([&](ChildProcess::Parent& parent) {
    auto started = start_server(app);
    if (!started) return 1;
    std::ofstream(*port_file) << started->port();
    parent.tell('o');
    parent.wait();
    return 0;
  });
  ASSERT_EQ(server.hear(), 'o');
  std::uint16_t port = 0;
  std::ifstream(*port_file) >> port;
  delete port_file;

  const auto path = directory / "replica.db";
  int killed = 0;
  int finished = 0;
  for (int round = 0; round < 60; ++round) {
    if (round % 6 == 0 || finished > 0) {
      for (const char* suffix : {"", "-wal", "-shm", "-walferry", "-walferry-part"}) {
        std::filesystem::remove(path.string() + suffix);
      }
      finished = 0;
    }
    ChildProcess replica([&](ChildProcess::Parent&) {
      auto opened = Replica::open(options_for(port, path));
      return opened && (*opened)->sync_once() ? 0 : 1;
    });
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 40'000);
    while (std::chrono::steady_clock::now() < until) {
      std::error_code none;
      const bool wal = std::filesystem::exists(path.string() + "-wal", none);
      const auto size = std::filesystem::file_size(path, none);
      if (!none) {
        ASSERT_GT(size, 0U);
      } else if (wal) {
        ASSERT_TRUE(std::filesystem::exists(path)) << "a WAL without its database";
      }
    }
    replica.send_signal(SIGKILL);
    const int code = replica.join();
    ASSERT_TRUE(code == 0 || code == 1000 + SIGKILL) << code;
    killed += code == 0 ? 0 : 1;
    finished = code == 0 ? 1 : 0;
    if (std::filesystem::exists(path)) {
      EXPECT_EQ(ask(path, VersionedSource::kState), "0 ok");
    }
  }
  EXPECT_GT(killed, 5);
}

// ---- 18: the engine stopped at a random moment ----

TEST(Danger18_StoppedEngine, ReadersGoOnWhileTheEngineStands) {
  std::minstd_rand random(test_seed());
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source(40);
  std::vector<Image> versions{source.image()};
  for (int i = 0; i < 20; ++i) versions.push_back(source.advance());
  create_replica(path, versions[0]);
  ChildProcess engine([&](ChildProcess::Parent& parent) {
    auto injector = attach_injector(path, versions[0]);
    parent.tell('o');
    for (std::size_t i = 1;; ++i) {
      const std::size_t from = (i - 1) % versions.size();
      if (!inject(*injector, versions[from], versions[i % versions.size()])) return 1;
      if (i % 5 == 0 && !injector->maintain(forced_maintenance())) return 2;
    }
  });
  ASSERT_EQ(engine.hear(), 'o');
  StockDatabase reader(path);
  const auto look = [&] {
    const std::string state = reader.query(VersionedSource::kState);
    ASSERT_TRUE(state.ends_with(" ok") && !state.starts_with("mixture")) << state;
    const std::string fresh = ask(path, VersionedSource::kState);
    ASSERT_TRUE(fresh.ends_with(" ok") && !fresh.starts_with("mixture")) << fresh;
  };
  for (int stop = 0; stop < 150; ++stop) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3'000));
    engine.send_signal(SIGSTOP);
    look();
    // Once for longer than SQLite's patience with a header that it cannot read.
    if (stop == 75) std::this_thread::sleep_for(11s);
    look();
    if (HasFatalFailure()) return;
    engine.send_signal(SIGCONT);
  }
}

// ---- 19: the wall clock jumps ----

TEST(Danger19_ClockJumps, NothingTimesOutAndNoLagIsNegative) {
  const TempDirectory directory;
  const auto app = directory / "app.db";
  const auto path = directory / "replica.db";
  create_database(app, 50);
  auto server = start_server(app);
  ASSERT_TRUE(server);
  std::mutex mutex;
  std::vector<std::string> complaints;
  ReplicaOptions options = options_for(server->port(), path);
  options.log = [&](LogLevel level, std::string_view text) {
    if (level < LogLevel::kWarning) return;
    const std::lock_guard lock(mutex);
    complaints.emplace_back(text);
  };
  auto replica = Replica::open(options);
  ASSERT_TRUE(replica);
  ASSERT_TRUE((*replica)->start());
  StockDatabase writer(app);
  int version = 0;
  for (const std::int64_t ahead : {0, 86'400, -86'400, 0, 86'400 * 365, 5}) {
    const auto real_begin = std::chrono::steady_clock::now();
    wall_clock_ahead_s = ahead;
    for (int i = 0; i < 5; ++i) {
      ++version;
      ASSERT_EQ(writer.query("UPDATE t SET v = " + std::to_string(version)), "");
      const std::string wanted = VersionedSource::state_text(version);
      const auto until = std::chrono::steady_clock::now() + 5s;
      std::string state;
      while (std::chrono::steady_clock::now() < until && state != wanted) {
        std::this_thread::sleep_for(2ms);
        const ReplicaStatus status = (*replica)->status();
        ASSERT_GE(status.lag_seconds, 0.0);
        ASSERT_LT(status.lag_seconds, 60.0);
        ASSERT_GE(status.apply_lag_seconds, 0.0);
        ASSERT_GE(status.oldest_reader_seconds, 0.0);
        if (std::filesystem::exists(path)) state = ask(path, VersionedSource::kState);
      }
      ASSERT_EQ(state, wanted) << "clock ahead by " << ahead << " s";
    }
    EXPECT_LT(std::chrono::steady_clock::now() - real_begin, 5s);
  }
  const ReplicaStatus status = (*replica)->status();
  EXPECT_EQ(status.last_error, "");
  EXPECT_EQ(status.reconciles, 0U);
  for (const DatabaseStatus& database : server->status().databases) {
    EXPECT_GE(database.oldest_reader_seconds, 0.0);
    EXPECT_EQ(database.bridges, 0U);
  }
  (*replica)->stop();
  server->stop();
  wall_clock_ahead_s = 0;
  const std::lock_guard lock(mutex);
  EXPECT_TRUE(complaints.empty()) << complaints.front();
}

TEST(Danger19_ClockJumps, APrimaryWhoseClockIsADayAheadOrBehind) {
  for (const std::int64_t ahead : {86'400, -86'400}) {
    const TempDirectory directory;
    const auto app = directory / "app.db";
    const auto path = directory / "replica.db";
    create_database(app, 50);
    ChildProcess server([&](ChildProcess::Parent& parent) {
      wall_clock_ahead_s = ahead;
      auto started = start_server(app);
      if (!started) return 1;
      std::ofstream(directory / "port") << started->port();
      parent.tell('o');
      parent.wait();
      return 0;
    });
    ASSERT_EQ(server.hear(), 'o');
    std::uint16_t port = 0;
    std::ifstream(directory / "port") >> port;
    auto replica = Replica::open(options_for(port, path));
    ASSERT_TRUE(replica);
    ASSERT_TRUE((*replica)->start());
    for (int version = 1; version <= 10; ++version) {
      ASSERT_EQ(sqlite_program(app, "UPDATE t SET v = " + std::to_string(version)), "");
      const std::string wanted = VersionedSource::state_text(version);
      std::string state;
      for (int i = 0; i < 1'000 && state != wanted; ++i) {
        std::this_thread::sleep_for(5ms);
        const ReplicaStatus status = (*replica)->status();
        ASSERT_GE(status.apply_lag_seconds, 0.0);
        ASSERT_GE(status.lag_seconds, 0.0);
        ASSERT_LT(status.lag_seconds, 60.0);
        if (std::filesystem::exists(path)) state = ask(path, VersionedSource::kState);
      }
      ASSERT_EQ(state, wanted);
    }
    EXPECT_EQ((*replica)->status().last_error, "");
  }
}

TEST(Danger19_ClockJumps, TheTestItselfMovesTheWallClockAlone) {
  const auto wall = std::chrono::system_clock::now();
  const auto steady = std::chrono::steady_clock::now();
  wall_clock_ahead_s = 86'400;
  EXPECT_GT(std::chrono::system_clock::now() - wall, 23h);
  EXPECT_LT(std::chrono::steady_clock::now() - steady, 1min);
  wall_clock_ahead_s = 0;
}

}  // namespace
}  // namespace walferry::test
