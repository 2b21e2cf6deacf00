// The dangers of a published database, each driven through the real engine against stock SQLite.
// The numbers are those of the list of dangers in the design.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>
#include <optional>

#include <atomic>
#include <chrono>
#include <fstream>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include "tests/fault/engine_harness.h"
#include "tests/fault/fault_vfs.h"
#include "tests/fault/store_trap.h"

namespace walferry::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr std::uint64_t kSmallLimit = 64 << 10;

void create_database(const std::filesystem::path& path, int rows = 60) {
  StockDatabase database(path);
  database.run("PRAGMA journal_mode=WAL");
  database.run(
      "CREATE TABLE t(a INTEGER PRIMARY KEY, v INT, b TEXT); CREATE INDEX i ON t(b);"
      "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < " +
      std::to_string(rows) + ") INSERT INTO t SELECT n, 0, hex(randomblob(200)) FROM s");
}

std::string advance_sql(int version) {
  return "UPDATE t SET v = " + std::to_string(version) +
         ", b = hex(randomblob(100 + abs(random()) % 200))";
}

/// Steps a primary on a thread of its own, as its pump does.
class SteppingThread {
 public:
  explicit SteppingThread(engine::Primary& primary)
      : thread_([this, &primary] {
          while (!stopping_) {
            const auto wait = primary.step(engine::Clock::now(), true);
            std::this_thread::sleep_for(std::min<engine::Clock::duration>(wait, 2ms));
          }
        }) {}
  ~SteppingThread() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

bool publishes(const PrimarySetup& setup, const std::function<bool()>& done = {}) {
  const auto before = setup.primary->metrics().commits;
  return step_until(
      *setup.primary, done ? done : [&] { return setup.primary->metrics().commits > before; });
}

/// Lets the primary take all there is: commits that lie together are captured as one batch, so
/// that their number says nothing.
void catch_up(engine::Primary& primary) {
  for (int i = 0; i < 10; ++i) {
    (void)primary.step(engine::Clock::now(), true);
    std::this_thread::sleep_for(1ms);
  }
}

/// The follower and the database say the same.
void expect_equal(const TempDirectory& directory, const MemoryFollower& follower,
                  const std::filesystem::path& database) {
  const std::string rows =
      "SELECT count(*), sum(v), sum(a * length(b)), group_concat(substr(b, 1, 6)) FROM t";
  EXPECT_EQ(ask_image(directory, follower.image(), rows), sqlite_program(database, rows));
  EXPECT_EQ(ask_image(directory, follower.image(), "PRAGMA integrity_check"), "ok");
}

// ---- 3: published commits that a power cut took away ----

TEST(Danger03_LostCommits, ReusedFrameNumbersAreToldApartByChecksum) {
  const TempDirectory directory;
  const auto path = directory / "app.db";
  create_database(path);
  ASSERT_EQ(ask(path, "PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0");
  const std::string wal = path.string() + "-wal";
  const int code = run_in_child([&] {
    PrimarySetup setup = attach_primary(path, 16 << 20);
    MemoryFollower follower(setup.publication);
    StockDatabase writer(path);
    writer.query(advance_sql(1));
    if (!publishes(setup) || !follower.join()) return 1;
    shell("cp " + wal + " " + wal + "-older");
    for (int version = 2; version <= 4; ++version) {
      writer.query(advance_sql(version));
      if (!publishes(setup) || !follower.pull()) return 2;
    }
    write_file(directory / "follower.image", follower.image());
    return 0;  // killed: nothing is settled
  });
  ASSERT_EQ(code, 0);
  shell("mv " + wal + "-older " + wal + "; rm -f " + path.string() + "-shm");
  StockDatabase pin(path);  // a last close would move the log into the file and remove it
  ASSERT_EQ(pin.query(VersionedSource::kState), "1 ok");
  for (int version = 11; version <= 15; ++version) ask(path, advance_sql(version));

  auto publication = engine::Publication::open(path.string() + "-log", {});
  ASSERT_TRUE(publication) << publication.error().message;
  const wal::LogTail old_tail = (*publication)->log().tail();
  publication->reset();
  PrimarySetup setup = attach_primary(path, 16 << 20);
  ASSERT_TRUE(setup.primary);
  catch_up(*setup.primary);
  MemoryFollower follower(setup.publication);
  follower.stand_at({old_tail.position, old_tail.root, old_tail.page_count},
                    read_file(directory / "follower.image"));
  const Status connected = follower.connect();
  if (connected) {  // its end is known as the one before a bridge: told which pages differ
    const Status pulled = follower.pull();
    ASSERT_TRUE(pulled) << pulled.error().message;
    expect_equal(directory, follower, path);
  } else {
    EXPECT_EQ(connected.error().code, ErrorCode::kHistoryChanged);
  }
  EXPECT_NE(setup.publication->log().tail().position.generation, old_tail.position.generation);

  // The same numbers with another checksum are another place.
  Position forged = old_tail.position;
  ++forged.checksum;
  follower.stand_at({forged, old_tail.root, old_tail.page_count}, follower.image());
  const Status refused = follower.connect();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kHistoryChanged) << refused.error().message;
}

// ---- 4: killed at every step ----

/// Damages the wal-index as a process does that dies within a change of it.
enum class Torn { kNot, kFirstCopy, kSecondCopy, kBackfillBeyondEnd };

void tear_index(const std::filesystem::path& path, Torn how) {
  if (how == Torn::kNot) return;
  run_in_child([&]() -> int {
    StockDatabase view(path);
    view.query("SELECT count(*) FROM t");
    void volatile* region = nullptr;
    sqlite3_file* file = view.file();
    if (file->pMethods->xShmMap(file, 0, 32768, 0, &region) != SQLITE_OK) ::_exit(1);
    auto* words = static_cast<std::uint32_t volatile*>(region);
    switch (how) {
      case Torn::kFirstCopy:
        words[4] = words[4] + 1;
        break;
      case Torn::kSecondCopy:
        words[12 + 4] = words[12 + 4] + 1;
        break;
      case Torn::kBackfillBeyondEnd:
        words[24] = words[4] + 50;
        break;
      case Torn::kNot:
        break;
    }
    ::_exit(0);
  });
}

struct Acknowledged {
  std::atomic<int> version;
};

Acknowledged* shared_counter() {
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return new (memory) Acknowledged{};
}

class Danger04_PrimaryKilledAnywhere : public testing::Test {
 protected:
  void SetUp() override {
    create_database(template_, 12);
    ask(template_, "PRAGMA wal_checkpoint(TRUNCATE)");
  }

  /// The life of a primary of which `arm` ends somewhere: commits of an application in between,
  /// some generations end, the log is restarted.
  int life(const std::function<void()>& arm, const std::function<void()>& disarm) {
    arm();
    auto publication = engine::Publication::open(path_.string() + "-log", {});
    if (!publication) return 3;
    engine::PrimaryOptions options;
    options.path = path_;
    options.name = "killed";
    options.wal_limit_bytes = 16 << 10;
    options.test_vfs = fault_vfs();
    auto primary = engine::Primary::attach(options, *publication);
    if (!primary) return 4;
    disarm();
    StockDatabase writer(path_);
    for (int version = 1; version <= 2; ++version) {
      if (writer.query(advance_sql(version)) != "") return 5;
      acknowledged_->version = version;
      arm();
      const auto before = (*primary)->metrics().generations_ended;
      const bool ended =
          step_until(**primary, [&] { return (*primary)->metrics().generations_ended > before; });
      disarm();
      if (!ended) return 6;
    }
    return 0;
  }

  void prepare(Torn torn) {
    copy_database(template_, path_);
    std::filesystem::remove_all(path_.string() + "-log");
    acknowledged_->version = 0;
    pin_ = hold_open(path_);
    if (torn != Torn::kNot) {
      ask(path_, "UPDATE t SET v = 0");
      tear_index(path_, torn);
    }
  }

  void check(const std::string& when) {
    {
      // A torn header that the killed primary had not mended yet is for the next one to mend.
      PrimarySetup next = attach_primary(path_, 1 << 20);
      ASSERT_TRUE(next.primary) << when;
    }
    const std::string state = ask(path_, VersionedSource::kState);
    const int version = acknowledged_->version;
    ASSERT_TRUE(state == VersionedSource::state_text(version) ||
                state == VersionedSource::state_text(version + 1))
        << when << ": " << state << " after version " << version << " was acknowledged";
    ASSERT_EQ(ask(path_, advance_sql(100)), "") << when;
    ASSERT_EQ(ask(path_, VersionedSource::kState), "100 ok") << when;
    ASSERT_EQ(ask(path_, "PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0") << when;
    ASSERT_EQ(ask(path_, VersionedSource::kState), "100 ok") << when;
  }

  /// Before the next primary: an application commits at once, as in the prototype.
  void check_with_commit_first(const std::string& when) {
    ASSERT_EQ(ask(path_, advance_sql(99)), "") << when;
    ASSERT_EQ(ask(path_, VersionedSource::kState), "99 ok") << when;
    ASSERT_EQ(ask(path_, "PRAGMA wal_checkpoint(PASSIVE)").substr(0, 2), "0|") << when;
    ASSERT_EQ(ask(path_, VersionedSource::kState), "99 ok") << when;
  }

  TempDirectory directory_;
  std::filesystem::path template_ = directory_ / "template.db";
  std::filesystem::path path_ = directory_ / "app.db";
  Acknowledged* acknowledged_ = shared_counter();
  std::unique_ptr<ChildProcess> pin_;
};

TEST_F(Danger04_PrimaryKilledAnywhere, AtEveryOperation) {
  bool finished = false;
  std::uint64_t at = 0;
  for (; !finished; ++at) {
    prepare(Torn::kNot);
    const int code = run_in_child([&] {
      std::uint64_t seen = 0;
      const auto hook = [&seen, at](const FaultCall&) {
        if (seen++ == at) ::_exit(kKilledByTrap);
        return SQLITE_OK;
      };
      return life([&] { arm_faults(hook); }, [] { disarm_faults(); });
    });
    ASSERT_TRUE(code == 0 || code == kKilledByTrap) << "operation " << at << ": exit " << code;
    finished = code == 0;
    const std::string when = "killed at operation " + std::to_string(at);
    if (at % 2 == 0) check_with_commit_first(when);
    acknowledged_->version = at % 2 == 0 ? 99 : acknowledged_->version.load();
    if (HasFatalFailure()) return;
    check(when);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(at, 60U);
}

TEST_F(Danger04_PrimaryKilledAnywhere, BetweenAnyTwoStoresToTheWalIndex) {
  if (!kStoreTrapWorks) GTEST_SKIP() << "needs x86-64";
  int at = 0;
  for (bool finished = false; !finished; ++at) {
    prepare(Torn::kNot);
    const int code = run_in_child([&] {
      StockDatabase view(path_);
      view.query("SELECT count(*) FROM t");
      void volatile* region = nullptr;
      sqlite3_file* file = view.file();
      if (file->pMethods->xShmMap(file, 0, 32768, 0, &region) != SQLITE_OK) return 8;
      int left = at;
      return life([&] { trap_stores(const_cast<void*>(region), 136, left); },
                  [&] {
                    left = trapped_stores_left();
                    release_stores();
                  });
    });
    ASSERT_TRUE(code == 0 || code == kKilledByTrap) << "store " << at << ": exit " << code;
    finished = code == 0;
    const std::string when = "killed before store " + std::to_string(at);
    check_with_commit_first(when);
    acknowledged_->version = 99;
    if (HasFatalFailure()) return;
    check(when);
    if (HasFatalFailure()) return;
  }
  EXPECT_GE(at, 15);
}

TEST_F(Danger04_PrimaryKilledAnywhere, WhileItMendsAWalIndex) {
  for (const Torn torn : {Torn::kFirstCopy, Torn::kSecondCopy, Torn::kBackfillBeyondEnd}) {
    for (bool finished = false, first = true; !finished; first = false) {
      static std::uint64_t at = 0;
      if (first) at = 0;
      prepare(torn);
      const int code = run_in_child([&] {
        arm_faults([](const FaultCall& call) {
          if (call.number == at) ::_exit(kKilledByTrap);
          return SQLITE_OK;
        });
        auto handle = wal::DatabaseHandle::open(path_, {.test_vfs = fault_vfs()});
        if (!handle) return 3;
        auto checkpoint = wal::SlotLock::try_take((*handle)->index(), wal::Slot::kCheckpoint);
        auto writer = wal::SlotLock::try_take((*handle)->index(), wal::Slot::kWrite);
        return checkpoint && writer && wal::repair_index(**handle) ? 0 : 4;
      });
      ASSERT_TRUE(code == 0 || code == kKilledByTrap) << "operation " << at << ": exit " << code;
      finished = code == 0;
      check("mending killed at operation " + std::to_string(at));
      if (HasFatalFailure()) return;
      ++at;
    }
  }
}

// ---- 5: the lock on the file ----

TEST(Danger05_LostFileLock, AForeignLastCloseDoesNotRemoveTheWal) {
  const TempDirectory directory;
  const auto path = directory / "app.db";
  create_database(path);
  PrimarySetup setup = attach_primary(path, 16 << 20);
  MemoryFollower follower(setup.publication);
  int version = 0;
  ASSERT_TRUE(follower.read_snapshot([&](std::uint32_t page) {
    if (page % 4 != 0) return;
    EXPECT_EQ(sqlite_program(path, advance_sql(++version)), "");
    (void)setup.primary->step(engine::Clock::now(), true);
    run_in_child([] { return 0; });  // forks
    EXPECT_TRUE(std::filesystem::exists(path.string() + "-wal"));
  }));
  EXPECT_EQ(sqlite_program(path, advance_sql(++version)), "");
  ASSERT_TRUE(std::filesystem::exists(path.string() + "-wal"));
  catch_up(*setup.primary);
  ASSERT_TRUE(follower.connect());
  ASSERT_TRUE(follower.pull());
  EXPECT_EQ(setup.primary->metrics().bridges, 0U);
  expect_equal(directory, follower, path);
}

TEST(Danger05_LostFileLock, AHostThatOpensTheFileItselfIsNoticedWithinASecondAndBridged) {
  const TempDirectory directory;
  const auto path = directory / "app.db";
  create_database(path);
  std::vector<std::string> log;
  PrimarySetup setup = attach_primary(
      path, 16 << 20, nullptr, [&](LogLevel, std::string_view text) { log.emplace_back(text); });
  MemoryFollower follower(setup.publication);
  ASSERT_EQ(sqlite_program(path, advance_sql(1)), "");
  ASSERT_TRUE(publishes(setup));
  ASSERT_TRUE(follower.join());
  {
    std::ifstream host(path);
  }  // drops every POSIX lock of this process on the file
  ASSERT_EQ(sqlite_program(path, advance_sql(2)), "");
  ASSERT_FALSE(std::filesystem::exists(path.string() + "-wal")) << "the danger is not there";
  // The first commit can still be read from the WAL that was removed; this one went elsewhere.
  ASSERT_EQ(sqlite_program(path, advance_sql(20)), "");
  const auto begun = engine::Clock::now();
  ASSERT_TRUE(step_until(*setup.primary, [&] { return setup.primary->metrics().bridges == 1; }))
      << testing::PrintToString(log);
  EXPECT_LT(engine::Clock::now() - begun, 1500ms);
  ASSERT_EQ(sqlite_program(path, advance_sql(3)), "");
  ASSERT_TRUE(publishes(setup));
  Status pulled = follower.connect();
  ASSERT_TRUE(pulled) << pulled.error().message;
  pulled = follower.pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  expect_equal(directory, follower, path);
}

// ---- 6, 26: a snapshot while the file changes ----

/// Joins followers at many moments and looks at every state they show.
class Danger06_SnapshotBase : public testing::Test {
 protected:
  /// Tells any two states apart, and damaged ones from all others.
  static constexpr const char* kFingerprint =
      "SELECT count(*), sum(a * 7919 % 10007 * v), sum(length(b) * (a % 13)),"
      " (SELECT count(*) FROM t INDEXED BY i WHERE b > ''),"
      " (SELECT integrity_check FROM pragma_integrity_check(1)) FROM t";

  void look_at(MemoryFollower& follower) {
    follower.observe([this](const engine::CommittedState&, const Image& image) {
      ++states_;
      const std::string state = ask_image(directory_, image, kFingerprint);
      EXPECT_TRUE(committed_.contains(state)) << state;
    });
  }

  /// Changes some pages only: a state into which older or newer ones were mixed is none.
  void commit() {
    const std::string version = std::to_string(++version_);
    const std::string row = std::to_string(1 + version_ * 37 % 97);
    ASSERT_EQ(writer_->query("BEGIN; UPDATE t SET v = " + version +
                             ", b = hex(randomblob(300)) WHERE a = " + row +
                             "; DELETE FROM t WHERE a = " + row +
                             " + 11;"
                             "INSERT OR REPLACE INTO t VALUES(" +
                             row + " * 3 % 101, " + version +
                             ", hex(randomblob(400)));"
                             "COMMIT"),
              "");
    latest_ = writer_->query(kFingerprint);
    committed_.insert(latest_);
  }

  /// The frame before which pages of the file are no state.
  static std::uint64_t base(const PrimarySetup& setup) {
    return setup.publication->source()->base_frame(setup.publication->log().start());
  }

  void join_followers(PrimarySetup& setup) {
    for (int round = 0; round < 6; ++round) {
      MemoryFollower follower(setup.publication);
      look_at(follower);
      const Status read = follower.read_snapshot([&](std::uint32_t page) {
        if (static_cast<int>(page) % (round + 1) == 0) {
          commit();
          (void)setup.primary->step(engine::Clock::now(), true);
        }
      });
      ASSERT_TRUE(read) << read.error().message;
      Status joined = follower.connect();
      if (joined) joined = follower.pull();
      ASSERT_TRUE(joined) << joined.error().message;
      for (int i = 0; i < 3; ++i) {
        commit();
        ASSERT_TRUE(publishes(setup));
        const Status pulled = follower.pull();
        ASSERT_TRUE(pulled) << pulled.error().message;
      }
      EXPECT_EQ(ask_image(directory_, follower.image(), kFingerprint), latest_);
    }
  }

  void SetUp() override {
    create_database(path_, 100);
    ask(path_, "PRAGMA wal_checkpoint(TRUNCATE)");
    writer_.emplace(path_);
    writer_->query("PRAGMA wal_autocheckpoint=0");
    latest_ = writer_->query(kFingerprint);
    committed_.insert(latest_);
  }

  TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "app.db";
  std::optional<StockDatabase> writer_;
  int version_ = 0;
  std::string latest_;
  std::set<std::string> committed_;
  int states_ = 0;
};

TEST_F(Danger06_SnapshotBase, AnEarlierCheckpointStoppedHalfway) {
  StockDatabase reader(path_);
  for (int i = 0; i < 8; ++i) {
    commit();
    if (i == 4) reader.query("BEGIN; SELECT count(*) FROM t");
  }
  StockDatabase(path_).query("PRAGMA wal_checkpoint(PASSIVE)");
  PrimarySetup setup = attach_primary(path_, 16 << 20);
  join_followers(setup);
  reader.query("COMMIT");
  join_followers(setup);
  EXPECT_GT(states_, 20);
}

TEST_F(Danger06_SnapshotBase, ABackfillOfOursThatWasGivenUp) {
  PrimarySetup setup = attach_primary(path_, 256 << 10);
  for (int round = 0; round < 3; ++round) {
    const auto go_on = [&] {
      commit();
      (void)setup.primary->step(engine::Clock::now(), true);
    };
    // A reader that stands where a generation ends leaves the next one nothing to begin with: then
    // another reader comes at another moment.
    std::optional<StockDatabase> reader;
    for (int attempt = 0; base(setup) == 0 && attempt < 100; ++attempt) {
      reader.reset();
      for (int i = 0; i < 3 + attempt % 7; ++i) go_on();
      reader.emplace(path_);
      reader->query("BEGIN; SELECT count(*) FROM t");
      for (int i = 0; base(setup) == 0 && i < 40; ++i) go_on();
    }
    ASSERT_GT(base(setup), 0U);
    join_followers(setup);
  }
  EXPECT_GT(states_, 20);
}

TEST_F(Danger06_SnapshotBase, AFollowerThatWasAwayGetsADeltaWhileABackfillIsGivenUp) {
  PrimarySetup setup = attach_primary(path_, 256 << 10);
  MemoryFollower follower(setup.publication);
  look_at(follower);
  ASSERT_TRUE(follower.join());
  for (int round = 0; round < 4; ++round) {
    // More frames than pages: those are sent as a delta.
    for (int i = 0; i < 150; ++i) {
      commit();
      (void)setup.primary->step(engine::Clock::now(), true);
    }
    StockDatabase reader(path_);
    for (int i = 0; i < 30; ++i) {
      commit();
      if (i == 12) reader.query("BEGIN; SELECT count(*) FROM t");
      (void)setup.primary->step(engine::Clock::now(), true);
    }
    const auto located = setup.publication->log().locate(follower.position());
    ASSERT_TRUE(located) << located.error().message;
    EXPECT_TRUE(located->needs_delta);
    Status pulled = follower.connect();
    for (int i = 0; pulled && i < 12; ++i) {
      commit();
      (void)setup.primary->step(engine::Clock::now(), true);
      pulled = follower.pull(1);
    }
    if (pulled) pulled = follower.pull();
    ASSERT_TRUE(pulled) << pulled.error().message;
    EXPECT_EQ(ask_image(directory_, follower.image(), kFingerprint), latest_);
  }
}

TEST_F(Danger06_SnapshotBase, ABackfillThatFailedInTheMiddle) {
  PrimarySetup setup = attach_primary(path_, 64 << 10, fault_vfs());
  for (int round = 0; round < 4; ++round) {
    int writes = 0;
    arm_faults([&](const FaultCall& call) -> int {
      return call.point == FaultPoint::kWriteDatabase && ++writes > 3 + round ? SQLITE_FULL
                                                                              : SQLITE_OK;
    });
    for (int i = 0; i < 10; ++i) {
      commit();
      (void)setup.primary->step(engine::Clock::now(), true);
    }
    EXPECT_GT(base(setup), 0U);
    // The time for a look at the files: what the failed backfill wrote is not taken for foreign.
    (void)setup.primary->step(engine::Clock::now() + 2s, true);
    EXPECT_TRUE(setup.primary->attached());
    join_followers(setup);
    disarm_faults();
    join_followers(setup);
  }
  EXPECT_GT(states_, 20);
}

TEST_F(Danger06_SnapshotBase, ARecoveryForgotWhatWasBackfilled) {
  for (int i = 0; i < 8; ++i) commit();
  StockDatabase(path_).query("PRAGMA wal_checkpoint(PASSIVE)");
  for (int i = 0; i < 3; ++i) commit();
  const auto copy = directory_ / "copy.db";
  copy_database(path_, copy);  // without the wal-index: the first to open recovers
  path_ = copy;
  writer_.emplace(path_);
  writer_->query("PRAGMA wal_autocheckpoint=0");
  PrimarySetup setup = attach_primary(path_, 16 << 20);
  join_followers(setup);
  EXPECT_GT(states_, 20);
}

TEST_F(Danger06_SnapshotBase, Danger26_ManyGenerationsEndWhileAnImageIsRead) {
  PrimarySetup setup = attach_primary(path_, 32 << 10);
  const auto ended = [&] { return setup.primary->metrics().generations_ended; };
  for (int round = 0; round < 3; ++round) {
    MemoryFollower follower(setup.publication);
    look_at(follower);
    const auto before = ended();
    const Status read = follower.read_snapshot([&](std::uint32_t) {
      commit();
      (void)setup.primary->step(engine::Clock::now(), true);
    });
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_GT(ended(), before + 3);
    Status joined = follower.connect();
    // Generations go on ending while the stream is drawn, too.
    for (int i = 0; joined && i < 200; ++i) {
      for (int k = 0; i < 12 && k < 4; ++k) {
        commit();
        (void)setup.primary->step(engine::Clock::now(), true);
      }
      joined = follower.pull(1);
    }
    if (joined) joined = follower.pull();
    ASSERT_TRUE(joined) << joined.error().message;
    catch_up(*setup.primary);
    joined = follower.pull();
    ASSERT_TRUE(joined) << joined.error().message;
    EXPECT_EQ(ask_image(directory_, follower.image(), kFingerprint), latest_);
  }
}

// ---- 7, 15: other programs while generations end ----

TEST(Danger07_ForeignCheckpointers, AHundredGenerationsEndAndNoWriterWaitsLong) {
  const TempDirectory directory;
  const auto path = directory / "app.db";
  create_database(path);
  ChildProcess foreign([&](ChildProcess::Parent& parent) {
    StockDatabase database(path);
    sqlite3_busy_timeout(database.raw(), 30'000);
    parent.tell('o');
    for (;;) database.query("PRAGMA wal_checkpoint(TRUNCATE)");
    return 0;
  });
  ChildProcess writer([&](ChildProcess::Parent& parent) {
    StockDatabase database(path);
    sqlite3_busy_timeout(database.raw(), 30'000);
    parent.wait();
    for (int version = 1;; ++version) {
      if (database.query(advance_sql(version)) != "") return 1;
    }
  });
  foreign.hear();
  PrimarySetup setup = attach_primary(path, kSmallLimit);
  ASSERT_TRUE(setup.primary);
  writer.go_on();
  ASSERT_TRUE(step_until(
      *setup.primary, [&] { return setup.primary->metrics().generations_ended >= 100; }, 60s));
  writer.send_signal(SIGKILL);
  EXPECT_EQ(writer.join(), 1000 + SIGKILL);  // it never saw an error
  foreign.send_signal(SIGKILL);
  foreign.join();
  EXPECT_LT(setup.primary->metrics().writer_hold_max_us, 100'000U);
  EXPECT_EQ(setup.primary->metrics().bridges, 0U);
  catch_up(*setup.primary);
  MemoryFollower follower(setup.publication);
  const Status joined = follower.join();
  ASSERT_TRUE(joined) << joined.error().message;
  expect_equal(directory, follower, path);
}

TEST(Danger15_NoBusyTimeout, RefusalsAreAtMostAsManyAsGenerations) {
  const TempDirectory directory;
  const auto path = directory / "app.db";
  create_database(path);
  auto* refusals = shared_counter();
  auto* commits = shared_counter();
  ChildProcess writer([&](ChildProcess::Parent& parent) {
    StockDatabase database(path);
    sqlite3_busy_timeout(database.raw(), 0);
    parent.wait();
    bool refused = false;
    for (int version = 1;; ++version) {
      const int rc = database.run(advance_sql(version));
      if (rc != SQLITE_OK && rc != SQLITE_BUSY) return 1;
      // A program that is refused again and again within one hold meets one obstacle.
      if (rc == SQLITE_BUSY && !refused) ++refusals->version;
      refused = rc == SQLITE_BUSY;
      if (rc == SQLITE_OK) ++commits->version;
      ::usleep(500);
    }
  });
  PrimarySetup setup = attach_primary(path, kSmallLimit);
  writer.go_on();
  ASSERT_TRUE(step_until(
      *setup.primary, [&] { return setup.primary->metrics().generations_ended >= 50; }, 60s));
  writer.send_signal(SIGKILL);
  EXPECT_EQ(writer.join(), 1000 + SIGKILL);
  const auto ended = static_cast<int>(setup.primary->metrics().generations_ended);
  std::cout << refusals->version << " refusals, " << commits->version << " commits, " << ended
            << " generations\n";
  EXPECT_LE(refusals->version, ended + ended / 4 + 2);
  EXPECT_GT(commits->version, ended);
}

// ---- 8: a writer restarts the log later ----

TEST(Danger08_LateRestart, CaptureFollowsTheWriterThatRestartsTheLog) {
  const TempDirectory directory;
  const auto path = directory / "app.db";
  create_database(path);
  ChildProcess reader([&](ChildProcess::Parent& parent) {
    StockDatabase database(path);
    while (parent.wait()) {
      database.query("BEGIN; SELECT count(*) FROM t");
      parent.tell('b');
      parent.wait();
      database.query("COMMIT");
      parent.tell('e');
    }
    return 0;
  });
  std::vector<std::string> warnings;
  PrimarySetup setup =
      attach_primary(path, kSmallLimit, nullptr, [&](LogLevel level, std::string_view text) {
        if (level >= LogLevel::kWarning) warnings.emplace_back(text);
      });
  StockDatabase writer(path);
  MemoryFollower follower(setup.publication);
  ASSERT_TRUE(follower.join());
  int version = 0;
  for (int round = 0; round < 6; ++round) {
    const auto before = setup.primary->metrics().generations_ended;
    for (int i = 0; i < 3; ++i) ASSERT_EQ(writer.query(advance_sql(++version)), "");
    reader.go_on();  // at the very last frame: all can be backfilled, nothing restarted
    ASSERT_EQ(reader.hear(), 'b');
    ASSERT_TRUE(step_until(*setup.primary,
                           [&] { return setup.primary->metrics().generations_ended > before; }));
    // Some rounds the log grows on behind the reader before it is restarted.
    if (round % 2 == 1) {
      ASSERT_EQ(writer.query(advance_sql(++version)), "");
    }
    reader.go_on();
    ASSERT_EQ(reader.hear(), 'e');
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(writer.query(advance_sql(++version)), "");
      if (i == 0) (void)setup.primary->step(engine::Clock::now(), true);
    }
    catch_up(*setup.primary);
    const Status pulled = follower.pull();
    ASSERT_TRUE(pulled) << pulled.error().message;
  }
  EXPECT_EQ(setup.primary->metrics().bridges, 0U);
  EXPECT_TRUE(warnings.empty()) << warnings.front();
  expect_equal(directory, follower, path);
}

// ---- 10: a writer died between the two header copies ----

class Danger10_TornHeader : public testing::TestWithParam<Torn> {};

TEST_P(Danger10_TornHeader, IsMendedInPlaceAndCheckpointsStayOurs) {
  const TempDirectory directory;
  const auto path = directory / "app.db";
  create_database(path);
  auto* foreign_checkpoints = shared_counter();
  ChildProcess checkpointer([&](ChildProcess::Parent& parent) {
    StockDatabase database(path);
    database.query("SELECT count(*) FROM t");
    parent.tell('o');
    parent.wait();
    for (;;) {
      const int rc = sqlite3_wal_checkpoint_v2(database.raw(), "main", SQLITE_CHECKPOINT_PASSIVE,
                                               nullptr, nullptr);
      if (rc == SQLITE_OK) ++foreign_checkpoints->version;
    }
    return 0;
  });
  ChildProcess user([&](ChildProcess::Parent& parent) {
    StockDatabase database(path);
    database.query("SELECT count(*) FROM t");
    parent.tell('o');
    int version = 0;
    while (parent.wait()) {
      const auto begun = engine::Clock::now();
      const std::string state = database.query(VersionedSource::kState);
      const std::string written = database.query(advance_sql(++version));
      const bool quick = engine::Clock::now() - begun < 3s;
      parent.tell(quick && written.empty() && state.ends_with(" ok") ? 'k' : 'x');
    }
    return 0;
  });
  checkpointer.hear();
  user.hear();
  PrimarySetup setup = attach_primary(path, 16 << 20);
  ASSERT_TRUE(setup.primary);
  checkpointer.go_on();
  SteppingThread stepping(*setup.primary);
  for (int round = 0; round < 5; ++round) {
    user.go_on();
    ASSERT_EQ(user.hear(), 'k') << "before tearing, round " << round;
    tear_index(path, GetParam());
    user.go_on();
    ASSERT_EQ(user.hear(), 'k') << "round " << round;
  }
  stepping.stop();
  checkpointer.send_signal(SIGKILL);
  checkpointer.join();
  EXPECT_EQ(foreign_checkpoints->version, 0);
  EXPECT_GE(setup.primary->metrics().header_repairs, 1U);
  EXPECT_EQ(setup.primary->metrics().bridges, 0U);
  catch_up(*setup.primary);
  MemoryFollower follower(setup.publication);
  ASSERT_TRUE(follower.join());
  expect_equal(directory, follower, path);
}

INSTANTIATE_TEST_SUITE_P(Both, Danger10_TornHeader,
                         testing::Values(Torn::kFirstCopy, Torn::kSecondCopy,
                                         Torn::kBackfillBeyondEnd));

// ---- 16: files that stock SQLite would destroy or cannot read ----

TEST(Danger16_UnfitFiles, ReservedBytesAreRefusedWithAClearText) {
  const TempDirectory directory;
  const auto path = directory / "app.db";
  {
    StockDatabase database(path);
    int reserved = 8;
    sqlite3_file_control(database.raw(), "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    database.query("CREATE TABLE t(a)");
  }
  auto handle = wal::DatabaseHandle::open(path, {});
  ASSERT_FALSE(handle);
  EXPECT_EQ(handle.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(handle.error().message, HasSubstr("reserves bytes"));
  EXPECT_EQ(ask(path, "PRAGMA integrity_check"), "ok");
}

TEST(Danger16_UnfitFiles, AnEncryptedHeaderIsRefusedAndTheFileUntouched) {
  const TempDirectory directory;
  const auto path = directory / "app.db";
  std::minstd_rand random(test_seed());
  Image noise(8 * kPage);
  for (std::byte& byte : noise) byte = static_cast<std::byte>(random() >> 8);
  write_file(path, noise);
  auto handle = wal::DatabaseHandle::open(path, {});
  ASSERT_FALSE(handle);
  EXPECT_EQ(handle.error().code, ErrorCode::kNotADatabase);
  EXPECT_THAT(handle.error().message, HasSubstr("encrypted"));
  EXPECT_EQ(read_file(path), noise);
  EXPECT_FALSE(std::filesystem::exists(path.string() + "-wal"));
}

// ---- 27: a slow fsync between the frames and the header ----

TEST(Danger27_SlowSync, ACommitIsPublishedAtItsMomentAndNotAtATimers) {
  const TempDirectory directory;
  const auto path = directory / "app.db";
  create_database(path);
  ask(path, "PRAGMA wal_checkpoint(TRUNCATE)");
  ChildProcess writer([&](ChildProcess::Parent& parent) {
    StockDatabase database(path, StockDatabase::kReadWriteCreate, fault_vfs());
    database.query("PRAGMA synchronous=FULL");
    while (parent.wait()) {
      bool frames_written = false;
      arm_faults([&](const FaultCall& call) {
        frames_written = frames_written || (call.point == FaultPoint::kWriteWal &&
                                            call.offset >= wal::kWalHeaderSize);
        if (call.point == FaultPoint::kSyncWal && frames_written) {
          parent.tell('s');  // the frames are in the file, the header is not published
          parent.wait();
        }
        return SQLITE_OK;
      });
      database.query("UPDATE t SET v = v + 1 WHERE a = 1");
      disarm_faults();
      parent.tell('d');
    }
    return 0;
  });
  PrimarySetup setup = attach_primary(path, 16 << 20);
  for (int i = 0; i < 5; ++i) {
    writer.go_on();
    char said = writer.hear();
    ASSERT_EQ(said, 's');
    const auto before = setup.primary->metrics().commits;
    auto now = engine::Clock::now();
    auto wait = setup.primary->step(now, true);  // the only event there will be
    // For as long as the sync may take the primary looks again and again, soon.
    for (int looks = 0; looks < 50; ++looks) {
      ASSERT_LE(wait, 1ms) << "look " << looks;
      std::this_thread::sleep_for(wait);
      now = engine::Clock::now();
      wait = setup.primary->step(now, false);
    }
    EXPECT_EQ(setup.primary->metrics().commits, before);
    while (said == 's') {
      writer.go_on();
      said = writer.hear();
    }
    ASSERT_EQ(said, 'd');
    std::this_thread::sleep_for(wait);
    (void)setup.primary->step(engine::Clock::now(), false);
    EXPECT_EQ(setup.primary->metrics().commits, before + 1);
  }
}

}  // namespace
}  // namespace walferry::test
