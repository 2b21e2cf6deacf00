// What a published log makes of the files that it finds: spools cut or damaged anywhere, lists
// that are missing, a state from before.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "tests/fault/engine_harness.h"
#include "tests/wal/batch_builder.h"
#include "wal/published_log.h"

namespace walferry::wal {
namespace {

using test::BatchBuilder;
using test::BuiltBatch;
using test::Image;

constexpr std::uint32_t kPageSize = 512;
const Position kStart{LogId{{7}}, 1, 0, 1234};

class SpoolProof : public testing::Test {
 protected:
  struct Commit {
    Position position;
    Hash128 root;
    std::uint64_t spool_end = 0;
    std::vector<std::uint32_t> pages;
  };

  void open(const PublishedLogOptions& options = {}) {
    log_.reset();
    auto opened = PublishedLog::open(path_, options);
    ASSERT_TRUE(opened) << opened.error().message;
    log_ = std::move(*opened);
  }
  GenerationStart start_here() const {
    GenerationStart start;
    start.log = builder_.position().log;
    start.generation = builder_.position().generation;
    start.frame = builder_.position().frame;
    start.checksum = builder_.position().checksum;
    start.root = builder_.root();
    start.page_size = kPageSize;
    start.page_count = 100;
    return start;
  }
  void begin() {
    open();
    ASSERT_TRUE(log_->begin_log(start_here()));
    commits_.push_back({kStart, builder_.root(), 0, {}});
  }
  void append(const BuiltBatch& batch, Compression compression = Compression::kNever) {
    const auto message = batch.message(compression);
    ASSERT_TRUE(log_->append(message, batch.header, batch.pages));
    written_ += message->size();
    unfinished_.insert(unfinished_.end(), batch.pages.begin(), batch.pages.end());
    if (!batch.header.ends_on_commit()) return;
    commits_.push_back({builder_.position(), builder_.root(), log_->tail().spool_end, unfinished_});
    unfinished_.clear();
  }
  /// The log stands at commit number `i`, and knows all commits up to it and no other.
  void expect_stands_at(std::size_t i) {
    const LogTail tail = log_->tail();
    ASSERT_EQ(tail.position, commits_[i].position);
    ASSERT_EQ(tail.root, commits_[i].root);
    ASSERT_EQ(tail.spool_end, commits_[i].spool_end);
    for (std::size_t j = 0; j < commits_.size(); ++j) {
      const auto located = log_->locate(commits_[j].position);
      ASSERT_EQ(located.has_value(), j <= i) << j;
      const auto root = log_->root_at(commits_[j].position);
      ASSERT_EQ(root.has_value(), j <= i) << j;
      if (!located) continue;
      ASSERT_FALSE(located->needs_delta);
      ASSERT_EQ(located->spool_offset, commits_[j].spool_end);
      ASSERT_EQ(*root, commits_[j].root);
    }
  }
  /// The pages that the current generation changed, as its end would list them.
  void expect_changed_pages(std::size_t up_to) {
    PageSet expected;
    for (std::size_t i = 1; i <= up_to; ++i) {
      for (const std::uint32_t page : commits_[i].pages) expected.add(page);
    }
    GenerationStart next = start_here();
    next.generation = log_->start().generation + 1;
    next.frame = 0;
    next.checksum = log_->tail().position.checksum;
    ASSERT_TRUE(log_->begin_generation(next, {}));
    const auto changes = log_->changes_between(next.generation - 1, next.generation);
    ASSERT_TRUE(changes);
    EXPECT_EQ(changes->pages.count(), expected.count());
    expected.for_each([&](std::uint32_t page) { EXPECT_TRUE(changes->pages.contains(page)); });
  }

  test::TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "log";
  std::filesystem::path spool_ = path_ / "frames-1";
  std::unique_ptr<PublishedLog> log_;
  BatchBuilder builder_{kPageSize, kStart};
  std::vector<Commit> commits_;
  std::vector<std::uint32_t> unfinished_;
  std::uint64_t written_ = 0;
};

/// A little of everything: commits, pieces, raw and compressed messages, an unfinished end.
class WrittenSpool : public SpoolProof {
 protected:
  void SetUp() override {
    begin();
    append_message(builder_.commit({1, 2}));
    append_message(builder_.commit({3}), Compression::kWhenItPays);
    append_message(builder_.piece({4, 5}));
    append_message(builder_.piece({6}), Compression::kWhenItPays);
    append_message(builder_.commit({7}));
    append_message(builder_.commit({1}));
    append_message(builder_.piece({8, 9}));
    if (HasFatalFailure()) return;
    log_.reset();
    whole_ = test::read_file(spool_);
    ASSERT_GT(whole_.size(), commits_.back().spool_end);
  }
  void append_message(const BuiltBatch& batch, Compression compression = Compression::kNever) {
    append(batch, compression);
    ends_.push_back(written_);
  }
  /// Every place around the ends of messages (their envelopes and headers), and some in between.
  [[nodiscard]] std::vector<std::size_t> places() const {
    std::vector<std::size_t> all;
    for (std::size_t at = 0; at < whole_.size(); ++at) {
      const auto next = std::ranges::upper_bound(ends_, at);
      const std::uint64_t begin = next == ends_.begin() ? 0 : *(next - 1);
      if (at < begin + kEnvelopeSize + BatchHeader::kSize || *next - at < 8 || at % 13 == 0) {
        all.push_back(at);
      }
    }
    return all;
  }
  void put_spool(const Image& spool) {
    log_.reset();
    std::filesystem::remove(spool_);  // some file systems write a file out that is overwritten
    test::write_file(spool_, spool);
    open();
  }
  /// How many commits lie whole in the first `size` bytes.
  [[nodiscard]] std::size_t commits_within(std::uint64_t size) const {
    std::size_t n = 0;
    while (n + 1 < commits_.size() && commits_[n + 1].spool_end <= size) ++n;
    return n;
  }

  Image whole_;
  std::vector<std::uint64_t> ends_;  ///< of the messages
};

TEST_F(WrittenSpool, CutAnywhereEndsAtTheLastWholeCommit) {
  for (const std::size_t size : places()) {
    put_spool(Image(whole_.begin(), whole_.begin() + static_cast<std::ptrdiff_t>(size)));
    expect_stands_at(commits_within(size));
    ASSERT_FALSE(HasFatalFailure()) << "cut at byte " << size;
    ASSERT_EQ(std::filesystem::file_size(spool_), log_->tail().spool_end) << size;
  }
}

TEST_F(WrittenSpool, DamagedAnywhereEndsBeforeThatMessage) {
  for (const std::size_t at : places()) {
    Image damaged = whole_;
    damaged[at] ^= std::byte{0x20};
    put_spool(damaged);
    expect_stands_at(commits_within(at));
    ASSERT_FALSE(HasFatalFailure()) << "damaged at byte " << at;
  }
}

TEST_F(WrittenSpool, GoesOnAfterACut) {
  for (std::size_t i = 0; i + 1 < commits_.size(); ++i) {
    put_spool(Image(whole_.begin(),
                    whole_.begin() + static_cast<std::ptrdiff_t>(commits_[i + 1].spool_end - 1)));
    builder_.stand_at(commits_[i].position);
    const BuiltBatch batch = builder_.commit({50, 51});
    ASSERT_TRUE(log_->append(batch.message(), batch.header, batch.pages));
    open();
    ASSERT_EQ(log_->tail().position, builder_.position());
  }
}

TEST_F(WrittenSpool, ListsOnlyThePagesOfCommitsThatStand) {
  for (std::size_t i = 0; i < commits_.size(); ++i) {
    std::filesystem::remove_all(path_);
    commits_.clear();
    unfinished_.clear();
    ends_.clear();
    written_ = 0;
    builder_ = BatchBuilder(kPageSize, kStart);
    SetUp();
    put_spool(Image(whole_.begin(),
                    whole_.begin() + static_cast<std::ptrdiff_t>(commits_[i].spool_end + 30)));
    expect_changed_pages(i);
    ASSERT_FALSE(HasFatalFailure()) << i;
  }
}

TEST_F(WrittenSpool, MessagesThatChangedPlacesAreNotBelieved) {
  const auto part = [&](std::size_t from, std::size_t to) {
    return Image(whole_.begin() + static_cast<std::ptrdiff_t>(from),
                 whole_.begin() + static_cast<std::ptrdiff_t>(to));
  };
  const Image first = part(0, commits_[1].spool_end);
  const Image second = part(commits_[1].spool_end, commits_[2].spool_end);
  Image swapped = second;
  swapped.insert(swapped.end(), first.begin(), first.end());
  put_spool(swapped);
  expect_stands_at(0);
  Image twice = first;
  twice.insert(twice.end(), first.begin(), first.end());
  put_spool(twice);
  expect_stands_at(1);
  Image gap = first;
  const Image rest = part(commits_[2].spool_end, whole_.size());
  gap.insert(gap.end(), rest.begin(), rest.end());
  put_spool(gap);
  expect_stands_at(1);
}

TEST_F(WrittenSpool, OfAnotherGenerationIsNotBelieved) {
  log_.reset();
  open();
  GenerationStart next = start_here();
  next.generation = 2;
  next.frame = 0;
  next.checksum = kStart.checksum;  // even if the checksum would fit
  ASSERT_TRUE(log_->begin_generation(next, {}));
  log_.reset();
  test::write_file(path_ / "frames-2", whole_);
  open();
  EXPECT_EQ(log_->tail().position, next.position());
  EXPECT_TRUE(log_->current_is_empty());
}

TEST_F(WrittenSpool, IsReplayedCommitByCommitWithoutTheUnfinishedEnd) {
  open();
  std::vector<std::uint32_t> pages;
  std::vector<std::uint32_t> expected;
  for (const Commit& commit : commits_) {
    expected.insert(expected.end(), commit.pages.begin(), commit.pages.end());
  }
  const Status replayed =
      log_->replay([&](const BatchHeader& header, std::span<const std::byte> payload) -> Status {
        for (std::uint32_t i = 0; i < header.frame_count; ++i) {
          const auto at = BatchHeader::kSize + i * frame_size(kPageSize);
          pages.push_back(FrameHeader::decode(payload.data() + at).page_number);
        }
        return {};
      });
  ASSERT_TRUE(replayed);
  EXPECT_EQ(pages, expected);
}

TEST_F(SpoolProof, UnfinishedPiecesAreShownToNobody) {
  begin();
  append(builder_.commit({1}));
  const LogTail tail = log_->tail();
  append(builder_.piece({2, 3}));
  append(builder_.piece({4}));
  EXPECT_EQ(log_->tail().spool_end, tail.spool_end);
  const auto piece = log_->read(1, tail.spool_end, 1u << 20);
  ASSERT_TRUE(piece);
  EXPECT_FALSE(piece->has_value());
  append(builder_.commit({5}));
  EXPECT_TRUE(log_->read(1, tail.spool_end, 1u << 20)->has_value());
  expect_changed_pages(2);
}

TEST_F(SpoolProof, AStateThatIsDamagedIsAnEmptyDirectory) {
  begin();
  append(builder_.commit({1}));
  log_.reset();
  Image state = test::read_file(path_ / "state");
  for (std::byte& byte : state) byte ^= std::byte{1};
  test::write_file(path_ / "state", state);
  open();
  EXPECT_FALSE(log_->has_log());
  const auto located = log_->locate(commits_.back().position);
  ASSERT_FALSE(located);
  EXPECT_EQ(located.error().code, ErrorCode::kHistoryChanged);
  ASSERT_TRUE(log_->sync());
  // What lies there is not taken for the new history's.
  const LogId other{{9}};
  builder_.stand_at({other, 1, 0, 1234});
  ASSERT_TRUE(log_->begin_log(start_here()));
  EXPECT_TRUE(log_->current_is_empty());
  open();
  EXPECT_TRUE(log_->current_is_empty());
  EXPECT_EQ(log_->tail().position.log, other);
}

TEST_F(SpoolProof, ANewLogForgetsEverything) {
  begin();
  for (int i = 0; i < 3; ++i) {
    append(builder_.commit({1}));
    builder_.end_generation();
    ASSERT_TRUE(log_->begin_generation(start_here(), {}));
  }
  const Position before = builder_.position();
  builder_.stand_at({LogId{{8}}, 20, 0, 77});
  ASSERT_TRUE(log_->begin_log(start_here()));
  for (const bool reopened : {false, true}) {
    if (reopened) open();
    EXPECT_FALSE(log_->locate(before));
    EXPECT_TRUE(log_->locate({LogId{{8}}, 20, 0, 77}));
    EXPECT_FALSE(log_->changes_between(1, 2));
  }
  int files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path_)) ++files;
  EXPECT_EQ(files, 2);  // state and frames-20
}

TEST_F(SpoolProof, TheStartIsKeptWithAllItSays) {
  begin();
  GenerationStart start = start_here();
  start.cursor = {Salts{std::byte{1}, std::byte{2}}, true, 77, Checksum{5, 6}};
  start.settled = {1, 2, 3, -4, 5};
  start.file = {6, 7, 8, 9, -10};
  start.root = {11, 12};
  ASSERT_TRUE(log_->update_start(start));
  open();
  const GenerationStart read = log_->start();
  EXPECT_EQ(read.position(), start.position());
  EXPECT_EQ(read.root, start.root);
  EXPECT_EQ(read.page_size, start.page_size);
  EXPECT_EQ(read.page_count, start.page_count);
  EXPECT_EQ(read.cursor.salts, start.cursor.salts);
  EXPECT_EQ(read.cursor.big_endian_words, start.cursor.big_endian_words);
  EXPECT_EQ(read.cursor.frame, start.cursor.frame);
  EXPECT_EQ(read.cursor.chain, start.cursor.chain);
  EXPECT_EQ(read.settled, start.settled);
  EXPECT_EQ(read.file, start.file);
}

TEST_F(SpoolProof, RootsAreKnownAtTheCommitsOfTheCurrentGenerationOnly) {
  begin();
  append(builder_.commit({1}));
  append(builder_.commit({2}));
  const Position end = builder_.position();
  EXPECT_EQ(log_->root_at(end), commits_[2].root);
  Position wrong = end;
  ++wrong.checksum;
  EXPECT_FALSE(log_->root_at(wrong));
  builder_.end_generation();
  ASSERT_TRUE(log_->begin_generation(start_here(), {}));
  // The end of the generation before is the start of this one.
  EXPECT_EQ(log_->root_at(end), commits_[2].root);
  EXPECT_EQ(log_->root_at(builder_.position()), commits_[2].root);
  EXPECT_FALSE(log_->root_at(wrong));
  EXPECT_FALSE(log_->root_at(commits_[1].position));
  PageSet bridge;
  bridge.add(5);
  const Position before_bridge = builder_.position();
  builder_.bridge_to_next_generation();
  ASSERT_TRUE(log_->begin_generation(start_here(), bridge));
  EXPECT_FALSE(log_->root_at(before_bridge));
  EXPECT_TRUE(log_->root_at(builder_.position()));
}

// Whoever stands in a generation whose frames weigh more than the pages they changed is sent the
// pages; but those of the current generation are always sent as they are.
TEST_F(SpoolProof, PagesAreSentWhereFramesWeighMore) {
  begin();
  const Position before = builder_.position();
  const std::vector<std::uint32_t> same(800, 3);
  for (int i = 0; i < 4; ++i) append(builder_.commit(same));
  ASSERT_GT(log_->tail().spool_end, kTargetPayload + kPageSize);
  EXPECT_FALSE(log_->locate(before)->needs_delta);
  const Position end = builder_.position();
  const Position near_end = commits_[3].position;
  builder_.end_generation();
  ASSERT_TRUE(log_->begin_generation(start_here(), {}));
  EXPECT_TRUE(log_->locate(before)->needs_delta);
  EXPECT_FALSE(log_->locate(near_end)->needs_delta);
  EXPECT_FALSE(log_->locate(end)->needs_delta);
  EXPECT_EQ(log_->locate(end)->generation, 2u);
}

// Whatever the retention drops: a commit whose list is kept is located, with pages instead of the
// frames that are gone, and never for another checksum.
TEST_F(SpoolProof, ListsOutliveTheFrames) {
  PublishedLogOptions options;
  options.retention_bytes = 5'000;
  options.retained_generations = 6;
  open(options);
  ASSERT_TRUE(log_->begin_log(start_here()));
  std::map<std::uint64_t, std::vector<Position>> positions;
  for (std::uint32_t generation = 1; generation <= 12; ++generation) {
    for (std::uint32_t i = 0; i < 3; ++i) {
      append(builder_.commit({generation, 20 + i}));
      positions[generation].push_back(builder_.position());
    }
    builder_.end_generation();
    ASSERT_TRUE(log_->begin_generation(start_here(), {}));
  }
  for (const bool reopened : {false, true}) {
    if (reopened) open(options);
    int with_frames = 0;
    for (std::uint64_t generation = 1; generation <= 12; ++generation) {
      const bool listed = generation > 12 - options.retained_generations;
      const bool kept = log_->ended_spool_size(generation).has_value();
      with_frames += kept ? 1 : 0;
      EXPECT_EQ(kept, std::filesystem::exists(path_ / ("frames-" + std::to_string(generation))));
      EXPECT_EQ(listed, std::filesystem::exists(path_ / ("pages-" + std::to_string(generation))));
      EXPECT_EQ(log_->read(generation, 0, 100).has_value(), kept);
      for (const Position& position : positions[generation]) {
        const auto located = log_->locate(position);
        ASSERT_EQ(located.has_value(), listed);
        if (!listed) {
          EXPECT_EQ(located.error().code, ErrorCode::kHistoryChanged);
          continue;
        }
        const bool at_end = position == positions[generation].back();
        if (!at_end) {
          EXPECT_EQ(located->needs_delta, !kept) << generation;
        }
        Position wrong = position;
        wrong.checksum ^= 1;
        EXPECT_EQ(log_->locate(wrong).error().code, ErrorCode::kHistoryChanged);
        wrong = position;
        --wrong.frame;
        EXPECT_EQ(log_->locate(wrong).error().code, ErrorCode::kHistoryChanged);
      }
      const auto changes = log_->changes_between(generation, 13);
      ASSERT_EQ(changes.has_value(), listed);
      if (listed) {
        EXPECT_EQ(changes->pages.count(), 3 + 13 - generation);
        EXPECT_FALSE(changes->bridged);
      } else {
        EXPECT_EQ(changes.error().code, ErrorCode::kHistoryChanged);
      }
    }
    EXPECT_GE(with_frames, 1);
    EXPECT_LE(with_frames, 3);
  }
}

TEST_F(SpoolProof, AListOutOfAGapIsNotUsed) {
  begin();
  std::vector<Position> ends;
  for (std::uint32_t generation = 1; generation <= 5; ++generation) {
    append(builder_.commit({generation}));
    ends.push_back(builder_.position());
    builder_.end_generation();
    ASSERT_TRUE(log_->begin_generation(start_here(), {}));
  }
  log_.reset();
  std::filesystem::remove(path_ / "pages-3");
  for (int life = 0; life < 2; ++life) {
    open();
    for (std::size_t i = 0; i < ends.size(); ++i) {
      EXPECT_EQ(log_->locate(ends[i]).has_value(), i >= 3) << i;
    }
    EXPECT_FALSE(std::filesystem::exists(path_ / "frames-1"));
    EXPECT_FALSE(std::filesystem::exists(path_ / "pages-1"));
  }
}

}  // namespace
}  // namespace walferry::wal
