#include "wal/injector.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "wal/sqlite_api.h"

namespace walferry::wal {

using namespace std::chrono_literals;

namespace {

constexpr auto kLockPatience = 2s;
constexpr auto kShortRestartPatience = 1ms;
constexpr auto kLongRestartPatience = 50ms;
/// Beyond three quarters of what it may outgrow its limit by, the log waits for readers that leave
/// gaps at all, however long they read. Where they do not, that is tried again only now and then.
constexpr auto kLastRestartPatience = 500ms;
constexpr auto kLastPatienceAgain = 2500ms;
constexpr auto kRestartRetry = 200us;
constexpr std::uint32_t kHashPages = 64;
constexpr std::uint32_t kSumPages = 256;
constexpr std::size_t kWriteBuffer = 1u << 20;
constexpr std::uint32_t kReadAhead = 64u << 10;
constexpr std::uint32_t kGapPages = 8;  ///< pages left out that do not end a run

/// The cookie for another schema: the primary's, where that is beyond all that this file has shown.
/// Local cookies only count up, so that a reader never meets one that it knows from another schema,
/// however long it slept and whatever histories came between.
std::uint32_t unseen_cookie(std::uint32_t wanted, std::uint32_t now) {
  return wanted > now ? wanted : now + 1;
}

}  // namespace

Result<std::unique_ptr<Injector>> Injector::attach(const std::filesystem::path& path,
                                                   const InjectorOptions& options) {
  HandleOptions handle_options;
  handle_options.test_vfs = options.test_vfs;
  auto opened = DatabaseHandle::open(path, handle_options);
  if (!opened) return fail(opened.error());
  std::unique_ptr<Injector> injector(new Injector(std::move(*opened)));
  injector->options_ = options;
  WalIndex& index = injector->handle_->index();
  injector->others_index_ = injector->handle_->another_index();
  if (Status mapped = injector->others_index_->map(); !mapped) return fail(mapped.error());

  const auto deadline = std::chrono::steady_clock::now() + kLockPatience;
  for (;;) {
    if (!injector->checkpoint_)
      injector->checkpoint_ = SlotLock::try_take(index, Slot::kCheckpoint);
    if (injector->checkpoint_ && !injector->writer_)
      injector->writer_ = SlotLock::try_take(index, Slot::kWrite);
    if (injector->writer_) break;
    if (std::chrono::steady_clock::now() > deadline) {
      return fail(ErrorCode::kBusy,
                  path.string() + ": another process holds its " +
                      (injector->checkpoint_ ? "write" : "checkpoint") +
                      " lock (another walferry that follows into it, or a writer)");
    }
    std::this_thread::sleep_for(500us);
  }
  auto mended = repair_index(*injector->handle_);
  if (!mended) return fail(mended.error());
  const auto header = index.read_header();
  if (!header) return fail(ErrorCode::kCorrupt, path.string() + ": its wal-index cannot be read");
  injector->header_ = *header;
  injector->header_.set_page_size(injector->page_size());
  if (Status cleared = index.clear_beyond(header->max_frame); !cleared)
    return fail(cleared.error());
  injector->chain_ = header->chain();
  injector->page_count_ = header->page_count;
  if (header->max_frame == 0) {
    // Without a frame the wal-index does not know the size: the file does.
    auto size = injector->handle_->database_size();
    if (!size) return fail(size.error());
    injector->page_count_ = static_cast<std::uint32_t>(*size / injector->page_size());
    std::array<std::byte, kDatabaseHeaderSize> first{};
    if (Status read = injector->handle_->read_database(first, 0); !read) return fail(read.error());
    const auto in_header = load_be<std::uint32_t>(first.data() + kPageCountOffset);
    if (load_be<std::uint32_t>(first.data() + 24) == load_be<std::uint32_t>(first.data() + 92) &&
        in_header != 0) {
      injector->page_count_ = std::min(injector->page_count_, in_header);
    }
  }
  return injector;
}

Injector::~Injector() {
  writer_.reset();
  checkpoint_.reset();
}

WalPoint Injector::wal_point() const noexcept {
  return {header_.salts, header_.max_frame, header_.max_frame == 0 ? Checksum{} : header_.chain()};
}

std::uint64_t Injector::wal_bytes() const { return handle_->wal_size().value_or(0); }

std::uint64_t Injector::log_bytes() const noexcept {
  return header_.max_frame * frame_size(page_size());
}

Status Injector::read_page(std::uint32_t page, std::span<std::byte> bytes) {
  if (const auto held = held_.find(page); !held.empty()) {
    std::memcpy(bytes.data(), held.data(), bytes.size());
    return {};
  }
  auto frame = handle_->index().find_frame(page, header_.max_frame + spilled_frames_);
  if (!frame) return fail(frame.error());
  if (*frame != 0)
    return handle_->read_wal(bytes, frame_offset(*frame, page_size()) + kFrameHeaderSize);
  return handle_->read_database(bytes, std::uint64_t{page - 1} * page_size());
}

Status Injector::read_page_for_others(std::uint32_t page, std::span<std::byte> bytes) {
  // Publishing and restarting exclude us; frames that are published do not change until then.
  const std::shared_lock lock(publish_mutex_);
  Result<std::uint32_t> frame = 0u;
  {
    const std::lock_guard one_at_a_time(others_mutex_);
    frame = others_index_->find_frame(page, header_.max_frame);
  }
  if (!frame) return fail(frame.error());
  Status read = *frame != 0
                    ? handle_->read_wal(bytes, frame_offset(*frame, page_size()) + kFrameHeaderSize)
                    : handle_->read_database(bytes, std::uint64_t{page - 1} * page_size());
  if (read && page == 1) undisguise_page_one(bytes, disguise_);
  return read;
}

Result<Hash128> Injector::hash_all(const PageOneDisguise& disguise, std::uint32_t page_count,
                                   std::vector<Hash128>* sums,
                                   const std::function<Status(std::uint32_t)>& progress) {
  PageSet in_wal;
  for (std::uint32_t frame = 1; frame <= header_.max_frame; ++frame) {
    auto page = handle_->index().page_of_frame(frame);
    if (!page) return fail(page.error());
    in_wal.add(*page);
  }
  const std::uint32_t lock_page = lock_byte_page(page_size());
  std::vector<std::byte> buffer(std::size_t{kHashPages} * page_size());
  if (sums != nullptr) sums->assign((page_count + kSumPages - 1) / kSumPages, {});
  Hash128 root;
  for (std::uint32_t first = 1; first <= page_count; first += kHashPages) {
    const std::uint32_t n = std::min(kHashPages, page_count - first + 1);
    const auto pages = std::span(buffer).first(std::size_t{n} * page_size());
    if (Status read = handle_->read_database(pages, std::uint64_t{first - 1} * page_size()); !read)
      return fail(read.error());
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t page = first + i;
      if (page == lock_page) continue;
      const auto bytes = pages.subspan(std::size_t{i} * page_size(), page_size());
      if (in_wal.contains(page)) {
        if (Status read = read_page(page, bytes); !read) return fail(read.error());
      }
      const Hash128 hash = hash_page(page, bytes, disguise);
      root += hash;
      if (sums != nullptr) (*sums)[(page - 1) / kSumPages] += hash;
    }
    if (progress) {
      if (Status go_on = progress(first + n - 1); !go_on) return fail(go_on.error());
    }
  }
  return root;
}

Status Injector::change_page_size(std::uint32_t page_size) {
  if (header_.max_frame != 0 || has_pages()) {
    return fail(
        ErrorCode::kBusy,
        handle_->path().string() +
            ": its log cannot be moved into the file, which a change of the page size needs: "
            "end the read transactions of other programs; it goes on by itself then");
  }
  std::array<std::byte, kDatabaseHeaderSize> first{};
  if (Status read = handle_->read_database(first, 0); !read) return read;
  other_size_ = {handle_->page_size(), page_count_, root_,
                 load_be<std::uint32_t>(first.data() + kSchemaCookieOffset)};
  // Readers go on with the file as it is, of which nothing counts in what is to come.
  handle_->set_page_size(page_size);
  held_ = HeldFrames(page_size);
  page_count_ = 0;
  root_ = {};
  covered_ = 0;
  return {};
}

Status Injector::add_page(std::uint32_t page, std::span<const std::byte> bytes) {
  if (page == lock_byte_page(page_size())) return {};
  if (!has_pages()) pending_root_ = root_;
  std::memcpy(held_.put(page).data(), bytes.data(), page_size());
  if (held_bytes() > options_.memory_budget) return spill();
  return {};
}

bool Injector::covers(std::uint32_t page_count) {
  covered_ = std::max(covered_, page_count_);
  while (covered_ < page_count) {
    const std::uint32_t next = covered_ + 1;
    if (!held_.contains(next) && !spilled_new_.contains(next) &&
        next != lock_byte_page(page_size()))
      break;
    covered_ = next;
  }
  return covered_ >= page_count;
}

/// What the newest version of a page, held ones aside, adds to the root.
Result<Hash128> Injector::contribution(std::uint32_t page) {
  if (page > page_count_ && !spilled_new_.contains(page)) return Hash128{};
  if (page == lock_byte_page(page_size())) return Hash128{};
  auto frame = handle_->index().find_frame(page, header_.max_frame + spilled_frames_);
  if (!frame) return fail(frame.error());
  if (*frame == 0) {
    auto bytes = old_page_of_file(page);
    if (!bytes) return fail(bytes.error());
    return hash_page(page, *bytes, disguise_);
  }
  old_page_.resize(page_size());
  if (Status read =
          handle_->read_wal(old_page_, frame_offset(*frame, page_size()) + kFrameHeaderSize);
      !read)
    return fail(read.error());
  return hash_page(page, old_page_, disguise_);
}

/// Most transactions of a catch-up touch pages one after another: a read brings those that follow,
/// the more of them the longer that was right.
Result<std::span<const std::byte>> Injector::old_page_of_file(std::uint32_t page) {
  if (page < ahead_first_ || page >= ahead_first_ + ahead_pages_) {
    const std::uint32_t expected = ahead_first_ + ahead_pages_;
    const bool goes_on = ahead_pages_ != 0 && page >= expected && page - expected < kGapPages;
    const std::uint32_t most = std::max(1u, kReadAhead / page_size());
    const std::uint32_t count = std::min(goes_on ? std::min(2 * ahead_pages_, most) : 1,
                                         std::max(page_count_, page) - page + 1);
    ahead_.resize(std::size_t{count} * page_size());
    ahead_pages_ = 0;
    if (Status read = handle_->read_database(ahead_, std::uint64_t{page - 1} * page_size()); !read)
      return fail(read.error());
    ahead_first_ = page;
    ahead_pages_ = count;
  }
  return std::span<const std::byte>(ahead_).subspan(std::size_t{page - ahead_first_} * page_size(),
                                                    page_size());
}

/// Moves the pending root by the held pages.
Status Injector::account_held() {
  ahead_pages_ = 0;  // the file may have moved on since
  for (std::size_t i = 0; i < held_.size(); ++i) {
    const std::uint32_t page = held_.page_number(i);
    auto before = contribution(page);
    if (!before) return fail(before.error());
    pending_root_ -= *before;
    pending_root_ += hash_page(page, held_.page(i));
  }
  return {};
}

Result<Hash128> Injector::dropped_pages(std::uint32_t page_count) {
  Hash128 dropped;
  const auto drop = [&](std::uint32_t page) -> Status {
    auto hash = contribution(page);
    if (!hash) return fail(hash.error());
    dropped += *hash;
    return {};
  };
  for (std::uint64_t page = std::uint64_t{page_count} + 1; page <= page_count_; ++page) {
    if (Status done = drop(static_cast<std::uint32_t>(page)); !done) return fail(done.error());
  }
  for (std::uint32_t page = spilled_new_.next(page_count + 1); page != 0;
       page = spilled_new_.next(page + 1)) {
    if (Status done = drop(page); !done) return fail(done.error());
  }
  return dropped;
}

/// The page-1 copy that goes to the WAL; the hash was taken of the original.
void Injector::disguise_page_one(std::span<std::byte> page, bool other_history) {
  std::byte* cookie = page.data() + kSchemaCookieOffset;
  const auto origin = load_be<std::uint32_t>(cookie);
  // What readers know now: nothing yet of a file without pages.
  std::uint32_t local_now = origin;
  if (other_size_) {
    local_now = other_size_->schema_cookie;
  } else if (page_count_ > 0) {
    std::vector<std::byte> now(page_size());
    auto frame = handle_->index().find_frame(1, header_.max_frame);
    const Status read =
        frame && *frame != 0
            ? handle_->read_wal(now, frame_offset(*frame, page_size()) + kFrameHeaderSize)
            : handle_->read_database(now, 0);
    if (read) local_now = load_be<std::uint32_t>(now.data() + kSchemaCookieOffset);
  }
  const std::uint32_t origin_now = disguise_.cookie_replaced ? disguise_.origin_cookie : local_now;
  const bool same_schema = !other_history && origin == origin_now;
  const std::uint32_t local = same_schema ? local_now : unseen_cookie(origin, local_now);
  disguise_ = PageOneDisguise{local != origin, local, origin};
  store_be(cookie, local);
  page[kWriteVersionOffset] = kGuardVersionByte;
  page[kReadVersionOffset] = kWalVersionByte;
}

Status Injector::begin_log() {
  WalHeader log;
  log.big_endian_words = std::endian::native == std::endian::big;
  log.page_size = page_size();
  if (header_.salts == Salts{}) sqlite().randomness(8, header_.salts.data());
  log.salts = header_.salts;
  std::array<std::byte, kWalHeaderSize> raw{};
  log.encode(raw);
  if (Status written = handle_->write_wal(raw, 0); !written) return written;
  // Without this sync a power cut can leave the old header, old frames and new frames together,
  // and recovery would apply the old ones.
  if (Status synced = handle_->sync_wal(); !synced) return synced;
  header_.big_endian_words = log.big_endian_words ? 1 : 0;
  header_.set_page_size(page_size());
  header_.set_chain(log.checksum);
  chain_ = log.checksum;
  return {};
}

/// Fills in the header of a held frame, as the next of the log's chain.
void Injector::seal_frame(std::size_t index, std::uint32_t commit_page_count) {
  const bool big = header_.big_endian_words != 0;
  const auto raw = held_.frames(index, 1);
  FrameHeader frame;
  frame.page_number = held_.page_number(index);
  frame.commit_page_count = commit_page_count;
  frame.salts = header_.salts;
  frame.encode(raw.data());
  chain_ = extend_checksum(chain_, raw.first(8), big);
  chain_ = extend_checksum(chain_, raw.subspan(kFrameHeaderSize), big);
  frame.checksum = chain_;
  frame.encode(raw.data());
}

/// Appends the held pages as frames behind the last one, published or spilled. With a commit page
/// count the last of them is the commit frame.
Status Injector::write_frames(std::uint32_t commit_page_count) {
  if (header_.max_frame == 0 && spilled_frames_ == 0) {
    if (Status begun = begin_log(); !begun) return begun;
  }
  const std::size_t at_once = std::max<std::size_t>(1, kWriteBuffer / frame_size(page_size()));
  const std::uint32_t first = header_.max_frame + spilled_frames_ + 1;
  for (std::size_t done = 0; done < held_.size(); done += at_once) {
    const std::size_t n = std::min(at_once, held_.size() - done);
    for (std::size_t i = done; i < done + n; ++i) {
      seal_frame(i, i + 1 == held_.size() ? commit_page_count : 0);
    }
    const auto from = static_cast<std::uint32_t>(first + done);
    if (Status written = handle_->write_wal(held_.frames(done, n), frame_offset(from, page_size()));
        !written)
      return written;
  }
  for (std::size_t i = 0; i < held_.size(); ++i) {
    const auto frame = static_cast<std::uint32_t>(first + i);
    if (Status entered = handle_->index().append(frame, held_.page_number(i)); !entered)
      return entered;
  }
  spilled_frames_ += static_cast<std::uint32_t>(held_.size());
  return {};
}

Status Injector::spill() {
  if (Status accounted = account_held(); !accounted) return accounted;
  for (std::size_t i = 0; i < held_.size(); ++i) {
    if (held_.page_number(i) > page_count_) spilled_new_.add(held_.page_number(i));
  }
  // Page 1 stays in memory: it is disguised only once, at the end, and there is always a page
  // left to carry the commit.
  std::vector<std::byte> page_one;
  if (const auto held = held_.find(1); !held.empty()) {
    auto before = contribution(1);
    if (!before) return fail(before.error());
    pending_root_ += *before;
    pending_root_ -= hash_page(1, held);
    page_one.assign(held.begin(), held.end());
    held_.erase(1);
  }
  Status written = write_frames(0);
  held_.clear();
  if (!page_one.empty()) std::memcpy(held_.put(1).data(), page_one.data(), page_one.size());
  return written;
}

Status Injector::hold_page_one_again() {
  std::vector<std::byte> page(page_size());
  if (Status read = read_page(1, page); !read) return read;
  undisguise_page_one(page, disguise_);
  return add_page(1, page);
}

Status Injector::commit(const CommitRequest& request) {
  if (Status same = handle_->check_process(); !same) return same;
  held_.erase_beyond(request.page_count);
  // There must be a page to carry the commit; and after another history page 1 must carry another
  // schema cookie, even if nothing else of it changed.
  if (held_.empty() || (request.other_history && !held_.contains(1))) {
    if (Status held = hold_page_one_again(); !held) return rollback(), held;
  }
  if (Status accounted = account_held(); !accounted) return rollback(), accounted;
  auto dropped = dropped_pages(request.page_count);
  if (!dropped) return rollback(), fail(dropped.error());
  pending_root_ -= *dropped;
  if (pending_root_ != request.expected_root) {
    const std::string text = "the pages lead to root " + pending_root_.to_text() + " instead of " +
                             request.expected_root.to_text();
    rollback();
    return fail(ErrorCode::kCorrupt, text);
  }
  const PageOneDisguise disguise_before = disguise_;
  PageOneDisguise disguise_after = disguise_;
  if (const auto page_one = held_.find(1); !page_one.empty()) {
    disguise_page_one(page_one, request.other_history);
    disguise_after = disguise_;
    disguise_ = disguise_before;
  }
  const std::uint32_t before = header_.max_frame;
  if (Status written = write_frames(request.page_count); !written) return rollback(), written;
  IndexHeader next = header_;
  next.max_frame = before + spilled_frames_;
  next.page_count = request.page_count;
  next.set_chain(chain_);
  ++next.change;
  if (request.before_publish) {
    if (Status intended =
            request.before_publish({next.salts, next.max_frame, chain_}, disguise_after);
        !intended) {
      return rollback(), intended;
    }
  }
  {
    const std::unique_lock lock(publish_mutex_);
    handle_->index().publish(next);
    header_ = next;
    disguise_ = disguise_after;
  }
  page_count_ = request.page_count;
  root_ = pending_root_;
  other_size_.reset();
  held_.clear();
  spilled_frames_ = 0;
  spilled_new_.clear();
  covered_ = 0;
  return {};
}

void Injector::rollback() {
  held_.clear();
  spilled_new_.clear();
  covered_ = 0;
  spilled_frames_ = 0;
  if (const auto before = std::exchange(other_size_, std::nullopt)) {
    handle_->set_page_size(before->page_size);
    held_ = HeldFrames(before->page_size);
    header_.set_page_size(before->page_size);
    page_count_ = before->page_count;
    root_ = before->root;
  }
  chain_ = header_.chain();
  // Entries without a header that shows them; append() would stumble over them.
  (void)handle_->index().clear_beyond(header_.max_frame);
}

Result<Injector::MaintenanceResult> Injector::maintain(const Maintenance& maintenance) {
  MaintenanceResult result;
  const std::uint64_t bytes = log_bytes();
  result.due = bytes >= options_.wal_limit_bytes;
  if ((!result.due && !maintenance.force) || header_.max_frame == 0 || has_pages()) return result;
  // Once all is backfilled, new readers need no frame of the log: whoever still does goes soon.
  // Nothing is injected meanwhile, so the wait is short, and longer only where the log outgrows.
  const bool outgrown = bytes >= options_.wal_limit_bytes + options_.wal_limit_bytes / 2;
  const auto now = std::chrono::steady_clock::now();
  auto deadline = now + (outgrown ? kLongRestartPatience : kShortRestartPatience);
  if (bytes >= options_.wal_limit_bytes + options_.wal_limit_bytes / 4 * 3 &&
      now >= next_last_patience_) {
    deadline = now + kLastRestartPatience;
    next_last_patience_ = now + kLastPatienceAgain;
  }
  for (;;) {
    result.reader_in_the_way = false;
    if (Status moved = backfill_to_file(maintenance, result); !moved) return fail(moved.error());
    if (handle_->index().backfill() == header_.max_frame) {
      const std::unique_lock lock(publish_mutex_);
      auto restarted = restart_log(*handle_, header_);
      if (!restarted) return fail(restarted.error());
      result.restarted = *restarted;
    }
    if (result.restarted || std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(kRestartRetry);
  }
  result.reader_in_the_way = !result.restarted;
  if (result.restarted) next_last_patience_ = {};
  if (result.restarted && wal_bytes() > 2 * options_.wal_limit_bytes) {
    if (Status cut = handle_->truncate_wal(0); !cut) return fail(cut.error());
  }
  return result;
}

Status Injector::backfill_to_file(const Maintenance& maintenance, MaintenanceResult& result) {
  const std::uint32_t before = handle_->index().backfill();
  if (before == header_.max_frame) return {};
  if (Status noted = maintenance.before_file_write(); !noted) return noted;
  auto done = backfill(*handle_, header_, header_.max_frame, BackfillScope::kUpToReaders);
  if (!done) return fail(done.error());
  result.reader_in_the_way = done->reader_in_the_way;
  return maintenance.after_file_write(done->backfilled == header_.max_frame);
}

Status Injector::remove_guard() {
  rollback();
  std::vector<std::byte> page(page_size());
  if (Status read = read_page(1, page); !read) return read;
  page[kWriteVersionOffset] = kWalVersionByte;
  std::memcpy(held_.put(1).data(), page.data(), page.size());
  if (Status written = write_frames(page_count_); !written) return rollback(), written;
  IndexHeader next = header_;
  next.max_frame += spilled_frames_;
  next.page_count = page_count_;
  next.set_chain(chain_);
  ++next.change;
  handle_->index().publish(next);
  header_ = next;
  held_.clear();
  spilled_frames_ = 0;
  if (Status synced = handle_->sync_wal(); !synced) return synced;
  return {};
}

}  // namespace walferry::wal
