// The dangers of a replica's file (docs: "Inject"), each driven through the real engine against
// stock SQLite. The numbers are those of the list of dangers in the design.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sched.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <tuple>

#include "engine/ferry_service.h"
#include "engine/local_replica.h"
#include "net/ferry_protocol.h"
#include "net/http_server.h"
#include "tests/fault/engine_harness.h"
#include "tests/fault/fault_vfs.h"
#include "tests/fault/store_trap.h"
#include "tests/wal/batch_builder.h"
#include "wal/image_file.h"

namespace walferry::test {
namespace {

using namespace std::chrono_literals;

// ---- 1: a foreign checkpoint paused between reading the header and its test ----

/// A foreign connection whose PASSIVE checkpoint stops where SQLite calls xUnfetch: after it has
/// read the header, before it compares nBackfill with it.
class PausedCheckpoint {
 public:
  explicit PausedCheckpoint(const std::filesystem::path& path) : database_(path) {
    database_.query("SELECT count(*) FROM t");
    sqlite3_file* file = database_.file();
    real_ = file->pMethods;
    methods_ = *real_;
    methods_.xUnfetch = [](sqlite3_file* at, sqlite3_int64 offset, void* page) {
      if (page == nullptr && offset == 0 && armed_.exchange(false)) {
        paused_ = true;
        while (!released_) std::this_thread::sleep_for(1ms);
      }
      return real_->xUnfetch(at, offset, page);
    };
    file->pMethods = &methods_;
  }
  /// Begins; true once it is paused. The header must have changed since the connection last looked.
  bool start() {
    armed_ = true;
    paused_ = released_ = false;
    thread_ = std::thread([this] {
      result_ = sqlite3_wal_checkpoint_v2(database_.raw(), "main", SQLITE_CHECKPOINT_PASSIVE,
                                          nullptr, nullptr);
    });
    for (int i = 0; i < 2000 && !paused_; ++i) std::this_thread::sleep_for(1ms);
    return paused_;
  }
  ~PausedCheckpoint() { release(); }
  int release() {
    released_ = true;
    if (thread_.joinable()) thread_.join();
    database_.file()->pMethods = real_;
    return result_;
  }

 private:
  StockDatabase database_;
  sqlite3_io_methods methods_{};
  std::thread thread_;
  int result_ = SQLITE_OK;
  static inline const sqlite3_io_methods* real_ = nullptr;
  static inline std::atomic<bool> armed_{false};
  static inline std::atomic<bool> paused_{false};
  static inline std::atomic<bool> released_{false};
};

TEST(Danger01_WalResetBug, EngineWaitsForAPausedForeignCheckpointAndNoRowIsInvisible) {
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source(400);
  create_replica(path, source.image());
  const StockDatabase pin(path);
  PausedCheckpoint foreign(path);
  {
    auto injector = attach_injector(path, source.image());
    for (int i = 0; i < 3; ++i) {
      const Image before = source.image();
      ASSERT_TRUE(inject(*injector, before, source.advance()));
    }
  }
  // Everything is backfilled, nothing restarted: the state in which the next engine restarts.
  ASSERT_EQ(ask(path, "PRAGMA wal_checkpoint(PASSIVE)").substr(0, 2), "0|");
  ASSERT_TRUE(foreign.start());

  auto early = wal::Injector::attach(path, {});
  if (early) {  // what must not happen; go on to see what it costs
    adopt(**early, source.image());
    const Image before = source.image();
    source.database().run("UPDATE t SET b = 'few' WHERE a < 5");
    source.refresh();
    ASSERT_TRUE((*early)->maintain(forced_maintenance()));
    ASSERT_TRUE(inject(**early, before, source.image()));
  } else {
    EXPECT_EQ(early.error().code, ErrorCode::kBusy) << early.error().message;
  }
  foreign.release();
  if (!early) {
    early = wal::Injector::attach(path, {});
    ASSERT_TRUE(early) << early.error().message;
    adopt(**early, source.image());
    auto restarted = (*early)->maintain(forced_maintenance());
    ASSERT_TRUE(restarted && restarted->restarted);
  }
  const Image before = source.image();
  ASSERT_TRUE(inject(**early, before, source.advance()));
  EXPECT_EQ(ask(path, VersionedSource::kState), VersionedSource::state_text(source.version()));
}

TEST(Danger01_WalResetBug, ForeignCheckpointsAreBusyAsLongAsTheEngineLives) {
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source;
  create_replica(path, source.image());
  auto injector = attach_injector(path, source.image());
  for (int i = 0; i < 8; ++i) {
    const Image before = source.image();
    ASSERT_TRUE(inject(*injector, before, source.advance()));
    for (const char* mode : {"PASSIVE", "FULL", "RESTART", "TRUNCATE"}) {
      EXPECT_EQ(ask(path, std::string("PRAGMA wal_checkpoint(") + mode + ")"), "1|-1|-1") << mode;
    }
    auto done = injector->maintain(forced_maintenance());
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(done->restarted);
    EXPECT_EQ(sqlite_program(path, VersionedSource::kState),
              VersionedSource::state_text(source.version()));
  }
}

// ---- 2: power cuts ----

/// What a disk may hold after a power cut: every 4 KiB block that was written since the last sync
/// of its file is there or is not, and the file was cut to its new size or was not.
class CrashDisk {
 public:
  struct File {
    Image durable;
    Image current;
    std::set<std::size_t> dirty;
    std::optional<std::size_t> cut_to;
  };

  CrashDisk(Image database, Image wal) {
    database_.durable = database_.current = std::move(database);
    wal_.durable = wal_.current = std::move(wal);
  }

  void apply(const FaultCall& call) {
    File& file = call.on_wal() ? wal_ : database_;
    if (call.syncs()) {
      file.durable = file.current;
      file.dirty.clear();
      file.cut_to.reset();
    } else if (call.changes_a_file()) {
      const std::size_t end = call.offset + call.bytes.size();
      const bool truncates = call.bytes.empty();
      if (truncates) {
        file.current.resize(call.offset);
        file.cut_to = std::min<std::size_t>(file.cut_to.value_or(call.offset), call.offset);
        return;
      }
      if (file.current.size() < end) file.current.resize(end);
      std::ranges::copy(call.bytes,
                        file.current.begin() + static_cast<std::ptrdiff_t>(call.offset));
      for (std::size_t block = call.offset / kBlock; block * kBlock < end; ++block) {
        file.dirty.insert(block);
      }
    }
  }

  /// One of the images that a power cut may leave behind: of the database and of the WAL.
  template <class Random>
  [[nodiscard]] std::pair<Image, Image> draw(Random& random) const {
    return {choose(database_, random), choose(wal_, random)};
  }
  template <class Random>
  void write_image(const std::filesystem::path& path, Random& random) const {
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path.string() + suffix);
    const auto [database, log] = draw(random);
    write_file(path, database);
    write_file(path.string() + "-wal", log);
  }

 private:
  static constexpr std::size_t kBlock = 4096;

  template <class Random>
  static Image choose(const File& file, Random& random) {
    Image image = file.durable;
    if (file.cut_to && random() % 2 == 0) image.resize(std::min(image.size(), *file.cut_to));
    const auto pattern = random() % 6;
    const std::size_t cut = file.dirty.empty() ? 0 : random() % (file.dirty.size() + 1);
    std::size_t i = 0;
    for (const std::size_t block : file.dirty) {
      bool take_new = false;
      switch (pattern) {
        case 0:
          take_new = random() % 2 == 0;
          break;
        case 1:
          take_new = i >= cut;
          break;  // a prefix stays old
        case 2:
          take_new = i < cut;
          break;  // a suffix stays old
        case 3:
          take_new = i == cut;
          break;  // one block is new
        case 4:
          take_new = i != cut;
          break;  // one block is old
        default:
          take_new = true;
          break;
      }
      ++i;
      const std::size_t at = block * kBlock;
      if (!take_new || at >= file.current.size()) continue;
      const std::size_t n = std::min(kBlock, file.current.size() - at);
      if (image.size() < at + n) image.resize(at + n);
      std::copy_n(file.current.begin() + static_cast<std::ptrdiff_t>(at), n,
                  image.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return image;
  }

  File database_;
  File wal_;
};

TEST(Danger02_PowerCut, EveryImageThatADiskMayHoldIsAPublishedState) {
  std::minstd_rand random(test_seed());
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  const auto crashed = directory / "crashed.db";
  VersionedSource source(40);
  create_replica(path, source.image());
  wal::InjectorOptions options;
  options.test_vfs = fault_vfs();
  options.memory_budget = 16 * kPage;  // some transactions spill
  auto injector = attach_injector(path, source.image(), options);
  CrashDisk disk(read_file(path), read_file(path.string() + "-wal"));
  std::set<std::string> published{VersionedSource::state_text(0)};
  int images = 0;
  std::string wrong;
  const auto look = [&](const std::string& when) {
    for (int i = 0; i < 3 && wrong.empty(); ++i) {
      disk.write_image(crashed, random);
      const std::string state = ask(crashed, VersionedSource::kState);
      ++images;
      if (!published.contains(state)) wrong = when + ": " + state;
    }
  };
  arm_faults([&](const FaultCall& call) {
    if (call.changes_a_file() || call.syncs()) {
      if (random() % 3 == 0) look("before operation " + std::to_string(call.number));
      disk.apply(call);
    }
    return SQLITE_OK;
  });
  for (int i = 1; i <= 40 && wrong.empty(); ++i) {
    const Image before = source.image();
    const Image& after = source.advance();
    published.insert(VersionedSource::state_text(source.version()));
    ASSERT_TRUE(inject(*injector, before, after));
    look("after version " + std::to_string(i));
    if (i % 4 == 0) {
      auto done = injector->maintain(forced_maintenance());
      ASSERT_TRUE(done && done->restarted);
      look("after restart " + std::to_string(i));
    }
  }
  // And while all is replaced by a database with pages of another size.
  ASSERT_TRUE(injector->maintain(forced_maintenance()));
  VersionedSource other(60, 1024);
  while (other.version() < 100) other.advance();
  published.insert(VersionedSource::state_text(100));
  ASSERT_TRUE(injector->change_page_size(1024));
  ASSERT_TRUE(inject(*injector, {}, other.image(), true));
  look("after the page size changed");
  auto done = injector->maintain(forced_maintenance());
  ASSERT_TRUE(done && done->restarted);
  look("after the restart with another page size");
  const Image before = other.image();
  published.insert(VersionedSource::state_text(101));
  ASSERT_TRUE(inject(*injector, before, other.advance()));
  look("at the end");
  disarm_faults();
  EXPECT_EQ(wrong, "");
  EXPECT_GT(images, 200);
}

/// A replica that follows a living primary, and the images of its files that power cuts leave
/// behind: the side file, which is not synced while it follows, has any of the blocks that were
/// ever written to it, and the times of the database may be older than its content.
class Danger02_PowerCutOfAFollower : public testing::Test {
 protected:
  struct Cut {
    Image database, wal, side;
    std::string when;
  };
  static constexpr std::size_t kBlock = 4096;

  void SetUp() override {
    writer_.query(
        "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
        "CREATE TABLE t(a INTEGER PRIMARY KEY, v INT, b TEXT); CREATE INDEX i ON t(b);"
        "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 150)"
        "INSERT INTO t SELECT n, 0, hex(randomblob(200)) FROM s");
    primary_ = attach_primary(origin_, 256 << 10);
    service_.add("app", primary_.publication);
    auto server = net::HttpServer::start(
        {}, [this](const net::HttpRequest& request) { return service_.handle(request); });
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    note_root();
  }
  [[nodiscard]] ReplicaOptions options_for(const std::filesystem::path& path) const {
    ReplicaOptions options;
    options.url = "http://127.0.0.1:" + std::to_string(server_->port());
    options.path = path;
    options.wal_limit_bytes = 64 << 10;
    return options;
  }
  void TearDown() override { disarm_faults(); }
  void note_root() {
    const wal::LogTail tail = primary_.publication->log().tail();
    roots_[tail.position.checksum] = tail.root;  // the start of a generation has that of its end
  }
  void commit() {
    const Position before = primary_.publication->log().tail().position;
    switch (random_() % 4) {
      case 0:
        writer_.query("UPDATE t SET b = hex(randomblob(100 + abs(random()) % 200))");
        break;
      case 1:
        writer_.query(
            "BEGIN; DELETE FROM t WHERE a > 150; INSERT INTO t(b) VALUES(hex(zeroblob(9000))); "
            "COMMIT");
        break;
      default:
        writer_.query("UPDATE t SET v = v + 1 WHERE a % 40 = " + std::to_string(random_() % 40));
        break;
    }
    ASSERT_TRUE(step_until(*primary_.primary, [&] {
      note_root();
      return primary_.publication->log().tail().position.checksum != before.checksum;
    }));
  }

  void note_side_file() {
    std::ifstream file(path_.string() + "-walferry", std::ios::binary);
    std::string all(std::istreambuf_iterator<char>(file), {});
    for (std::size_t block = 0; block < side_.size() && all.size() > block * kBlock; ++block) {
      std::string now = all.substr(block * kBlock, kBlock);
      auto& known = side_[block];
      if (known.empty() || known.back() != now) known.push_back(std::move(now));
    }
  }
  void cut(const CrashDisk& disk, const std::string& when) {
    Cut image;
    std::tie(image.database, image.wal) = disk.draw(random_);
    for (const auto& versions : side_) {
      if (versions.empty()) break;
      const bool newest = random_() % 2 == 0;
      const std::string& block =
          versions[newest ? versions.size() - 1 : random_() % versions.size()];
      const auto bytes = std::as_bytes(std::span(block));
      image.side.insert(image.side.end(), bytes.begin(), bytes.end());
    }
    image.when = when;
    cuts_.push_back(std::move(image));
  }

  /// The machine is up again: what was recorded of the database file is what stat(2) says of it,
  /// where its size allows that, and the machine was booted since.
  void power_up(const Cut& image) {
    for (const char* suffix : {"", "-wal", "-shm", "-walferry"})
      std::filesystem::remove(crashed_.string() + suffix);
    write_file(crashed_, image.database);
    write_file(crashed_.string() + "-wal", image.wal);
    write_file(crashed_.string() + "-walferry", image.side);
    auto side = wal::SlotFile::open(crashed_.string() + "-walferry", wal::kReplicaMagic, false);
    ASSERT_TRUE(side) << side.error().message;
    auto bytes = side->read();
    ASSERT_TRUE(bytes);
    auto record = *bytes ? wal::ReplicaRecord::decode(**bytes) : std::nullopt;
    if (!record || record->file.size != image.database.size() || random_() % 4 == 0) return;
    record->file = wal::identify(crashed_);
    record->boot[0] ^= 1;
    ASSERT_TRUE(side->write(record->encode()));
  }
  void check_with_stock(const Cut& image) {
    const auto looked_at = directory_ / "looked-at.db";
    for (const char* suffix : {"", "-wal", "-shm"})
      std::filesystem::remove(looked_at.string() + suffix);
    write_file(looked_at, image.database);
    write_file(looked_at.string() + "-wal", image.wal);
    ASSERT_EQ(ask(looked_at, "PRAGMA integrity_check"), "ok") << image.when;
  }
  /// A position that is proven is the one whose pages are there.
  void check_proof(const std::string& when) {
    auto local = engine::LocalReplica::open(options_for(crashed_));
    ASSERT_TRUE(local) << local.error().message;
    auto proven = (*local)->attach([] { return Status{}; });
    ASSERT_TRUE(proven) << when << ": " << proven.error().message;
    if (!*proven) return;
    ++proofs_;
    wal::Injector& injector = (*local)->injector();
    auto root = injector.hash_all(injector.disguise(), injector.page_count(), nullptr, {});
    ASSERT_TRUE(root);
    ASSERT_TRUE(roots_.contains((*proven)->checksum)) << when;
    ASSERT_EQ(*root, roots_[(*proven)->checksum]) << when << ": " << (*proven)->to_text();
  }
  void recover(const Cut& image) {
    ASSERT_NO_FATAL_FAILURE(check_with_stock(image));
    ASSERT_NO_FATAL_FAILURE(power_up(image));
    if (random_() % 2 == 0) {
      ASSERT_NO_FATAL_FAILURE(check_proof(image.when));
    }
    auto replica = Replica::open(options_for(crashed_));
    ASSERT_TRUE(replica) << replica.error().message;
    const auto synced = (*replica)->sync_once();
    ASSERT_TRUE(synced) << image.when << ": " << synced.error().message;
    reconciles_ += (*replica)->status().reconciles;
    EXPECT_EQ((*replica)->status().snapshot_bytes_received, 0u);
    replica->reset();
    EXPECT_EQ(*synced, primary_.publication->log().tail().position) << image.when;
    StockDatabase crashed(crashed_);
    ASSERT_EQ(crashed.query("PRAGMA integrity_check"), "ok") << image.when;
    ASSERT_TRUE(as_primary_has_it(crashed.image()) == as_primary_has_it(writer_.image()))
        << image.when;
  }
  /// But for the guard, and the schema cookie, which may have to differ.
  static Image as_primary_has_it(Image image) {
    std::fill_n(image.begin() + wal::kWriteVersionOffset, 2, std::byte{2});
    std::fill_n(image.begin() + wal::kSchemaCookieOffset, 4, std::byte{0});
    return image;
  }

  const FaultVfsByDefault every_connection_;
  std::minstd_rand random_{test_seed()};
  TempDirectory directory_;
  std::filesystem::path origin_ = directory_ / "app.db";
  std::filesystem::path path_ = directory_ / "replica.db";
  std::filesystem::path crashed_ = directory_ / "crashed.db";
  StockDatabase writer_{origin_};
  PrimarySetup primary_;
  engine::FerryService service_{[] { return ServerStatus{}; }};
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<Replica> replica_;
  std::map<std::uint64_t, wal::Hash128> roots_;
  std::array<std::vector<std::string>, 3> side_;
  std::vector<Cut> cuts_;
  std::uint64_t reconciles_ = 0;
  int proofs_ = 0;
};

TEST_F(Danger02_PowerCutOfAFollower, OurEngineProvesOrReconcilesAndEndsEqual) {
  auto opened = Replica::open(options_for(path_));
  ASSERT_TRUE(opened) << opened.error().message;
  replica_ = std::move(*opened);
  ASSERT_TRUE(replica_->sync_once());
  CrashDisk disk(read_file(path_), read_file(path_.string() + "-wal"));
  note_side_file();
  arm_faults([&](const FaultCall& call) {
    if (!call.path.starts_with(path_.string()) || !(call.changes_a_file() || call.syncs()))
      return SQLITE_OK;
    note_side_file();
    if (random_() % 6 == 0) cut(disk, "before operation " + std::to_string(call.number));
    disk.apply(call);
    return SQLITE_OK;
  });
  int recovered = 0;
  for (int round = 0; round < 60 && !HasFatalFailure(); ++round) {
    for (std::uint32_t i = 0; i <= random_() % 3; ++i) ASSERT_NO_FATAL_FAILURE(commit());
    const auto synced = replica_->sync_once();
    ASSERT_TRUE(synced) << synced.error().message;
    note_side_file();
    cut(disk, "after round " + std::to_string(round));
    // Some at once, with nothing to catch up with, and some when the primary has gone on.
    std::shuffle(cuts_.begin(), cuts_.end(), random_);
    const std::size_t left = round % 5 == 4 ? 0 : cuts_.size() / 2;
    for (; cuts_.size() > left; cuts_.pop_back(), ++recovered)
      ASSERT_NO_FATAL_FAILURE(recover(cuts_.back()));
  }
  disarm_faults();
  std::cout << recovered << " images, " << proofs_ << " positions proven, " << reconciles_
            << " reconciled\n";
  EXPECT_GT(recovered, 200);
  EXPECT_GT(proofs_, 50);
}

// ---- 4: killed at every step (the replica's half; the primary's is in danger_primary_test) ----

/// A child that injects, backfills, restarts and injects again, to be killed somewhere.
int replica_life(const std::filesystem::path& path, const std::vector<Image>& versions) {
  wal::InjectorOptions options;
  options.test_vfs = fault_vfs();
  auto injector = wal::Injector::attach(path, options);
  if (!injector) return 3;
  adopt(**injector, versions[0]);
  for (std::size_t i = 1; i < versions.size(); ++i) {
    if (!inject(**injector, versions[i - 1], versions[i])) return 4;
    if (i == 1 && !(*injector)->maintain(forced_maintenance())) return 5;
  }
  return 0;
}

/// After the kill: some version stands whole, the next engine goes on from it, and what it
/// publishes survives a foreign checkpoint.
void check_survivor(const std::filesystem::path& path, const std::vector<Image>& versions,
                    const Image& next, const std::string& next_text, const std::string& when) {
  const std::string state = ask(path, VersionedSource::kState);
  int found = -1;
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (state == VersionedSource::state_text(static_cast<int>(i))) found = static_cast<int>(i);
  }
  ASSERT_GE(found, 0) << when << ": " << state;
  {
    auto injector = attach_injector(path, versions[static_cast<std::size_t>(found)]);
    ASSERT_TRUE(injector) << when;
    const Status done = inject(*injector, versions[static_cast<std::size_t>(found)], next);
    ASSERT_TRUE(done) << when << ": " << done.error().message;
    ASSERT_EQ(ask(path, VersionedSource::kState), next_text) << when;
  }
  ASSERT_EQ(ask(path, "PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0") << when;
  ASSERT_EQ(ask(path, VersionedSource::kState), next_text) << when;
}

/// Header copies, nBackfill, marks, nBackfillAttempted: all that must change in the right order.
constexpr std::size_t kIndexHeaderBytes = 136;

std::vector<Image> make_versions(VersionedSource& source, int count) {
  std::vector<Image> versions{source.image()};
  for (int i = 0; i < count; ++i) versions.push_back(source.advance());
  return versions;
}

TEST(Danger04_KilledAnywhere, ReplicaKilledAtEveryOperationGoesOn) {
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source(25);
  const std::vector<Image> versions = make_versions(source, 2);
  const Image next = source.advance();
  bool finished = false;
  int kills = 0;
  for (std::uint64_t at = 0; !finished; ++at) {
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path.string() + suffix);
    create_replica(path, versions[0]);
    const auto pin = hold_open(path);
    const int code = run_in_child([&] {
      arm_faults([at](const FaultCall& call) {
        if (call.number == at) ::_exit(kKilledByTrap);
        return SQLITE_OK;
      });
      return replica_life(path, versions);
    });
    ASSERT_TRUE(code == 0 || code == kKilledByTrap) << "operation " << at << ": exit " << code;
    finished = code == 0;
    kills += finished ? 0 : 1;
    check_survivor(path, versions, next, VersionedSource::state_text(3),
                   "killed at operation " + std::to_string(at));
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(kills, 50);
}

TEST(Danger04_KilledAnywhere, ReplicaKilledWhileThePageSizeChangesGoesOn) {
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source(25);
  const std::vector<Image> versions = make_versions(source, 1);
  VersionedSource other(40, 1024);
  while (other.version() < 7) other.advance();
  const auto replace = [&](wal::Injector& injector) -> Status {
    if (auto moved = injector.maintain(forced_maintenance()); !moved) return fail(moved.error());
    if (Status changed = injector.change_page_size(1024); !changed) return changed;
    return inject(injector, {}, other.image(), true);
  };
  const std::string replaced = VersionedSource::state_text(7);
  bool finished = false;
  int kills = 0;
  std::set<std::string> seen;
  for (std::uint64_t at = 0; !finished; ++at) {
    const std::string when = "killed at operation " + std::to_string(at);
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path.string() + suffix);
    create_replica(path, versions[0]);
    const auto pin = hold_open(path);
    const int code = run_in_child([&] {
      arm_faults([at](const FaultCall& call) {
        if (call.number == at) ::_exit(kKilledByTrap);
        return SQLITE_OK;
      });
      wal::InjectorOptions options;
      options.test_vfs = fault_vfs();
      options.memory_budget = 4 * kPage;
      auto injector = wal::Injector::attach(path, options);
      if (!injector) return 3;
      adopt(**injector, versions[0]);
      if (!inject(**injector, versions[0], versions[1])) return 4;
      if (!replace(**injector)) return 5;
      return (*injector)->maintain(forced_maintenance()) ? 0 : 6;
    });
    ASSERT_TRUE(code == 0 || code == kKilledByTrap) << when << ": exit " << code;
    finished = code == 0;
    kills += finished ? 0 : 1;
    const std::string state = ask(path, VersionedSource::kState);
    ASSERT_TRUE(state == replaced || state == VersionedSource::state_text(0) ||
                state == VersionedSource::state_text(1))
        << when << ": " << state;
    seen.insert(state);
    {
      auto injector = wal::Injector::attach(path, {});
      ASSERT_TRUE(injector) << when << ": " << injector.error().message;
      const bool old_size = state != replaced;
      ASSERT_EQ((*injector)->page_size(), old_size ? kPage : 1024u) << when;
      if (old_size) {
        adopt(**injector, versions[state == VersionedSource::state_text(1) ? 1 : 0]);
        const Status done = replace(**injector);
        ASSERT_TRUE(done) << when << ": " << done.error().message;
      }
      ASSERT_EQ(ask(path, VersionedSource::kState), replaced) << when;
    }
    ASSERT_EQ(ask(path, "PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0") << when;
    ASSERT_EQ(ask(path, VersionedSource::kState), replaced) << when;
  }
  EXPECT_GT(kills, 60);
  EXPECT_EQ(seen.size(), 3u);
}

TEST(Danger04_KilledAnywhere, ReplicaKilledBetweenAnyTwoStoresToTheWalIndexGoesOn) {
  if (!kStoreTrapWorks) GTEST_SKIP() << "needs x86-64";
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source(8);
  const std::vector<Image> versions = make_versions(source, 2);
  const Image next = source.advance();
  bool finished = false;
  int kills = 0;
  for (int at = 0; !finished; ++at) {
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path.string() + suffix);
    create_replica(path, versions[0]);
    const auto pin = hold_open(path);
    const int code = run_in_child([&] {
      auto injector = wal::Injector::attach(path, {});
      if (!injector) return 3;
      adopt(**injector, versions[0]);
      if (!inject(**injector, versions[0], versions[1])) return 4;
      StockDatabase view(path);
      view.query("SELECT 1 FROM t");
      void volatile* region = nullptr;
      sqlite3_file* file = view.file();
      if (file->pMethods->xShmMap(file, 0, 32768, 0, &region) != SQLITE_OK) return 6;
      trap_stores(const_cast<void*>(region), kIndexHeaderBytes, at);
      if (!(*injector)->maintain(forced_maintenance())) return 5;
      if (!inject(**injector, versions[1], versions[2])) return 4;
      release_stores();
      return 0;
    });
    ASSERT_TRUE(code == 0 || code == kKilledByTrap) << "store " << at << ": exit " << code;
    finished = code == 0;
    kills += finished ? 0 : 1;
    check_survivor(path, versions, next, VersionedSource::state_text(3),
                   "killed before store " + std::to_string(at));
    if (HasFatalFailure()) return;
  }
  EXPECT_GE(kills, 15);
}

// ---- 9: killed between the hash entries and the header ----

TEST(Danger09_StaleHashEntries, AThousandKillsUnderAReaderThatStaysAttached) {
  std::minstd_rand random(test_seed());
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source(60);
  create_replica(path, source.image());
  {
    auto injector = attach_injector(path, source.image());
    const Image before = source.image();
    ASSERT_TRUE(inject(*injector, before, source.advance()));
  }
  ChildProcess reader([&](ChildProcess::Parent& parent) {
    StockDatabase database(path);
    const std::string old_state = VersionedSource::state_text(1);
    const std::string new_state = VersionedSource::state_text(2);
    std::string expected = old_state;
    while (parent.wait()) {
      const std::string state = database.query(VersionedSource::kState);
      if (state == new_state) expected = new_state;
      parent.tell(state == expected ? (expected == old_state ? 'o' : 'n') : 'x');
    }
    return 0;
  });
  for (int kill = 0; kill < 1000; ++kill) {
    const auto seed = static_cast<std::uint32_t>(random());
    const int code = run_in_child([&] {
      wal::InjectorOptions options;
      options.memory_budget = 8 * kPage;
      auto injector = wal::Injector::attach(path, options);
      if (!injector) return 3;
      std::minstd_rand pages(seed);
      const std::vector<std::byte> garbage(kPage, std::byte{0xee});
      const int count = 20 + static_cast<int>(pages() % 100);
      for (int i = 0; i < count; ++i) {
        if (!(*injector)->add_page(static_cast<std::uint32_t>(2 + pages() % 30000), garbage))
          return 4;
      }
      ::_exit(kKilledByTrap);
    });
    ASSERT_EQ(code, kKilledByTrap) << "kill " << kill;
    if (kill % 20 == 0 || kill == 999) {
      reader.go_on();
      ASSERT_EQ(reader.hear(), 'o') << "kill " << kill;
    }
  }
  auto injector = attach_injector(path, source.image());
  ASSERT_TRUE(injector);
  const Image before = source.image();
  ASSERT_TRUE(inject(*injector, before, source.advance()));
  reader.go_on();
  EXPECT_EQ(reader.hear(), 'n');
}

TEST(Danger09_StaleHashEntries, TransactionsGivenUpLeaveNothingBehind) {
  std::minstd_rand random(test_seed());
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source(60);
  create_replica(path, source.image());
  wal::InjectorOptions options;
  options.memory_budget = 8 * kPage;
  auto injector = attach_injector(path, source.image(), options);
  StockDatabase reader(path);
  const std::vector<std::byte> garbage(kPage, std::byte{0xee});
  for (int round = 0; round < 300; ++round) {
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(injector->add_page(2 + static_cast<std::uint32_t>(random() % 30000), garbage));
    }
    injector->rollback();
    ASSERT_EQ(reader.query(VersionedSource::kState), VersionedSource::state_text(source.version()));
    if (round % 30 == 0) {
      const Image before = source.image();
      const Status done = inject(*injector, before, source.advance());
      ASSERT_TRUE(done) << done.error().message;
    }
  }
}

// ---- 11: an older main file under a matching WAL ----

engine::CommittedState state_of(const Image& image, std::uint64_t frame) {
  engine::CommittedState state;
  state.position.log = LogId{{1, 2, 3}};
  state.position.generation = 1;
  state.position.frame = frame;
  state.position.checksum = frame * 7 + 1;
  state.root = root_of(image);
  state.page_count = static_cast<std::uint32_t>(image.size() / kPage);
  return state;
}

Status go_on(engine::LocalReplica& local, const Image& before, const Image& after,
             std::uint64_t frame, bool other_history = false) {
  if (Status added = add_difference(local.injector(), before, after); !added) return added;
  return local.commit(state_of(after, frame), other_history);
}

/// A replica that stands, proven, at frame 0 of its log with the given content.
std::unique_ptr<engine::LocalReplica> new_replica(const std::filesystem::path& path,
                                                  const Image& image) {
  create_replica(path, image);
  ReplicaOptions options;
  options.path = path;
  auto local = engine::LocalReplica::open(options);
  EXPECT_TRUE(local) << local.error().message;
  wal::ReplicaRecord record;
  record.page_size = kPage;
  record.file = wal::identify(path);
  const engine::CommittedState state = state_of(image, 0);
  record.points.push_back({state.position, state.root, state.page_count, {}, {}, true});
  EXPECT_TRUE((*local)->save(record));
  auto proven = (*local)->attach([] { return Status{}; });
  EXPECT_TRUE(proven && *proven);
  return std::move(*local);
}

std::optional<Position> reopen(const std::filesystem::path& path) {
  ReplicaOptions options;
  options.path = path;
  auto local = engine::LocalReplica::open(options);
  EXPECT_TRUE(local) << local.error().message;
  auto proven = (*local)->attach([] { return Status{}; });
  EXPECT_TRUE(proven) << proven.error().message;
  return *proven;
}

/// The file alone, without a log, and a record of an earlier boot.
void boot_again(const std::filesystem::path& path) {
  for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(path.string() + suffix);
  auto side = wal::SlotFile::open(path.string() + "-walferry", wal::kReplicaMagic, false);
  ASSERT_TRUE(side) << side.error().message;
  auto bytes = side->read();
  ASSERT_TRUE(bytes && *bytes);
  auto record = wal::ReplicaRecord::decode(**bytes);
  ASSERT_TRUE(record);
  record->boot[0] ^= 1;
  ASSERT_TRUE(side->write(record->encode()));
}

TEST(Danger02_PowerCut, AFileAloneIsProvenAfterABootOnlyIfItWasClosed) {
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source(400);
  const std::vector<Image> versions = make_versions(source, 1);
  ReplicaOptions options;
  options.path = path;
  int looks = 0;
  const auto reopened = [&] {
    looks = 0;
    auto local = engine::LocalReplica::open(options);
    EXPECT_TRUE(local) << local.error().message;
    auto proven = (*local)->attach([&] { return ++looks, Status{}; });
    EXPECT_TRUE(proven) << proven.error().message;
    EXPECT_EQ(**proven, state_of(versions[1], 10).position);
    return std::move(*local);
  };
  {
    auto local = new_replica(path, versions[0]);
    ASSERT_TRUE(go_on(*local, versions[0], versions[1], 10));
    auto done = local->maintain(true);
    ASSERT_TRUE(done && done->restarted);
  }
  for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(path.string() + suffix);
  reopened();
  EXPECT_EQ(looks, 0) << "the same boot: no page was read";
  ASSERT_NO_FATAL_FAILURE(boot_again(path));
  ASSERT_TRUE(reopened()->close_record());
  EXPECT_GT(looks, 0) << "another boot: all pages were hashed";
  for (int i = 0; i < 2; ++i) {
    ASSERT_NO_FATAL_FAILURE(boot_again(path));
    reopened();
    // It counts once: the next boot may come while more is written.
    EXPECT_EQ(looks > 0, i > 0);
  }
}

class Danger11_OldFileSameWal : public testing::Test {
 protected:
  /// Version 1 is in the file, version 2 in the WAL; `old_file_` has version 0.
  void SetUp() override {
    auto local = new_replica(path_, versions_[0]);
    shell("cp " + path_.string() + " " + old_file_.string());
    ASSERT_TRUE(go_on(*local, versions_[0], versions_[1], 10));
    auto done = local->maintain(true);
    ASSERT_TRUE(done && done->restarted);
    // Only some pages, so that the file below still counts.
    StockDatabase& database = source_.database();
    database.run("UPDATE t SET b = 'few' WHERE a < 3");
    last_ = database.image();
    ASSERT_TRUE(go_on(*local, versions_[1], last_, 20));
  }
  TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "replica.db";
  std::filesystem::path old_file_ = directory_ / "old.db";
  VersionedSource source_{60};
  std::vector<Image> versions_ = make_versions(source_, 1);
  Image last_;
};

TEST_F(Danger11_OldFileSameWal, UntouchedFilesAreProven) {
  const auto position = reopen(path_);
  ASSERT_TRUE(position);
  EXPECT_EQ(*position, state_of(last_, 20).position);
}

TEST_F(Danger11_OldFileSameWal, AnOlderFileInItsPlaceIsNotProven) {
  shell("cp -p " + old_file_.string() + " " + directory_.path().string() + "/swap && mv " +
        directory_.path().string() + "/swap " + path_.string());
  EXPECT_FALSE(reopen(path_));
}

TEST_F(Danger11_OldFileSameWal, OlderContentWithTheTimesOfTheNewIsNotProven) {
  shell("touch -r " + path_.string() + " " + directory_.path().string() + "/stamp; cat " +
        old_file_.string() + " 1<> " + path_.string() + "; touch -r " + directory_.path().string() +
        "/stamp " + path_.string());
  EXPECT_FALSE(reopen(path_));
}

TEST_F(Danger11_OldFileSameWal, TheSameContentCopiedIsProvenByItsHashes) {
  shell("cp " + path_.string() + " " + directory_.path().string() + "/swap && mv " +
        directory_.path().string() + "/swap " + path_.string());
  const auto position = reopen(path_);
  ASSERT_TRUE(position);
  EXPECT_EQ(*position, state_of(last_, 20).position);
}

// ---- 12: another history with an equal schema cookie ----

Image two_tables(const char* first, const char* second, const std::string& tag) {
  StockDatabase database(":memory:");
  database.run(std::string("CREATE TABLE ") + first + "(x); CREATE TABLE " + second + "(x);");
  database.run("INSERT INTO t VALUES('t" + tag + "'); INSERT INTO u VALUES('u" + tag + "')");
  return database.image();
}

TEST(Danger12_EqualSchemaCookie, AnOpenReaderNeverSeesRowsOfTheWrongTable) {
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  const Image a = two_tables("t", "u", "A");
  const Image b = two_tables("u", "t", "B");
  ASSERT_TRUE(std::equal(a.begin() + 40, a.begin() + 44, b.begin() + 40));
  create_replica(path, a);
  auto injector = attach_injector(path, a);
  StockDatabase reader(path);
  EXPECT_EQ(reader.query("SELECT x FROM t"), "tA");
  ASSERT_TRUE(inject(*injector, a, b, true));
  EXPECT_EQ(reader.query("SELECT x FROM t"), "tB");
  EXPECT_EQ(reader.query("SELECT x FROM u"), "uB");
  EXPECT_EQ(ask(path, "SELECT x FROM t"), "tB");
}

TEST(Danger12_EqualSchemaCookie, AReaderThatSleptThroughTwoHistoriesSeesTheThird) {
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  const Image a = two_tables("t", "u", "A");
  const Image b = two_tables("t", "u", "B");
  const Image c = two_tables("u", "t", "C");
  create_replica(path, a);
  auto injector = attach_injector(path, a);
  StockDatabase sleeper(path);
  EXPECT_EQ(sleeper.query("SELECT x FROM t"), "tA");
  ASSERT_TRUE(inject(*injector, a, b, true));
  ASSERT_TRUE(inject(*injector, b, c, true));
  EXPECT_EQ(sleeper.query("SELECT x FROM t"), "tC");
  EXPECT_EQ(sleeper.query("SELECT x FROM u"), "uC");
}

TEST(Danger12_EqualSchemaCookie, ALaterSchemaChangeDoesNotBringAKnownCookieBack) {
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  StockDatabase one(":memory:");
  one.run(
      "CREATE TABLE t(x); CREATE TABLE u(x); CREATE TABLE w(x);"
      "INSERT INTO t VALUES('tA'); INSERT INTO u VALUES('uA')");
  const Image a = one.image();
  StockDatabase other(":memory:");
  other.run(
      "CREATE TABLE u(x); CREATE TABLE t(x);"
      "INSERT INTO t VALUES('tB'); INSERT INTO u VALUES('uB')");
  const Image b = other.image();
  other.run("CREATE TABLE w(x)");  // the cookie of `a` again, within the other history
  const Image c = other.image();
  ASSERT_TRUE(std::equal(a.begin() + 40, a.begin() + 44, c.begin() + 40));
  create_replica(path, a);
  auto injector = attach_injector(path, a);
  StockDatabase sleeper(path);
  EXPECT_EQ(sleeper.query("SELECT x FROM t"), "tA");
  ASSERT_TRUE(inject(*injector, a, b, true));
  ASSERT_TRUE(inject(*injector, b, c));
  EXPECT_EQ(sleeper.query("SELECT x FROM t"), "tB");
  EXPECT_EQ(sleeper.query("SELECT x FROM u"), "uB");
}

// ---- 13, 14: the host's own connections ----

TEST(Danger13_SharedCache, AHostWithSharedCacheCannotWriteThroughTheLock) {
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source;
  write_file(path, source.image());  // without the guard, which would refuse the write anyway
  const int before = sqlite3_enable_shared_cache(1);
  {
    StockDatabase host(path);
    host.query("SELECT count(*) FROM t");
    sqlite3_busy_timeout(host.raw(), 0);
    auto injector = attach_injector(path, source.image());
    EXPECT_EQ(host.run("INSERT INTO t(v) VALUES(1)"), SQLITE_BUSY);
    EXPECT_NE(
        sqlite_program(path, "PRAGMA busy_timeout=0; INSERT INTO t(v) VALUES(2)").find("locked"),
        std::string::npos);
    EXPECT_EQ(ask(path, "SELECT count(*) FROM t WHERE a > 60"), "0");
  }
  (void)before;
  sqlite3_enable_shared_cache(0);
}

TEST(Danger14_LeakedLocks, ClosingReleasesEveryLockWithASiblingOpen) {
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source;
  write_file(path, source.image());
  StockDatabase sibling(path);
  sibling.query("SELECT count(*) FROM t");
  for (int i = 0; i < 3; ++i) {
    {
      auto injector = attach_injector(path, source.image());
      ASSERT_TRUE(injector);
      ASSERT_EQ(sqlite_program(path, "PRAGMA wal_checkpoint"), "1|-1|-1");
    }
    EXPECT_EQ(sqlite_program(path, "PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0");
    EXPECT_EQ(sqlite_program(path, "UPDATE t SET v = v WHERE a = 1"), "");
    source.refresh();
  }
}

// ---- 22: a server that means harm ----

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Answers as a primary whose database stands at the start of generation 3, until told otherwise.
/// All it sends is well-formed: hashes, checksum chains and roots are right.
class HostileServer {
 public:
  explicit HostileServer(const Image& image) : image_(image) {
    info.position = info.generation_start = {LogId{{7, 7}}, 3, 0, 0x1234};
    info.page_size = kPage;
    info.page_count = info.snapshot_page_count = static_cast<std::uint32_t>(image.size() / kPage);
    info.manifest_height = 1;
    info.root = root_of(image).to_text();
    auto server = net::HttpServer::start({}, [this](const net::HttpRequest& request) {
      const std::lock_guard lock(mutex_);
      return answer(request);
    });
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  [[nodiscard]] std::string url() const {
    return "http://127.0.0.1:" + std::to_string(server_->port());
  }

  void begin_delta(std::uint64_t generation = 3) {
    wal::DeltaBegin begin;
    begin.generation = generation;
    begin.page_size = kPage;
    send(wal::MessageType::kDeltaBegin, begin);
  }
  void end_delta(std::uint32_t page_count, const wal::Hash128& root) {
    wal::DeltaEnd end;
    end.generation = 3;
    end.start_checksum = info.position.checksum;
    end.root_low = root.low;
    end.root_high = root.high;
    end.page_size = kPage;
    end.page_count = page_count;
    send(wal::MessageType::kDeltaEnd, end);
  }
  void send_batch(const BuiltBatch& batch) {
    const auto message = batch.message();
    script_.append(reinterpret_cast<const char*>(message->data()), message->size());
  }

  net::Info info;
  std::function<std::string(std::string)> damage_info;

 private:
  template <class Message>
  void send(wal::MessageType type, const Message& message) {
    script_ += encoded(type, message);
  }
  template <class Message>
  static std::string encoded(wal::MessageType type, const Message& message) {
    wal::Bytes payload(Message::kSize);
    message.encode(payload.data());
    return as_text(wal::encode_message(type, payload, wal::Compression::kNever));
  }
  static std::string as_text(const wal::Bytes& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string tail() const {
    wal::Tail tail;
    tail.log = info.position.log.bytes;
    tail.generation = info.position.generation;
    tail.frame = info.position.frame;
    tail.checksum = info.position.checksum;
    tail.page_size = kPage;
    tail.page_count = info.page_count;
    return encoded(wal::MessageType::kTail, tail);
  }
  net::HttpResponse answer(const net::HttpRequest& request) {
    net::HttpResponse response;
    if (request.path == "/ferry/info") {
      response.body = net::to_json(info);
      if (damage_info) response.body = damage_info(response.body);
      return response;
    }
    response.content_type = net::kMessagesType;
    if (request.path.starts_with("/ferry/1/snapshot/") && request.path.ends_with("/0")) {
      const auto pages = static_cast<std::uint32_t>(image_.size() / kPage);
      for (std::uint32_t page = 1; page <= pages; ++page) {
        wal::Bytes payload(wal::PagesHeader::kSize + wal::PagesHeader::numbers_size(1) + kPage);
        wal::PagesHeader{kPage, 1}.encode(payload.data());
        wal::store_le(payload.data() + wal::PagesHeader::kSize, page);
        std::copy_n(image_.begin() + static_cast<std::ptrdiff_t>((page - 1) * kPage), kPage,
                    payload.end() - kPage);
        response.body += as_text(
            wal::encode_message(wal::MessageType::kPages, payload, wal::Compression::kNever));
      }
    } else if (request.path == "/ferry/1/stream") {
      response.body = tail();
      if (request.query_value("image") == "1" && script_.empty()) {
        begin_delta();
        end_delta(info.page_count, root_of(image_));
        response.body += std::exchange(script_, {});
      } else {
        response.body += script_;
      }
    }
    return response;
  }

  const Image& image_;
  std::mutex mutex_;
  std::string script_;
  std::unique_ptr<net::HttpServer> server_;
};

class Danger22_HostileServer : public testing::Test {
 protected:
  Result<Position> sync() {
    ReplicaOptions options;
    options.url = server_.url();
    options.path = path_;
    auto replica = Replica::open(options);
    EXPECT_TRUE(replica) << replica.error().message;
    return (*replica)->sync_once();
  }
  /// What the server sends after the stream's first message is refused, in no time and no memory,
  /// by an error that names URL, place and cause, and the file stays as it is.
  void expect_refused(const std::string& cause) {
    const Image before = std::filesystem::exists(path_) ? read_file(path_) : Image{};
    const std::size_t resident_before = resident_bytes();
    const auto begun = std::chrono::steady_clock::now();
    const auto synced = sync();
    ASSERT_FALSE(synced);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
    EXPECT_LT(resident_bytes(), resident_before + (32u << 20));
    EXPECT_EQ(synced.error().code, ErrorCode::kCorrupt);
    for (const std::string& part :
         {server_.url() + "/ferry/1/stream", std::string(": at byte "), cause})
      EXPECT_NE(synced.error().message.find(part), std::string::npos)
          << part << " in " << synced.error().message;
    if (!before.empty()) {
      EXPECT_TRUE(read_file(path_) == before);
      EXPECT_EQ(ask(path_, VersionedSource::kState), VersionedSource::state_text(0));
    }
    std::uint64_t blocks = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      struct stat info{};
      if (::stat(entry.path().c_str(), &info) == 0)
        blocks += static_cast<std::uint64_t>(info.st_blocks);
    }
    EXPECT_LT(blocks * 512, 8u << 20);
  }
  void copy_first() {
    const auto synced = sync();
    ASSERT_TRUE(synced) << synced.error().message;
    ASSERT_EQ(ask(path_, VersionedSource::kState), VersionedSource::state_text(0));
  }

  TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "replica.db";
  VersionedSource source_;
  HostileServer server_{source_.image()};
  BatchBuilder batches_{kPage, server_.info.position};
};

TEST_F(Danger22_HostileServer, ASizeOfWhichPagesWereNotSent) {
  copy_first();
  server_.send_batch(batches_.commit({5}, wal::kMaxPageCount));
  expect_refused("4294967294 pages at position");
}

TEST_F(Danger22_HostileServer, APageFarBeyondTheEndIsNoSize) {
  copy_first();
  server_.send_batch(batches_.commit({wal::kMaxPageCount}, wal::kMaxPageCount));
  expect_refused("4294967294 pages at position");
}

TEST_F(Danger22_HostileServer, APageNumberThatSqliteDoesNotHave) {
  copy_first();
  server_.send_batch(batches_.commit({UINT32_MAX}, server_.info.page_count));
  expect_refused("has page number 4294967295");
}

TEST_F(Danger22_HostileServer, AGenerationWithinATransaction) {
  copy_first();
  server_.send_batch(batches_.piece({5}));
  batches_.end_generation();
  server_.send_batch(batches_.commit({6}, server_.info.page_count));
  expect_refused("(4, 1) where the next after (3, 1) should be");
}

TEST_F(Danger22_HostileServer, DeltasOutOfPlace) {
  copy_first();
  server_.begin_delta(2);
  expect_refused("a delta from generation 2 on position");
}

TEST_F(Danger22_HostileServer, ADeltaWithinADelta) {
  copy_first();
  server_.begin_delta();
  server_.begin_delta();
  expect_refused("a delta within a delta");
}

TEST_F(Danger22_HostileServer, AFirstCopyOfASizeOfWhichPagesWereNotSent) {
  server_.info.snapshot_page_count = server_.info.page_count = wal::kMaxPageCount;
  server_.begin_delta();
  server_.end_delta(wal::kMaxPageCount, root_of(source_.image()));
  expect_refused("4294967294 pages at position");
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(Danger22_HostileServer, AnImpossibleInfoIsNamedWithItsUrl) {
  for (const auto& [member, number, name] :
       {std::array{"\"page_size\":4096", "\"page_size\":4095", "\"page_size\""},
        std::array{"\"manifest_height\":1", "\"manifest_height\":4000000000",
                   "\"manifest_height\""},
        std::array{"\"root\":", "\"r\":", "\"root\""}, std::array{"}", "", "not a JSON object"}}) {
    server_.damage_info = [&](std::string text) {
      return text.replace(text.rfind(member), std::string(member).size(), number);
    };
    const auto synced = sync();
    ASSERT_FALSE(synced);
    EXPECT_EQ(synced.error().code, ErrorCode::kProtocol);
    for (const std::string& part : {server_.url() + "/ferry/info: ", std::string(name)})
      EXPECT_NE(synced.error().message.find(part), std::string::npos) << synced.error().message;
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

// ---- 24: a full disk ----

TEST(Danger24_FullDisk, EveryWriteMayFailAndReadersAreServedOn) {
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source(40);
  create_replica(path, source.image());
  wal::InjectorOptions options;
  options.test_vfs = fault_vfs();
  options.memory_budget = 8 * kPage;
  auto injector = attach_injector(path, source.image(), options);
  StockDatabase reader(path);
  for (const int code : {SQLITE_FULL, SQLITE_IOERR_FSYNC}) {
    bool succeeded = false;
    for (std::uint64_t failing = 0; !succeeded; ++failing) {
      const Image before = source.image();
      const std::string old_state = VersionedSource::state_text(source.version());
      source.advance();
      std::uint64_t seen = 0;
      arm_faults([&](const FaultCall& call) -> int {
        const bool counts = code == SQLITE_FULL ? call.changes_a_file() : call.syncs();
        return counts && seen++ >= failing ? code : SQLITE_OK;  // and it stays full
      });
      Status done = inject(*injector, before, source.image());
      const bool published = done.has_value();
      auto maintained = injector->maintain(forced_maintenance());
      disarm_faults();
      succeeded = published && maintained.has_value();
      const std::string now = reader.query(VersionedSource::kState);
      ASSERT_EQ(now, published ? VersionedSource::state_text(source.version()) : old_state)
          << "failing from write " << failing << " on";
      if (!published) {
        EXPECT_EQ(done.error().code, code == SQLITE_FULL ? ErrorCode::kNoSpace : ErrorCode::kIo)
            << done.error().message;
        EXPECT_FALSE(done.error().message.empty());
        done = inject(*injector, before, source.image());
        ASSERT_TRUE(done) << done.error().message;
      }
      ASSERT_EQ(reader.query(VersionedSource::kState),
                VersionedSource::state_text(source.version()));
      auto again = injector->maintain(forced_maintenance());
      ASSERT_TRUE(again) << again.error().message;
    }
  }
  EXPECT_EQ(sqlite_program(path, VersionedSource::kState),
            VersionedSource::state_text(source.version()));
}

TEST(Danger24_FullDisk, ARealFileSystemWithoutRoom) {
  const TempDirectory directory;
  VersionedSource source(100);
  std::vector<Image> versions = make_versions(source, 120);
  const int code = run_in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0) return 42;
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 42;
    if (::mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=2m") != 0) return 42;
    const auto path = directory / "replica.db";
    write_file(directory / "somebody-elses", Image(300'000));
    auto local = new_replica(path, versions[0]);
    StockDatabase reader(path);
    std::size_t i = 1;
    Status done;
    for (; i < versions.size(); ++i) {
      done = go_on(*local, versions[i - 1], versions[i], i);
      if (!done) break;
    }
    if (done || done.error().code != ErrorCode::kNoSpace) return 1;
    const int last = static_cast<int>(i) - 1;
    if (reader.query(VersionedSource::kState) != VersionedSource::state_text(last)) return 2;
    if (go_on(*local, versions[i - 1], versions[i], i)) return 7;
    if (reader.query(VersionedSource::kState) != VersionedSource::state_text(last)) return 8;
    std::filesystem::remove(directory / "somebody-elses");
    auto maintained = local->maintain(true);
    if (!maintained || !maintained->restarted) return 3;
    done = go_on(*local, versions[i - 1], versions[i], i);
    if (!done) return 4;
    if (reader.query(VersionedSource::kState) != VersionedSource::state_text(last + 1)) return 5;
    local.reset();
    return reopen(path) == state_of(versions[i], i).position ? 0 : 6;
  });
  if (code == 42) GTEST_SKIP() << "needs the right to mount";
  EXPECT_EQ(code, 0);
}

TEST(Danger24_FullDisk, ALimitOfFileSizesIsNotAFullDisk) {
  const TempDirectory directory;
  VersionedSource source(100);
  const std::vector<Image> versions = make_versions(source, 30);
  const int code = run_in_child([&] {
    const auto path = directory / "replica.db";
    auto local = new_replica(path, versions[0]);
    StockDatabase reader(path);
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{200'000, RLIM_INFINITY};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    std::size_t i = 1;
    Status done;
    for (; i < versions.size(); ++i) {
      done = go_on(*local, versions[i - 1], versions[i], i);
      if (!done) break;
    }
    if (done) return 2;
    std::cout << done.error().message << "\n";
    if (done.error().code != ErrorCode::kIo) return 3;
    if (done.error().message.find("-wal") == std::string::npos) return 4;
    if (done.error().message.find("ulimit -f") == std::string::npos) return 5;
    const int last = static_cast<int>(i) - 1;
    if (reader.query(VersionedSource::kState) != VersionedSource::state_text(last)) return 6;
    auto image = wal::ImageFile::open(directory / "image", kPage, 0);
    if (!image) return 7;
    const Status put = image->put(wal::kMaxPageCount, std::span(versions[0]).first(kPage));
    if (put || put.error().code != ErrorCode::kIo) return 8;
    return put.error().message.find("ulimit -f") == std::string::npos ? 9 : 0;
  });
  EXPECT_EQ(code, 0);
}

// ---- 28: one transaction far larger than the memory for it ----

TEST(Danger28_HugeTransaction, ReadersSeeAllOrNothingAndMemoryStaysBounded) {
  const TempDirectory directory;
  const auto path = directory / "replica.db";
  VersionedSource source(10);
  const Image before = source.image();
  create_replica(path, before);
  source.database().run(
      "WITH RECURSIVE s(n) AS (SELECT 11 UNION ALL SELECT n + 1 FROM s WHERE n < 16010)"
      "INSERT INTO t SELECT n, 0, hex(randomblob(1950)) FROM s");
  const Image& after = source.advance();
  source.database().run("DROP INDEX i");
  ASSERT_GT(after.size(), 16u << 20);
  const wal::Hash128 root = root_of(after);
  wal::InjectorOptions options;
  options.memory_budget = 1u << 20;
  auto injector = attach_injector(path, before, options);
  StockDatabase reader(path);
  const std::size_t resident_before = resident_bytes();
  std::size_t most = 0;
  for (std::size_t at = 0, i = 0; at < after.size(); at += kPage, ++i) {
    ASSERT_TRUE(
        injector->add_page(static_cast<std::uint32_t>(i + 1), std::span(after).subspan(at, kPage)));
    ASSERT_LE(injector->held_bytes(), options.memory_budget + 2 * kPage);
    if (i % 512 == 0) {
      most = std::max(most, resident_bytes());
      ASSERT_EQ(reader.query("SELECT min(v), max(v), count(*) FROM t"), "0|0|10");
    }
  }
  wal::Injector::CommitRequest request;
  request.page_count = static_cast<std::uint32_t>(after.size() / kPage);
  request.expected_root = root;
  ASSERT_EQ(reader.query("SELECT min(v), max(v), count(*) FROM t"), "0|0|10");
  ASSERT_TRUE(injector->commit(request));
  most = std::max(most, resident_bytes());
  EXPECT_EQ(reader.query("SELECT min(v), max(v), count(*) FROM t"), "1|1|16010");
  EXPECT_LT(most - resident_before, 24u << 20);
  auto done = injector->maintain(forced_maintenance());
  ASSERT_TRUE(done && done->restarted);
  EXPECT_EQ(reader.query("SELECT min(v), max(v), count(*) FROM t"), "1|1|16010");
}

}  // namespace
}  // namespace walferry::test
