// What stock SQLite sees of a file that an injector writes into.
#include "wal/injector.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "tests/fault/engine_harness.h"

namespace walferry::wal {
namespace {

using test::Image;
using test::kPage;
using test::StockDatabase;
using test::VersionedSource;

constexpr const char* kState = VersionedSource::kState;

class InjectorTest : public testing::Test {
 protected:
  void attach(const InjectorOptions& options = {}) {
    test::create_replica(path_, source_.image());
    shown_ = source_.image();
    injector_ = test::attach_injector(path_, shown_, options);
    ASSERT_TRUE(injector_);
  }
  /// Publishes the state that the source has now.
  void publish() {
    const Status done = test::inject(*injector_, shown_, source_.image());
    ASSERT_TRUE(done) << done.error().message;
    shown_ = source_.image();
  }
  static Injector::CommitRequest request_of(const Image& image) {
    Injector::CommitRequest request;
    request.page_count = static_cast<std::uint32_t>(image.size() / kPage);
    request.expected_root = test::root_of(image);
    return request;
  }
  Status add(std::uint32_t page, const Image& image) {
    return injector_->add_page(page,
                               std::span(image).subspan(std::size_t{page - 1} * kPage, kPage));
  }
  /// Stock SQLite sees exactly the image, but for what differs on a replica's page 1 on purpose.
  void expect_shown(const Image& image) {
    StockDatabase reader(path_, SQLITE_OPEN_READONLY);
    EXPECT_EQ(reader.query("PRAGMA integrity_check"), "ok");
    Image seen = reader.image();
    ASSERT_EQ(seen.size(), image.size());
    std::copy_n(image.begin() + kSchemaCookieOffset, 4, seen.begin() + kSchemaCookieOffset);
    EXPECT_TRUE(seen == image);
    EXPECT_EQ(injector_->root(), test::root_of(image));
    EXPECT_EQ(injector_->page_count(), image.size() / kPage);
  }
  void grow(int rows) {
    source_.database().run(
        "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < " +
        std::to_string(rows) + ") INSERT INTO t SELECT NULL, " + std::to_string(source_.version()) +
        ", hex(randomblob(200)) FROM s");
    source_.refresh();
  }
  void shrink() {
    source_.database().run("DELETE FROM t WHERE a > 10; VACUUM");
    source_.refresh();
  }

  test::TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "copy.db";
  VersionedSource source_;
  Image shown_;
  std::unique_ptr<Injector> injector_;
};

TEST_F(InjectorTest, ACommitIsSeenAtOnceAndWhole) {
  attach();
  StockDatabase reader(path_, SQLITE_OPEN_READONLY);
  for (int i = 1; i <= 20; ++i) {
    ASSERT_TRUE(test::add_difference(*injector_, shown_, source_.advance()));
    EXPECT_EQ(reader.query(kState), VersionedSource::state_text(i - 1));
    Injector::CommitRequest request = request_of(source_.image());
    bool asked = false;
    request.before_publish = [&](const WalPoint& after, const PageOneDisguise&) -> Status {
      asked = true;
      EXPECT_GT(after.max_frame, injector_->wal_point().max_frame);
      EXPECT_EQ(reader.query(kState), VersionedSource::state_text(i - 1));
      return {};
    };
    ASSERT_TRUE(injector_->commit(request));
    EXPECT_TRUE(asked);
    EXPECT_EQ(reader.query(kState), VersionedSource::state_text(i));
    shown_ = source_.image();
  }
  expect_shown(shown_);
}

TEST_F(InjectorTest, AReaderKeepsTheStateThatItBeganWith) {
  attach();
  StockDatabase reader(path_, SQLITE_OPEN_READONLY);
  ASSERT_EQ(reader.run("BEGIN"), SQLITE_OK);
  ASSERT_EQ(reader.query(kState), VersionedSource::state_text(0));
  for (int i = 0; i < 5; ++i) {
    source_.advance();
    publish();
    EXPECT_EQ(reader.query(kState), VersionedSource::state_text(0));
  }
  ASSERT_EQ(reader.run("COMMIT"), SQLITE_OK);
  EXPECT_EQ(reader.query(kState), VersionedSource::state_text(5));
}

TEST_F(InjectorTest, Danger22_AWrongRootShowsNothing) {
  for (const std::size_t budget : {std::size_t{8} << 20, std::size_t{3} * kPage}) {
    injector_.reset();
    InjectorOptions options;
    options.memory_budget = budget;
    attach(options);
    const Image before = shown_;
    const Hash128 root = injector_->root();
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(test::add_difference(*injector_, shown_, source_.advance()));
      Injector::CommitRequest request = request_of(source_.image());
      ++request.expected_root.low;
      request.before_publish = [](const WalPoint&, const PageOneDisguise&) -> Status {
        ADD_FAILURE() << "before the root was proven";
        return {};
      };
      const Status done = injector_->commit(request);
      ASSERT_FALSE(done);
      EXPECT_EQ(done.error().code, ErrorCode::kCorrupt);
      EXPECT_FALSE(injector_->has_pages());
      EXPECT_EQ(injector_->root(), root);
      expect_shown(before);
    }
    publish();  // and the right one is taken after all
    expect_shown(source_.image());
  }
}

TEST_F(InjectorTest, APageThatIsMissingIsNoticed) {
  attach();
  const Image before = shown_;
  const Image& after = source_.advance();
  for (std::uint32_t left_out = 2; left_out <= after.size() / kPage; left_out += 3) {
    for (std::uint32_t page = 1; page <= after.size() / kPage; ++page) {
      if (page == left_out) continue;
      ASSERT_TRUE(add(page, after));
    }
    const bool changed =
        !std::equal(after.begin() + (left_out - 1) * kPage, after.begin() + left_out * kPage,
                    before.begin() + (left_out - 1) * kPage);
    if (!changed) {
      injector_->rollback();
      continue;
    }
    EXPECT_EQ(injector_->commit(request_of(after)).error().code, ErrorCode::kCorrupt) << left_out;
  }
  expect_shown(before);
}

TEST_F(InjectorTest, AnIntentThatCannotBeWrittenStopsTheCommit) {
  attach();
  const Image before = shown_;
  ASSERT_TRUE(test::add_difference(*injector_, shown_, source_.advance()));
  Injector::CommitRequest request = request_of(source_.image());
  request.before_publish = [](const WalPoint&, const PageOneDisguise&) -> Status {
    return fail(ErrorCode::kNoSpace, "full");
  };
  EXPECT_EQ(injector_->commit(request).error().code, ErrorCode::kNoSpace);
  expect_shown(before);
  publish();
  expect_shown(source_.image());
}

// Pages come more than once and in any order, and far more of them than are held in memory.
TEST_F(InjectorTest, ATransactionMayBeLargerThanTheMemoryBudget) {
  std::minstd_rand random(test::test_seed());
  InjectorOptions options;
  options.memory_budget = 5 * kPage;
  attach(options);
  for (int round = 0; round < 6; ++round) {
    const Image older = source_.advance();
    if (round % 2 == 0) grow(900);
    if (round % 2 == 1) shrink();
    const Image& newest = source_.advance();
    std::vector<std::pair<std::uint32_t, const Image*>> pages;
    for (std::uint32_t page = 1; page <= newest.size() / kPage; ++page)
      pages.emplace_back(page, &newest);
    std::ranges::shuffle(pages, random);
    for (std::uint32_t page = 1; page <= older.size() / kPage; page += 2) {
      ASSERT_TRUE(add(page, older));
      EXPECT_LE(injector_->held_bytes(), options.memory_budget + kPage);
    }
    for (const auto& [page, image] : pages) {
      ASSERT_TRUE(add(page, *image));
      EXPECT_LE(injector_->held_bytes(), options.memory_budget + kPage);
    }
    std::vector<std::byte> read(kPage);
    ASSERT_TRUE(injector_->read_page(3, read));  // its newest version, wherever it is held
    EXPECT_TRUE(std::equal(read.begin(), read.end(), newest.begin() + 2 * kPage));
    const Status done = injector_->commit(request_of(newest));
    ASSERT_TRUE(done) << done.error().message;
    shown_ = newest;
    expect_shown(shown_);
  }
}

TEST_F(InjectorTest, ARollbackOfWhatWasSpilledLeavesNothing) {
  InjectorOptions options;
  options.memory_budget = 2 * kPage;
  attach(options);
  const Image before = shown_;
  grow(500);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(test::add_difference(*injector_, before, source_.advance()));
    EXPECT_TRUE(injector_->has_pages());
    injector_->rollback();
    EXPECT_FALSE(injector_->has_pages());
    expect_shown(before);
  }
  publish();
  expect_shown(source_.image());
}

TEST_F(InjectorTest, Danger23_ADatabaseShrinksAndGrowsAgain) {
  for (const std::size_t budget : {std::size_t{8} << 20, std::size_t{2} * kPage}) {
    injector_.reset();
    InjectorOptions options;
    options.memory_budget = budget;
    attach(options);
    for (int round = 0; round < 3; ++round) {
      grow(600);
      publish();
      expect_shown(shown_);
      const std::size_t large = shown_.size();
      shrink();
      publish();
      ASSERT_LT(shown_.size(), large);
      expect_shown(shown_);
      ASSERT_TRUE(injector_->maintain(test::forced_maintenance()));
      expect_shown(shown_);
    }
  }
}

TEST_F(InjectorTest, Danger23_PagesBeyondTheFinalSizeDoNotCount) {
  for (const std::size_t budget : {std::size_t{8} << 20, std::size_t{2} * kPage}) {
    injector_.reset();
    InjectorOptions options;
    options.memory_budget = budget;
    attach(options);
    const auto pages = static_cast<std::uint32_t>(shown_.size() / kPage);
    const Image garbage(kPage, std::byte{0xee});
    for (std::uint32_t i = 1; i <= 10; ++i) ASSERT_TRUE(injector_->add_page(pages + i, garbage));
    publish();  // nothing else
    expect_shown(shown_);
    source_.advance();
    for (std::uint32_t i = 1; i <= 10; ++i)
      ASSERT_TRUE(injector_->add_page(pages + 40 + i, garbage));
    publish();
    expect_shown(shown_);
    grow(2'000);  // over where the garbage was
    publish();
    expect_shown(shown_);
  }
}

TEST_F(InjectorTest, CoversWhatItHasWithoutAGap) {
  for (const std::size_t budget : {std::size_t{8} << 20, std::size_t{2} * kPage}) {
    injector_.reset();
    InjectorOptions options;
    options.memory_budget = budget;
    attach(options);
    const auto pages = static_cast<std::uint32_t>(shown_.size() / kPage);
    const Image garbage(kPage, std::byte{0xee});
    for (int round = 0; round < 2; ++round) {
      EXPECT_TRUE(injector_->covers(pages));
      EXPECT_FALSE(injector_->covers(pages + 1));
      for (const std::uint32_t i : {5u, 2u, 3u, 4u}) {
        ASSERT_TRUE(injector_->add_page(pages + i, garbage));
        EXPECT_FALSE(injector_->covers(pages + i));
      }
      ASSERT_TRUE(injector_->add_page(pages + 1, garbage));
      EXPECT_TRUE(injector_->covers(pages + 5));
      EXPECT_FALSE(injector_->covers(pages + 6));
      injector_->rollback();  // and none of it counts any more
    }
    grow(300);
    publish();
    const auto more = static_cast<std::uint32_t>(shown_.size() / kPage);
    EXPECT_TRUE(injector_->covers(more));
    EXPECT_FALSE(injector_->covers(more + 1));
  }
}

TEST_F(InjectorTest, PagesFarBeyondTheEndCostNothing) {
  InjectorOptions options;
  options.memory_budget = 2 * kPage;
  attach(options);
  const Image garbage(kPage, std::byte{0xee});
  const auto begun = std::chrono::steady_clock::now();
  for (std::uint32_t i = 0; i < 10; ++i)
    ASSERT_TRUE(injector_->add_page(kMaxPageCount - i * 1'000'000, garbage));
  EXPECT_FALSE(injector_->covers(kMaxPageCount));
  publish();  // nothing else
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(1));
  expect_shown(shown_);
}

TEST_F(InjectorTest, Danger23_TheLockBytePageIsLeftOut) {
  attach();
  ASSERT_TRUE(injector_->add_page(lock_byte_page(kPage), Image(kPage, std::byte{1})));
  EXPECT_FALSE(injector_->has_pages());
}

TEST_F(InjectorTest, AChangeOfThePageSizeThatIsGivenUpLeavesNothing) {
  InjectorOptions options;
  options.memory_budget = 2 * kPage;
  attach(options);
  source_.advance();
  publish();
  const Status busy = injector_->change_page_size(512);
  ASSERT_FALSE(busy) << "there are frames of the old size";
  EXPECT_EQ(busy.error().code, ErrorCode::kBusy);
  ASSERT_TRUE(injector_->maintain(test::forced_maintenance()));
  test::VersionedSource other(200, 512);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(injector_->change_page_size(512));
    EXPECT_EQ(injector_->page_size(), 512u);
    EXPECT_FALSE(injector_->covers(1));
    ASSERT_TRUE(test::add_difference(*injector_, {}, other.image()));
    EXPECT_TRUE(injector_->covers(static_cast<std::uint32_t>(other.image().size() / 512)));
    EXPECT_EQ(test::ask(path_, test::VersionedSource::kState),
              test::VersionedSource::state_text(source_.version()));
    if (i == 0) {
      injector_->rollback();
    } else {
      Injector::CommitRequest request;  // of another root
      request.page_count = 1;
      request.other_history = true;
      EXPECT_EQ(injector_->commit(request).error().code, ErrorCode::kCorrupt);
    }
    EXPECT_EQ(injector_->page_size(), kPage);
    expect_shown(shown_);
    source_.advance();
    publish();
    expect_shown(shown_);
    ASSERT_TRUE(injector_->maintain(test::forced_maintenance()));
    expect_shown(shown_);
  }
}

TEST_F(InjectorTest, TheGuardRefusesEveryStockWrite) {
  attach();
  source_.advance();
  publish();
  StockDatabase stock(path_);
  for (const char* sql : {"INSERT INTO t VALUES(NULL, 1, 'x')", "CREATE TABLE u(a)",
                          "PRAGMA user_version=7", "VACUUM", "DROP TABLE t"}) {
    EXPECT_EQ(stock.run(sql), SQLITE_READONLY) << sql;
  }
  injector_.reset();  // the guard needs nobody to hold it
  StockDatabase later(path_);
  EXPECT_EQ(later.run("DELETE FROM t"), SQLITE_READONLY);
  EXPECT_EQ(later.query(kState), VersionedSource::state_text(1));
}

TEST_F(InjectorTest, WithoutTheGuardItIsAnOrdinaryDatabase) {
  attach();
  source_.advance();
  publish();
  const Status removed = injector_->remove_guard();
  ASSERT_TRUE(removed) << removed.error().message;
  injector_.reset();
  StockDatabase stock(path_);
  EXPECT_EQ(stock.query(kState), VersionedSource::state_text(1));
  EXPECT_EQ(stock.query("UPDATE t SET v = 2; CREATE TABLE u(a); PRAGMA integrity_check"), "ok");
  EXPECT_EQ(stock.query("PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0");
  EXPECT_EQ(stock.query(kState), VersionedSource::state_text(2));
}

TEST_F(InjectorTest, MaintainKeepsTheLogShort) {
  InjectorOptions options;
  options.wal_limit_bytes = 40 * frame_size(kPage);
  attach(options);
  int restarts = 0;
  int settled = 0;
  bool writing = false;
  Injector::Maintenance maintenance;
  maintenance.before_file_write = [&]() -> Status {
    EXPECT_FALSE(std::exchange(writing, true));
    return {};
  };
  maintenance.after_file_write = [&](bool all) -> Status {
    EXPECT_TRUE(std::exchange(writing, false));
    settled += all ? 1 : 0;
    return {};
  };
  for (int i = 0; i < 60; ++i) {
    source_.advance();
    publish();
    const bool due = injector_->log_bytes() >= options.wal_limit_bytes;
    const auto result = injector_->maintain(maintenance);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->due, due);
    EXPECT_EQ(result->restarted, due);
    EXPECT_FALSE(result->reader_in_the_way);
    if (result->restarted) {
      ++restarts;
      EXPECT_EQ(injector_->log_bytes(), 0u);
      EXPECT_EQ(injector_->wal_point().max_frame, 0u);
      expect_shown(shown_);
    }
  }
  EXPECT_GT(restarts, 3);
  EXPECT_EQ(settled, restarts);
  expect_shown(shown_);
}

TEST_F(InjectorTest, AWalFarBeyondItsLimitIsCut) {
  InjectorOptions options;
  options.wal_limit_bytes = 10 * frame_size(kPage);
  attach(options);
  grow(1'000);
  publish();
  ASSERT_GT(injector_->wal_bytes(), 2 * options.wal_limit_bytes);
  const auto result = injector_->maintain(test::forced_maintenance());
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->restarted);
  EXPECT_EQ(injector_->wal_bytes(), 0u);
  expect_shown(shown_);
  source_.advance();
  publish();
  expect_shown(shown_);
}

TEST_F(InjectorTest, MaintainLetsAReaderFinish) {
  InjectorOptions options;
  options.wal_limit_bytes = 1;
  attach(options);
  source_.advance();
  publish();
  StockDatabase reader(path_, SQLITE_OPEN_READONLY);
  ASSERT_EQ(reader.run("BEGIN"), SQLITE_OK);
  ASSERT_EQ(reader.query(kState), VersionedSource::state_text(1));
  for (int i = 0; i < 3; ++i) {
    source_.advance();
    publish();
    const auto result = injector_->maintain(test::forced_maintenance());
    ASSERT_TRUE(result);
    EXPECT_TRUE(result->reader_in_the_way);
    EXPECT_FALSE(result->restarted);
    EXPECT_EQ(reader.query(kState), VersionedSource::state_text(1));
    expect_shown(shown_);
  }
  ASSERT_EQ(reader.run("COMMIT"), SQLITE_OK);
  EXPECT_TRUE(injector_->maintain(test::forced_maintenance())->restarted);
  EXPECT_EQ(reader.query(kState), VersionedSource::state_text(4));
  expect_shown(shown_);
}

TEST_F(InjectorTest, NothingIsMovedWhileATransactionIsUnderWay) {
  attach();
  source_.advance();
  publish();
  ASSERT_TRUE(test::add_difference(*injector_, shown_, source_.advance()));
  const auto result = injector_->maintain(test::forced_maintenance());
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->restarted);
  ASSERT_TRUE(injector_->commit(request_of(source_.image())));
  expect_shown(source_.image());
}

TEST_F(InjectorTest, OthersReadThePrimarysPages) {
  attach();
  source_.advance();
  publish();
  ASSERT_TRUE(injector_->maintain(test::forced_maintenance()));
  grow(50);
  publish();
  ASSERT_TRUE(
      test::add_difference(*injector_, shown_, source_.advance()));  // is shown to nobody yet
  std::vector<std::byte> page(kPage);
  for (std::uint32_t number = 1; number <= shown_.size() / kPage; ++number) {
    ASSERT_TRUE(injector_->read_page_for_others(number, page));
    EXPECT_TRUE(std::equal(page.begin(), page.end(), shown_.begin() + (number - 1) * kPage))
        << number;
  }
}

TEST_F(InjectorTest, HashesOfAllPagesAreTheRoot) {
  attach();
  grow(3'000);  // more than 256 pages
  publish();
  source_.advance();
  ASSERT_TRUE(injector_->maintain(test::forced_maintenance()));
  publish();
  std::vector<Hash128> sums;
  std::uint32_t last = 0;
  const auto root = injector_->hash_all(injector_->disguise(), injector_->page_count(), &sums,
                                        [&](std::uint32_t done) -> Status {
                                          EXPECT_GT(done, last);
                                          last = done;
                                          return {};
                                        });
  ASSERT_TRUE(root);
  EXPECT_EQ(*root, test::root_of(shown_));
  EXPECT_EQ(last, injector_->page_count());
  ASSERT_EQ(sums.size(), (injector_->page_count() + 255) / 256);
  ASSERT_GT(sums.size(), 1u);
  Hash128 sum;
  for (const Hash128& some : sums) sum += some;
  EXPECT_EQ(sum, *root);
  EXPECT_EQ(sums[0], test::root_of(Image(shown_.begin(), shown_.begin() + 256 * kPage)));
  const auto stopped = injector_->hash_all(
      {}, injector_->page_count(), nullptr,
      [](std::uint32_t) -> Status { return fail(ErrorCode::kCancelled, "enough"); });
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
}

TEST_F(InjectorTest, IsTheOnlyOne) {
  attach();
  const auto second = Injector::attach(path_, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kBusy);
  injector_.reset();
  EXPECT_TRUE(Injector::attach(path_, {}));
}

TEST_F(InjectorTest, GoesOnWhereItWasAfterALife) {
  attach();
  for (int life = 1; life <= 5; ++life) {
    source_.advance();
    publish();
    const WalPoint point = injector_->wal_point();
    injector_.reset();
    injector_ = test::attach_injector(path_, shown_);
    ASSERT_TRUE(injector_);
    EXPECT_EQ(injector_->wal_point(), point);
    expect_shown(shown_);
  }
}

}  // namespace
}  // namespace walferry::wal
