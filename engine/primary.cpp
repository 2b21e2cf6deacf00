#include "engine/primary.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "wal/sqlite_api.h"

namespace walferry::engine {

using namespace std::chrono_literals;
using wal::BackfillScope;
using wal::CaptureCursor;
using wal::DrainOutcome;
using wal::GenerationStart;
using wal::IndexHeader;
using wal::SlotLock;

namespace {

constexpr auto kAttachPatience = 5s;    // for the checkpoint lock
constexpr auto kWriterPatience = 20ms;  // for the write lock, when a generation ends
constexpr auto kWriterRetry = 50us;
constexpr auto kRestartPatience = 2ms;  // for readers of the old log, with the write lock held
constexpr auto kTornHeaderAge = 1ms;    // a living writer is between the copies for nanoseconds
constexpr auto kImminentFirstWait = 50us;
constexpr auto kImminentLastWait = 1ms;
constexpr auto kImminentPatience = 5s;
constexpr auto kBusyTick = 50ms;  // after recent activity
constexpr auto kQuietTick = 1s;
constexpr auto kRecentActivity = 2s;
constexpr auto kFileCheck = 1s;
constexpr auto kReattachPause = 250ms;
constexpr auto kOutrunRetry = 10ms;
constexpr auto kPatientReader = 1s;
constexpr auto kReaderWarning = 10s;
constexpr auto kReaderWarningAgain = 60s;
constexpr std::uint32_t kTailFrames = 64;  // what slices aim to leave for the tail
constexpr int kMostSlices = 2;  // writers that are faster than that are held for the rest
constexpr std::uint32_t kScanPages = 64;

std::uint64_t now_us() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                        std::chrono::system_clock::now().time_since_epoch())
                                        .count());
}

std::uint64_t random_checksum() {
  std::uint64_t value = 0;
  wal::sqlite().randomness(sizeof value, &value);
  return value;
}

}  // namespace

/// Reads the database file itself: with CKPT ours it changes by our own backfill alone.
class DatabaseFileSource : public PageSource {
 public:
  explicit DatabaseFileSource(std::shared_ptr<wal::DatabaseHandle> handle)
      : handle_(std::move(handle)) {}

  Status read_pages(std::uint32_t first, std::uint32_t, std::span<std::byte> bytes) override {
    return handle_->read_database(bytes, std::uint64_t{first - 1} * handle_->page_size());
  }
  std::uint64_t base_frame(const GenerationStart& start) override {
    const wal::WalIndex& index = handle_->index();
    const std::uint32_t reached = std::max(index.backfill(), index.backfill_attempted());
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (generation_is_ending_) return kBaseElsewhere;
    // A log restarted since counts from 0 again: nothing of it is in the file.
    return reached > start.cursor.frame ? reached - start.cursor.frame : 0;
  }
  /// From before a writer may restart the log that is backfilled whole until the next generation is
  /// published: the counters may be those of a new log while the file holds all of the old one.
  void set_generation_is_ending(bool ending) { generation_is_ending_ = ending; }

 private:
  std::shared_ptr<wal::DatabaseHandle> handle_;
  std::atomic<bool> generation_is_ending_ = false;
};

Result<std::unique_ptr<Primary>> Primary::attach(PrimaryOptions options,
                                                 std::shared_ptr<Publication> publication) {
  std::unique_ptr<Primary> primary(new Primary(std::move(options), std::move(publication)));
  primary->metrics_.name = primary->options_.name;
  primary->metrics_.path = primary->options_.path;
  if (Status attached = primary->attach_now(); !attached) return fail(attached.error());
  return primary;
}

Primary::~Primary() { detach(); }

std::filesystem::path Primary::wal_path() const { return options_.path.string() + "-wal"; }

void Primary::log(LogLevel level, const std::string& message) const {
  if (options_.log) options_.log(level, options_.name + ": " + message);
}

void Primary::detach() {
  publication_->set_source(nullptr);
  generation_owed_ = false;
  source_.reset();
  capture_.reset();
  checkpoint_.reset();
  handle_.reset();
}

Status Primary::attach_now() {
  wal::HandleOptions handle_options;
  handle_options.refuse_guarded = true;
  handle_options.test_vfs = options_.test_vfs;
  auto opened = wal::DatabaseHandle::open(options_.path, handle_options);
  if (!opened) return fail(opened.error());
  handle_ = std::move(*opened);
  if (handle_->switched_to_wal())
    log(LogLevel::kInfo, "switched " + options_.path.string() + " to WAL mode");

  const auto deadline = Clock::now() + kAttachPatience;
  while (!(checkpoint_ = SlotLock::try_take(handle_->index(), wal::Slot::kCheckpoint))) {
    if (Clock::now() > deadline) {
      return fail(ErrorCode::kBusy, options_.path.string() +
                                        ": another process keeps the checkpoint lock "
                                        "(a second walferry? Litestream?): stop it and try again");
    }
    std::this_thread::sleep_for(1ms);
  }
  auto header = header_for_attach();
  if (!header) return fail(header.error());
  files_ = handle_->identify_files();

  if (Status restored = publication_->restore_directory(); !restored) return restored;
  wal::PublishedLog& published = publication_->log();
  bool reliable = false;
  bool other_file = true;
  if (published.has_log()) {
    const GenerationStart start = published.start();
    other_file = !start.file.same_file(files_.database) || start.page_size != handle_->page_size();
    if (Status resumed = resume_hashes(reliable); !resumed) return resumed;
  }
  CaptureCursor cursor;
  Continuity continuity = Continuity::kUnproven;
  if (reliable && !other_file) {
    auto proven = prove(*header, cursor);
    if (!proven) return fail(proven.error());
    continuity = *proven;
  }
  if (continuity == Continuity::kUnproven) {
    if (Status begun = begin_unproven(*header, reliable, other_file); !begun) return begun;
  } else {
    if (continuity == Continuity::kSettled) {
      GenerationStart start = published.start();
      start.cursor = cursor;
      if (Status updated = published.update_start(start); !updated) return updated;
    }
    capture_.emplace(*handle_, cursor);
    log(lost_again_ ? LogLevel::kDebug : LogLevel::kInfo,
        "goes on at " + published.tail().position.to_text());
  }
  drained_whole_ =
      published.current_is_empty() &&
      (capture_->cursor().frame == 0 || handle_->index().backfill() == capture_->cursor().frame);
  source_ = std::make_shared<DatabaseFileSource>(handle_);
  if (continuity == Continuity::kProven && !published.current_is_empty() &&
      header->max_frame == capture_->cursor().frame &&
      handle_->index().backfill() == header->max_frame) {
    // Killed after the whole log was backfilled, or somebody else did that meanwhile: the
    // generation has ended, and a writer may restart the log at any moment.
    if (Status begun = begin_next_generation(); !begun) return begun;
  }
  publication_->set_source(source_);
  {
    const std::lock_guard lock(metrics_mutex_);
    metrics_.error.clear();
    metrics_.page_size = handle_->page_size();
  }
  publication_->wake_all();
  return {};
}

Result<IndexHeader> Primary::header_for_attach() {
  const auto deadline = Clock::now() + kAttachPatience;
  for (;;) {
    if (auto header = handle_->index().read_header()) {
      if (handle_->index().backfill() <= header->max_frame) return *header;
    }
    if (Clock::now() > deadline) {
      return fail(ErrorCode::kBusy, options_.path.string() +
                                        ": its wal-index is unreadable and its write lock is held: "
                                        "find the program that hangs within a commit");
    }
    if (auto writer = SlotLock::try_take(handle_->index(), wal::Slot::kWrite)) {
      auto mended = wal::repair_index(*handle_);
      if (!mended) return fail(mended.error());
      if (*mended) {
        log(LogLevel::kWarning, "a process died while it wrote to the wal-index: mended in place");
        const std::lock_guard lock(metrics_mutex_);
        ++metrics_.header_repairs;
      }
      continue;
    }
    std::this_thread::sleep_for(1ms);
  }
}

/// Brings the array of page hashes to the state of the log's tail and checks it against its root.
Status Primary::resume_hashes(bool& reliable) {
  wal::PublishedLog& published = publication_->log();
  const std::unique_lock lock(publication_->hashes_mutex());
  wal::PageHashes& hashes = publication_->hashes();
  const wal::LogTail tail = published.tail();
  const std::uint32_t lock_page = wal::lock_byte_page(tail.page_size);
  Status replayed = published.replay(
      [&](const wal::BatchHeader& header, std::span<const std::byte> payload) -> Status {
        const std::size_t size = wal::frame_size(header.page_size);
        for (std::uint32_t i = 0; i < header.frame_count; ++i) {
          const auto frame = payload.subspan(wal::BatchHeader::kSize + i * size, size);
          const std::uint32_t page = wal::FrameHeader::decode(frame.data()).page_number;
          if (page == lock_page || page > tail.page_count) continue;
          if (page > hashes.page_count()) {
            if (Status sized = hashes.resize(page); !sized) return sized;
          }
          hashes.set(page, wal::hash_page(page, frame.subspan(wal::kFrameHeaderSize)));
        }
        return {};
      });
  if (!replayed) return replayed;
  if (Status sized = hashes.resize(tail.page_count); !sized) return sized;
  reliable = hashes.root() == tail.root;
  return {};
}

Result<Primary::Continuity> Primary::prove(const IndexHeader& header, CaptureCursor& cursor) {
  const GenerationStart start = publication_->log().start();
  const wal::LogTail tail = publication_->log().tail();
  const std::uint64_t physical = start.cursor.frame + tail.position.frame;
  const std::uint64_t chain =
      tail.position.frame == 0 ? start.cursor.chain.packed() : tail.position.checksum;
  if (physical > 0 && header.salts == start.cursor.salts && header.max_frame >= physical) {
    auto standing = wal::cursor_at(*handle_, static_cast<std::uint32_t>(physical));
    if (standing && standing->salts == header.salts && standing->chain.packed() == chain) {
      // The log stands. The file below it is as we left it, or a foreign checkpoint moved frames
      // into it, or it was replaced under the log: its untouched pages tell.
      auto matches = start.file == files_.database
                         ? Result<bool>(true)
                         : untouched_pages_match(header, start.cursor.frame);
      if (!matches) return fail(matches.error());
      if (*matches) {
        cursor = *standing;
        return Continuity::kProven;
      }
    }
  }
  if (tail.position.frame == 0 && start.settled.exists() && start.settled == files_.database) {
    cursor = CaptureCursor{};  // whatever log there is now, all of it came after
    return Continuity::kSettled;
  }
  return Continuity::kUnproven;
}

Result<bool> Primary::untouched_pages_match(const IndexHeader& header, std::uint32_t from_frame) {
  wal::PageSet touched;
  for (std::uint32_t frame = from_frame + 1; frame <= header.max_frame; ++frame) {
    auto page = handle_->index().page_of_frame(frame);
    if (!page) return fail(page.error());
    touched.add(*page);
  }
  const std::shared_lock lock(publication_->hashes_mutex());
  const wal::PageHashes& hashes = publication_->hashes();
  auto size = handle_->database_size();
  if (!size) return fail(size.error());
  const std::uint32_t page_size = handle_->page_size();
  std::vector<std::byte> buffer(std::size_t{kScanPages} * page_size);
  const std::uint32_t count =
      std::min(hashes.page_count(), static_cast<std::uint32_t>(*size / page_size));
  for (std::uint32_t first = 1; first <= count; first += kScanPages) {
    const std::uint32_t n = std::min(kScanPages, count - first + 1);
    const auto pages = std::span(buffer).first(std::size_t{n} * page_size);
    if (Status read = handle_->read_database(pages, std::uint64_t{first - 1} * page_size); !read)
      return fail(read.error());
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t page = first + i;
      if (touched.contains(page) || page == wal::lock_byte_page(page_size)) continue;
      if (wal::hash_page(page, pages.subspan(std::size_t{i} * page_size, page_size)) !=
          hashes.get(page))
        return false;
    }
  }
  return true;
}

/// Compares the database file with the hashes; `changed` gets the pages that differ.
Status Primary::scan_database(std::uint32_t page_count, wal::PageSet& changed) {
  const std::unique_lock lock(publication_->hashes_mutex());
  wal::PageHashes& hashes = publication_->hashes();
  const std::uint32_t page_size = handle_->page_size();
  for (std::uint32_t page = page_count + 1; page <= hashes.page_count(); ++page) changed.add(page);
  if (Status sized = hashes.resize(page_count); !sized) return sized;
  std::vector<std::byte> buffer(std::size_t{kScanPages} * page_size);
  for (std::uint32_t first = 1; first <= page_count; first += kScanPages) {
    const std::uint32_t n = std::min(kScanPages, page_count - first + 1);
    const auto pages = std::span(buffer).first(std::size_t{n} * page_size);
    if (Status read = handle_->read_database(pages, std::uint64_t{first - 1} * page_size); !read)
      return read;
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t page = first + i;
      wal::Hash128 hash;
      if (page != wal::lock_byte_page(page_size)) {
        hash = wal::hash_page(page, pages.subspan(std::size_t{i} * page_size, page_size));
      }
      if (hash != hashes.get(page)) {
        changed.add(page);
        hashes.set(page, hash);
      }
    }
  }
  return {};
}

/// The log that was followed cannot be proven: the database file as it is becomes the start of a
/// new generation (the pages that differ bridge the gap), or of a new history.
Status Primary::begin_unproven(const IndexHeader& header, bool hashes_reliable, bool other_file) {
  wal::PublishedLog& published = publication_->log();
  CaptureCursor cursor;
  if (header.max_frame > 0 && handle_->index().backfill() == header.max_frame) {
    auto at_end = wal::cursor_at(*handle_, header.max_frame);
    if (!at_end) return fail(at_end.error());
    cursor = *at_end;
  }
  auto size = handle_->database_size();
  if (!size) return fail(size.error());
  auto page_count = static_cast<std::uint32_t>(*size / handle_->page_size());
  if (header.max_frame == cursor.frame && header.page_count != 0)
    page_count = std::min(page_count, header.page_count);

  const bool known = published.has_log() && hashes_reliable && !other_file;
  wal::PageSet changed;
  if (Status dropped = published.drop_unfinished(); !dropped && known) return dropped;
  if (Status scanned = scan_database(page_count, changed); !scanned) return scanned;

  GenerationStart start;
  start.page_size = handle_->page_size();
  start.page_count = page_count;
  start.cursor = cursor;
  start.file = files_.database;
  if (header.max_frame == cursor.frame) start.settled = files_.database;
  {
    const std::shared_lock lock(publication_->hashes_mutex());
    start.root = publication_->hashes().root();
  }
  if (known) {
    const wal::LogTail tail = published.tail();
    const bool same = changed.empty() && tail.page_count == page_count;
    start.log = tail.position.log;
    start.generation = tail.position.generation + 1;
    start.checksum = same ? tail.position.checksum : random_checksum();
    if (Status begun = published.begin_generation(start, changed); !begun) return begun;
    log(same ? LogLevel::kInfo : LogLevel::kWarning,
        same ? "the WAL that was followed is gone; the database is unchanged, generation " +
                   std::to_string(start.generation) + " goes on from it"
             : "the WAL that was followed is gone: " + std::to_string(changed.count()) +
                   " pages that differ bridge the gap to generation " +
                   std::to_string(start.generation));
    const std::lock_guard lock(metrics_mutex_);
    if (!same) ++metrics_.bridges;
  } else {
    const bool first = !published.has_log();
    start.log = LogId::random();
    start.generation = 1;
    start.checksum = random_checksum();
    if (Status begun = published.begin_log(start); !begun) return begun;
    log(first ? LogLevel::kInfo : LogLevel::kWarning,
        first ? "published as new log " + start.log.to_text()
              : std::string(other_file ? "this is another file than the one published before"
                                       : "the kept page hashes do not match the log") +
                    ": it begins new log " + start.log.to_text() +
                    ", followers fetch the pages that differ");
  }
  capture_.emplace(*handle_, cursor);
  return {};
}

/// An error that stays is said once; the status shows it for as long as it lasts.
void Primary::complain(const std::string& error) {
  {
    const std::lock_guard lock(metrics_mutex_);
    if (metrics_.error == error) return;
    metrics_.error = error;
  }
  log(LogLevel::kError, error);
}

void Primary::recover() {
  const std::lock_guard lock(metrics_mutex_);
  metrics_.error.clear();
}

void Primary::lose(const std::string& why) {
  lost_again_ = why == lost_why_;
  if (!lost_again_) log(LogLevel::kWarning, why + ": attaching anew");
  lost_why_ = why;
  detach();
  (void)publication_->abandon_transaction();
  next_attach_ = Clock::now();
  const std::lock_guard lock(metrics_mutex_);
  metrics_.error = why;
}

bool Primary::restartable() const { return drained_whole_; }

Result<DrainOutcome> Primary::drain() {
  return capture_->drain(restartable(),
                         [this](const wal::CapturedFrames& captured) { return publish(captured); });
}

Status Primary::publish(const wal::CapturedFrames& captured) {
  wal::PublishedLog& published = publication_->log();
  if (captured.restarted) {
    // The generation's first frames came with a new log: where it begins in it is persisted
    // before anybody can stand on it.
    GenerationStart start = published.start();
    start.cursor = captured.before;
    if (Status updated = published.update_start(start); !updated) return updated;
    // Its writer sets these to 0 after the header; if it died in between, they would hide frames
    // of the new log. Nobody else can raise them: the checkpoint lock is ours.
    handle_->index().set_backfill(0);
    handle_->index().set_backfill_attempted(0);
  }
  if (options_.sync_before_publish) {
    if (Status synced = handle_->sync_wal(); !synced) return synced;
  }
  drained_whole_ = false;
  const GenerationStart start = published.start();
  wal::BatchHeader header;
  header.generation = start.generation;
  header.first_frame = captured.before.frame - start.cursor.frame + 1;
  header.frame_count = captured.count;
  header.flags = (captured.page_count != 0 ? wal::BatchHeader::kEndsOnCommit : 0u) |
                 (captured.after.big_endian_words ? wal::BatchHeader::kBigEndianWords : 0u);
  header.checksum_before = captured.before.chain.packed();
  if (header.first_frame == 1) {
    // The chain of the log goes on from its own last frame or its header; the history goes on
    // from the generation's start, which has that checksum only when neither restart nor bridge
    // lies between.
    header.checksum_before = start.checksum;
    header.flags |= wal::BatchHeader::kChainRestarted;
    header.seed = captured.before.chain.packed();
  }
  header.checksum_after = captured.after.chain.packed();
  header.salts = wal::load_be<std::uint64_t>(captured.after.salts.data());
  header.page_size = handle_->page_size();
  header.page_count = captured.page_count;
  header.captured_us = now_us();
  Status done = publication_->publish(header, captured.payload);
  if (done) lost_why_.clear();
  const std::lock_guard lock(metrics_mutex_);
  metrics_.frames += captured.count;
  if (captured.page_count != 0) ++metrics_.commits;
  return done;
}

bool Primary::repair(Clock::time_point now) {
  if (unreadable_since_ == Clock::time_point{}) unreadable_since_ = now;
  if (now - unreadable_since_ < kTornHeaderAge) return false;
  auto writer = SlotLock::try_take(handle_->index(), wal::Slot::kWrite);
  if (!writer) return false;  // its writer lives
  auto mended = wal::repair_index(*handle_);
  if (!mended) {
    writer.reset();
    lose(mended.error().message);
    return true;
  }
  if (*mended) {
    log(LogLevel::kWarning, "a process died while it wrote to the wal-index: mended in place");
    const std::lock_guard lock(metrics_mutex_);
    ++metrics_.header_repairs;
  }
  unreadable_since_ = {};
  return true;
}

void Primary::check_files() {
  const wal::FileTriple now = handle_->identify_files();
  const auto gone = [](const wal::FileIdentity& then, const wal::FileIdentity& current) {
    return !current.same_file(then);
  };
  if (gone(files_.database, now.database)) {
    return lose(now.database.exists() ? "the database file was replaced"
                                      : "the database file is gone");
  }
  if (gone(files_.wal, now.wal))
    return lose(now.wal.exists() ? "the -wal file was replaced" : "the -wal file was removed");
  if (gone(files_.shm, now.shm))
    return lose(now.shm.exists() ? "the -shm file was replaced" : "the -shm file was removed");
  if (now.database.modified_ns != files_.database.modified_ns ||
      now.database.size != files_.database.size) {
    return lose("the database file was written to by another program, past SQLite");
  }
  if (!publication_->log().is_in_place())
    return lose("what was kept beside the database, for followers that are away, was removed");
  const std::lock_guard lock(metrics_mutex_);
  metrics_.wal_bytes = now.wal.size;
}

/// After a backfill of ours: how the file looks now. `settled`: it holds exactly the start of the
/// current generation.
Status Primary::remember_database_file(bool settled) {
  files_.database = wal::identify(handle_->path());
  GenerationStart start = publication_->log().start();
  start.file = files_.database;
  start.settled = settled ? files_.database : wal::FileIdentity{};
  return publication_->log().update_start(start);
}

Clock::duration Primary::step(Clock::time_point now, bool written) {
  if (!handle_) {
    if (now < next_attach_) return next_attach_ - now;
    if (Status attached = attach_now(); !attached) {
      detach();
      next_attach_ = Clock::now() + kReattachPause;
      complain(attached.error().message);
      return kReattachPause;
    }
    written = true;
  }
  if (written) last_activity_ = now;
  if (now - last_file_check_ >= kFileCheck) {
    last_file_check_ = now;
    check_files();
    if (!handle_) return {};
  }
  if (generation_owed_) {
    if (Status begun = begin_next_generation(); !begun) {
      complain("a generation cannot be ended: " + begun.error().message);
      return kReattachPause;
    }
    recover();
  }
  const std::uint64_t before = capture_->cursor().frame;
  auto outcome = drain();
  if (!outcome) {
    lose(outcome.error().message);
    next_attach_ = now + kReattachPause;
    return kReattachPause;
  }
  if (*outcome == DrainOutcome::kLost) {
    lose("the WAL is not the one that was followed");
    return {};
  }
  if (*outcome == DrainOutcome::kUnreadable) {
    repair(now);
    return kImminentFirstWait * 4;
  }
  unreadable_since_ = {};
  const auto header = handle_->index().read_header();
  if (header && handle_->index().backfill() > header->max_frame) {
    unreadable_since_ = now - kTornHeaderAge;
    repair(now);
    return kImminentFirstWait * 4;
  }
  if (capture_->cursor().frame != before) {
    last_activity_ = now;
    imminent_since_ = {};
  } else if (written || imminent_since_ != Clock::time_point{}) {
    auto imminent = capture_->commit_is_imminent(restartable());
    if (imminent && *imminent) {
      if (imminent_since_ == Clock::time_point{}) {
        imminent_since_ = now;
        imminent_wait_ = kImminentFirstWait;
      }
      if (now - imminent_since_ < kImminentPatience) {
        const auto wait = imminent_wait_;
        imminent_wait_ = std::min<Clock::duration>(imminent_wait_ * 5 / 4, kImminentLastWait);
        return wait;
      }
    }
    imminent_since_ = {};
  }
  const Clock::duration backfill_wait = end_generation_if_due(now);
  const Clock::duration tick = now - last_activity_ < kRecentActivity ? Clock::duration(kBusyTick)
                                                                      : Clock::duration(kQuietTick);
  return std::min(backfill_wait, tick);
}

Clock::duration Primary::end_generation_if_due(Clock::time_point now) {
  // Due when the generation has filled the limit; or when the log is that long because readers
  // kept it from being restarted and enough has come since to be worth another backfill.
  const std::uint64_t size = wal::frame_size(handle_->page_size());
  const std::uint64_t log_bytes = capture_->cursor().frame * size;
  const std::uint64_t generation_bytes =
      (capture_->cursor().frame - publication_->log().start().cursor.frame) * size;
  if (drained_whole_ || generation_bytes < options_.wal_limit_bytes / 8) return kQuietTick;
  if (now < next_backfill_) return next_backfill_ - now;
  if (log_bytes < options_.wal_limit_bytes) {
    // Half of the work is done when half of the limit is reached: the less is left for the end,
    // the less the log outgrows its limit meanwhile.
    const bool early = generation_bytes >= options_.wal_limit_bytes / 2 &&
                       handle_->index().backfill() <= publication_->log().start().cursor.frame;
    if (!early) return kQuietTick;
    auto moved = backfill_slices(1);
    if (!moved) complain("the WAL cannot be backfilled: " + moved.error().message);
    if (!moved || !*moved) next_backfill_ = Clock::now() + kOutrunRetry;
    return {};
  }
  // Writers that have outrun us are held at once: while slices are synced they would write more
  // than the slices take off.
  const bool outrun = log_bytes >= options_.wal_limit_bytes + options_.wal_limit_bytes / 4;
  auto ready = outrun ? Result<bool>(true) : backfill_slices(kMostSlices);
  if (ready && *ready) ready = backfill_tail(outrun);
  if (!ready) {
    complain("a generation cannot be ended: " + ready.error().message);
    next_backfill_ = now + kReattachPause;
    return kReattachPause;
  }
  if (*ready) {
    reader_since_ = {};
    backfill_pause_ = {};
    const std::lock_guard lock(metrics_mutex_);
    metrics_.error.clear();
    metrics_.oldest_reader_seconds = 0;
    return {};
  }
  note_reader_in_the_way(now);
  // While the log outgrows its limit every moment without a reader counts, until it shows that this
  // one stays.
  const bool hurry = outrun && now - reader_since_ < kPatientReader;
  const Clock::duration longest =
      hurry ? Clock::duration(kOutrunRetry) : Clock::duration(kReattachPause);
  backfill_pause_ = std::clamp<Clock::duration>(backfill_pause_ * 2, 2ms, longest);
  next_backfill_ = Clock::now() + backfill_pause_;
  return backfill_pause_;
}

void Primary::note_reader_in_the_way(Clock::time_point now) {
  if (reader_since_ == Clock::time_point{}) reader_since_ = now;
  const double age = std::chrono::duration<double>(now - reader_since_).count();
  auto wal_bytes = handle_->wal_size();
  if (now - reader_since_ >= kReaderWarning && now - reader_warned_ >= kReaderWarningAgain) {
    reader_warned_ = now;
    log(LogLevel::kWarning, "a reader has kept the WAL from being backfilled for " +
                                std::to_string(std::lround(age)) + " s; it has grown to " +
                                std::to_string(wal_bytes.value_or(0) >> 20) +
                                " MiB: end that program's read transaction");
  }
  const std::lock_guard lock(metrics_mutex_);
  metrics_.oldest_reader_seconds = age;
}

/// Backfills without the write lock, capturing in between, until little is left for the tail. False
/// when a reader is in the way.
Result<bool> Primary::backfill_slices(int most) {
  const auto most_tail_frames =
      std::max(kTailFrames, static_cast<std::uint32_t>(options_.wal_limit_bytes / 16 /
                                                       wal::frame_size(handle_->page_size())));
  for (int i = 0; i < most; ++i) {
    const auto header = handle_->index().read_header();
    if (!header || header->salts != capture_->cursor().salts) return false;
    const std::uint32_t captured = capture_->cursor().frame;
    const std::uint32_t done = handle_->index().backfill();
    if (captured <= done + most_tail_frames) return true;
    if (Status noted = remember_database_file(false); !noted) return fail(noted.error());
    // Not all of it: where a slice reaches the last frame, a writer may restart the log at once.
    auto result =
        wal::backfill(*handle_, *header, captured - kTailFrames / 2, BackfillScope::kUpToReaders);
    // After a failure as well: what was written until then is ours, not a foreign program's.
    if (Status noted = remember_database_file(false); !noted) return fail(noted.error());
    if (!result) return fail(result.error());
    if (result->backfilled == done) return false;
    auto outcome = drain();
    if (!outcome) return fail(outcome.error());
    if (*outcome != DrainOutcome::kCaughtUp) return false;
  }
  return true;
}

/// The rest, with the write lock held: afterwards the generation has ended.
Result<bool> Primary::backfill_tail(bool outrun) {
  // What is synced now need not be synced while writers wait.
  if (!outrun) {
    if (Status synced = handle_->sync_wal(); !synced) return fail(synced.error());
  }
  if (auto outcome = drain(); !outcome || *outcome != DrainOutcome::kCaughtUp) return false;
  const auto deadline = Clock::now() + kWriterPatience;
  std::optional<SlotLock> writer;
  while (!(writer = SlotLock::try_take(handle_->index(), wal::Slot::kWrite))) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(kWriterRetry);
  }
  const auto held_since = Clock::now();
  auto outcome = drain();
  if (!outcome) return fail(outcome.error());
  auto header = handle_->index().read_header();
  if (*outcome != DrainOutcome::kCaughtUp || !header ||
      header->max_frame != capture_->cursor().frame || header->salts != capture_->cursor().salts) {
    return false;
  }
  auto result = wal::backfill(*handle_, *header, header->max_frame, BackfillScope::kWhole);
  if (!result) {
    (void)remember_database_file(false);
    return fail(result.error());
  }
  const bool whole = result->backfilled == header->max_frame;
  if (whole) {
    source_->set_generation_is_ending(true);
    generation_owed_ = true;
    if (Status renewed = renew_log(*header); !renewed) return fail(renewed.error());
  }
  writer.reset();
  const auto held = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - held_since).count());
  {
    const std::lock_guard lock(metrics_mutex_);
    holds_.add(held);
    metrics_.writer_hold_last_us = held;
    metrics_.writer_hold_max_us = holds_.max();
  }
  if (!whole) return false;
  if (Status begun = begin_next_generation(); !begun) return fail(begun.error());
  return true;
}

/// All frames are in the file and the write lock is ours: begins the log anew. SQLite's next writer
/// would try as well, but only once, and not while another process is at that moment between the
/// begin and the end of a read; among busy writers that fails more often than not. Where a reader
/// stays, the log goes on; the generation has ended all the same.
Status Primary::renew_log(IndexHeader& header) {
  const auto deadline = Clock::now() + kRestartPatience;
  for (;;) {
    auto restarted = wal::restart_log(*handle_, header);
    if (!restarted) return fail(restarted.error());
    if (*restarted) break;
    if (Clock::now() >= deadline) return {};
    std::this_thread::sleep_for(kWriterRetry);
  }
  // What one huge transaction stretched is given back to the file system: SQLite's writers never
  // do that.
  auto size = handle_->wal_size();
  if (!size) return fail(size.error());
  return *size > 2 * options_.wal_limit_bytes ? handle_->truncate_wal(options_.wal_limit_bytes)
                                              : Status{};
}

Status Primary::begin_next_generation() {
  const wal::LogTail tail = publication_->log().tail();
  files_.database = wal::identify(handle_->path());
  GenerationStart start;
  start.log = tail.position.log;
  start.generation = tail.position.generation + 1;
  start.checksum = tail.position.checksum;
  start.root = tail.root;
  start.page_size = tail.page_size;
  start.page_count = tail.page_count;
  start.cursor = capture_->cursor();
  start.settled = start.file = files_.database;
  if (Status begun = publication_->log().begin_generation(start, {}); !begun) return begun;
  drained_whole_ = true;
  generation_owed_ = false;
  source_->set_generation_is_ending(false);
  publication_->wake_all();
  const std::lock_guard lock(metrics_mutex_);
  ++metrics_.generations_ended;
  return {};
}

void Primary::settle() {
  if (!handle_) return;
  if (generation_owed_) (void)begin_next_generation();
  if (auto outcome = drain(); outcome && *outcome == DrainOutcome::kCaughtUp && !drained_whole_) {
    auto done = backfill_slices(kMostSlices);
    if (done && *done) done = backfill_tail(false);
    if (!done) {
      log(LogLevel::kWarning,
          "the WAL could not be backfilled at the end: " + done.error().message);
    }
  }
  {
    const std::shared_lock lock(publication_->hashes_mutex());
    if (Status synced = publication_->hashes().sync(); !synced)
      log(LogLevel::kWarning, synced.error().message);
  }
  if (Status synced = publication_->log().sync(); !synced)
    log(LogLevel::kWarning, synced.error().message);
  detach();
}

DatabaseStatus Primary::metrics() const {
  const std::lock_guard lock(metrics_mutex_);
  DatabaseStatus status = metrics_;
  const wal::LogTail tail = publication_->log().tail();
  status.position = tail.position;
  status.page_count = tail.page_count;
  status.page_size = tail.page_size;
  status.writer_hold_p99_us = holds_.percentile(99);
  status.followers = publication_->followers();
  return status;
}

}  // namespace walferry::engine
