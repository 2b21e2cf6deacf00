#include "wal/published_log.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <ranges>
#include <string>

namespace walferry::wal {

namespace {

constexpr std::uint64_t kStateMagic = 0x3165746174734657;  // "WFstate1"
constexpr std::uint64_t kPagesMagic = 0x3173656761704657;  // "WFpages1"
constexpr std::size_t kRecentLimit = 4u << 20;  // bytes of newest messages kept for live followers

/// The state record: little-endian, in the order of the members of GenerationStart.
struct StateRecord {
  static constexpr std::size_t kSize = 168;

  static Bytes encode(const GenerationStart& start) {
    Bytes bytes(kSize);
    std::byte* to = bytes.data();
    std::memcpy(to, start.log.bytes.data(), 16);
    store_le(to + 16, start.generation);
    store_le(to + 24, start.checksum);
    start.root.store(to + 32);
    store_le(to + 48, start.page_size);
    store_le(to + 52, start.page_count);
    std::memcpy(to + 56, start.cursor.salts.data(), 8);
    store_le(to + 64, start.cursor.frame);
    store_le(to + 68, std::uint32_t{start.cursor.big_endian_words});
    store_le(to + 72, start.cursor.chain.packed());
    encode_identity(to + 80, start.settled);
    encode_identity(to + 120, start.file);
    store_le(to + 160, start.frame);
    return bytes;
  }

  static std::optional<GenerationStart> decode(std::span<const std::byte> bytes) {
    if (bytes.size() != kSize) return {};
    const std::byte* from = bytes.data();
    GenerationStart start;
    std::memcpy(start.log.bytes.data(), from, 16);
    start.generation = load_le<std::uint64_t>(from + 16);
    start.checksum = load_le<std::uint64_t>(from + 24);
    start.root = Hash128::load(from + 32);
    start.page_size = load_le<std::uint32_t>(from + 48);
    start.page_count = load_le<std::uint32_t>(from + 52);
    std::memcpy(start.cursor.salts.data(), from + 56, 8);
    start.cursor.frame = load_le<std::uint32_t>(from + 64);
    start.cursor.big_endian_words = load_le<std::uint32_t>(from + 68) != 0;
    start.cursor.chain = Checksum::unpack(load_le<std::uint64_t>(from + 72));
    start.settled = decode_identity(from + 80);
    start.file = decode_identity(from + 120);
    start.frame = load_le<std::uint64_t>(from + 160);
    if (!is_valid_page_size(start.page_size)) return {};
    return start;
  }

  static void encode_identity(std::byte* to, const FileIdentity& identity) {
    store_le(to, identity.device);
    store_le(to + 8, identity.inode);
    store_le(to + 16, identity.size);
    store_le(to + 24, static_cast<std::uint64_t>(identity.modified_ns));
    store_le(to + 32, static_cast<std::uint64_t>(identity.changed_ns));
  }
  static FileIdentity decode_identity(const std::byte* from) {
    FileIdentity identity;
    identity.device = load_le<std::uint64_t>(from);
    identity.inode = load_le<std::uint64_t>(from + 8);
    identity.size = load_le<std::uint64_t>(from + 16);
    identity.modified_ns = static_cast<std::int64_t>(load_le<std::uint64_t>(from + 24));
    identity.changed_ns = static_cast<std::int64_t>(load_le<std::uint64_t>(from + 32));
    return identity;
  }
};

/// pages-GENERATION (little-endian):
///
///     offset  size
///          0     8  magic
///          8     8  generation
///         16     8  frames
///         24     8  checksum at (generation, 0)
///         32     8  checksum at its last frame
///         40     4  flags: 1 bridged
///         44     4  number of commits
///         48     4  number of changed pages
///         52     4  zero
///         56     8  size of the spool
///         64     8  XXH3-64 of all other bytes, this field as 0
///         72     8  frame at which it begins
///         80        commits (frame, checksum, end in the spool: 8 bytes each), then page numbers
///                   (4 bytes each)
constexpr std::size_t kPagesHeader = 80;
constexpr std::size_t kCommitSize = 24;

std::optional<std::uint64_t> number_after(const std::string& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return {};
  std::uint64_t number = 0;
  const char* begin = name.data() + prefix.size();
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(begin, end, number);
  if (error != std::errc{} || stop != end) return {};
  return number;
}

Result<Bytes> read_whole(const OwnFile& file) {
  auto size = file.size();
  if (!size) return fail(size.error());
  Bytes bytes(*size);
  if (Status read = file.read_at(bytes, 0); !read) return fail(read.error());
  return bytes;
}

Result<Bytes> read_pages_file(const std::filesystem::path& path) {
  auto file = OwnFile::open(path, OwnFile::Mode::kRead);
  if (!file) return fail(file.error());
  auto bytes = read_whole(*file);
  if (!bytes) return bytes;
  if (bytes->size() < kPagesHeader || load_le<std::uint64_t>(bytes->data()) != kPagesMagic) {
    return fail(ErrorCode::kCorrupt, path.string() + " is not a page list");
  }
  const auto hash = load_le<std::uint64_t>(bytes->data() + 64);
  store_le(bytes->data() + 64, std::uint64_t{0});
  const std::uint64_t commits = load_le<std::uint32_t>(bytes->data() + 44);
  const std::uint64_t pages = load_le<std::uint32_t>(bytes->data() + 48);
  if (hash64(*bytes) != hash || bytes->size() != kPagesHeader + commits * kCommitSize + pages * 4) {
    return fail(ErrorCode::kCorrupt, path.string() + " is damaged");
  }
  return bytes;
}

}  // namespace

std::filesystem::path PublishedLog::spool_path(std::uint64_t generation) const {
  return directory_ / ("frames-" + std::to_string(generation));
}
std::filesystem::path PublishedLog::pages_path(std::uint64_t generation) const {
  return directory_ / ("pages-" + std::to_string(generation));
}

Result<std::unique_ptr<PublishedLog>> PublishedLog::open(const std::filesystem::path& directory,
                                                         const PublishedLogOptions& options) {
  if (Status made = make_directory(directory); !made) return fail(made.error());
  std::unique_ptr<PublishedLog> log(new PublishedLog(directory, options));
  auto state = SlotFile::open(directory / "state", kStateMagic, true);
  if (!state) return fail(state.error());
  if (Status taken = state->file().take_exclusively(); !taken) return fail(taken.error());
  log->state_ = std::move(*state);
  if (Status loaded = log->load(); !loaded) return fail(loaded.error());
  return log;
}

Status PublishedLog::move_to_new_directory() {
  auto state = SlotFile::open(directory_ / "state", kStateMagic, true);
  if (!state) return fail(state.error());
  if (Status taken = state->file().take_exclusively(); !taken) return taken;
  const std::lock_guard lock(mutex_);
  state_ = std::move(*state);
  has_log_ = false;
  return {};
}

Status PublishedLog::load() {
  auto record = state_.read();
  if (!record) return fail(record.error());
  if (!*record) return {};
  auto start = StateRecord::decode(**record);
  if (!start) return {};
  start_ = *start;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, failed)) {
    const std::string name = entry.path().filename();
    if (auto number = number_after(name, "pages-")) {
      // A list that is damaged, or of a generation that has not ended, is as good as none.
      if (*number >= start_.generation || !load_ended(entry.path()))
        (void)remove_file(entry.path());
    }
  }
  // The lists must be without a gap up to the current generation, or they would miss pages.
  std::uint64_t expected = start_.generation;
  while (expected > 0 && generations_.contains(expected - 1)) --expected;
  while (!generations_.empty() && generations_.begin()->first < expected) {
    (void)remove_file(pages_path(generations_.begin()->first));
    generations_.erase(generations_.begin());
  }
  for (const auto& entry : std::filesystem::directory_iterator(directory_, failed)) {
    const auto number = number_after(entry.path().filename(), "frames-");
    if (number && *number != start_.generation) {
      auto found = generations_.find(*number);
      if (found == generations_.end()) (void)remove_file(entry.path());
    }
  }
  for (auto& [number, generation] : generations_) {
    auto spool = OwnFile::open(spool_path(number), OwnFile::Mode::kRead);
    if (!spool) continue;
    auto commits = commits_of(generation);
    auto size = spool->size();
    if (!commits || !size || *size != generation.spool_size) continue;
    generation.commits = std::move(*commits);
    generation.spool = std::make_shared<OwnFile>(std::move(*spool));
  }
  if (failed) return fail(system_error(failed.value(), "listing " + directory_.string()));
  Generation current;
  if (Status loaded = load_current(current); !loaded) return loaded;
  generations_[start_.generation] = std::move(current);
  has_log_ = true;
  return {};
}

Status PublishedLog::load_ended(const std::filesystem::path& file) {
  auto bytes = read_pages_file(file);
  if (!bytes) return fail(bytes.error());
  Generation generation;
  const std::byte* from = bytes->data();
  generation.number = load_le<std::uint64_t>(from + 8);
  generation.frames = load_le<std::uint64_t>(from + 16);
  generation.start_checksum = load_le<std::uint64_t>(from + 24);
  generation.end_checksum = load_le<std::uint64_t>(from + 32);
  generation.bridged = (load_le<std::uint32_t>(from + 40) & 1) != 0;
  generation.changed_pages = load_le<std::uint32_t>(from + 48);
  generation.spool_size = load_le<std::uint64_t>(from + 56);
  generation.start_frame = load_le<std::uint64_t>(from + 72);
  generation.ended = true;
  generations_[generation.number] = std::move(generation);
  return {};
}

Status PublishedLog::load_current(Generation& current) {
  current.number = start_.generation;
  current.start_frame = start_.frame;
  current.start_checksum = start_.checksum;
  auto spool = OwnFile::open(spool_path(start_.generation), OwnFile::Mode::kCreate);
  if (!spool) return fail(spool.error());
  current.spool = std::make_shared<OwnFile>(std::move(*spool));
  tail_ = LogTail{start_.position(), start_.root, start_.page_size, start_.page_count, 0};

  // Read message after message as long as they are intact and fit on each other.
  std::uint64_t offset = 0;
  std::uint64_t next_frame = start_.frame + 1;
  std::uint64_t checksum = start_.checksum;
  auto size = current.spool->size();
  if (!size) return fail(size.error());
  MessageParser parser;
  std::vector<std::uint32_t> pages;
  while (offset + kEnvelopeSize <= *size) {
    std::array<std::byte, kEnvelopeSize> envelope{};
    if (Status read = current.spool->read_at(envelope, offset); !read) return read;
    auto length = message_size(envelope);
    if (!length || offset + *length > *size) break;
    Bytes message(*length);
    if (Status read = current.spool->read_at(message, offset); !read) return read;
    parser.reset();
    const Status fed =
        parser.feed(message, [&](MessageType type, std::span<const std::byte> payload) -> Status {
          auto header = type == MessageType::kBatch ? BatchHeader::decode(payload) : std::nullopt;
          if (!header || header->generation != start_.generation ||
              header->first_frame != next_frame || header->checksum_before != checksum) {
            return fail(ErrorCode::kCorrupt, "a message that does not fit on the one before");
          }
          for (std::uint32_t i = 0; i < header->frame_count; ++i) {
            pages.push_back(FrameHeader::decode(payload.data() + BatchHeader::kSize +
                                                i * frame_size(header->page_size))
                                .page_number);
          }
          next_frame = header->last_frame() + 1;
          checksum = header->checksum_after;
          if (header->ends_on_commit()) {
            const CommitMark mark{header->last_frame(), checksum, offset + *length};
            const Hash128 root{header->root_low, header->root_high};
            current.commits.push_back(mark);
            current.roots.push_back(root);
            tail_.position.frame = mark.frame;
            tail_.position.checksum = mark.checksum;
            tail_.root = root;
            tail_.page_count = header->page_count;
            tail_.spool_end = mark.spool_end;
            for (const std::uint32_t page : pages) touched_.add(page);
            pages.clear();
          }
          return {};
        });
    if (!fed) break;
    offset += *length;
  }
  current.frames = tail_.position.frame;
  current.end_checksum = tail_.position.checksum;
  current.spool_size = spool_write_ = tail_.spool_end;
  return current.spool->resize(tail_.spool_end);
}

Status PublishedLog::replay(
    const std::function<Status(const BatchHeader&, std::span<const std::byte>)>& visit) const {
  std::shared_ptr<OwnFile> spool;
  std::uint64_t end = 0;
  {
    const std::lock_guard lock(mutex_);
    spool = generations_.at(start_.generation).spool;
    end = tail_.spool_end;
  }
  MessageParser parser;
  Bytes buffer(kTargetPayload);
  for (std::uint64_t offset = 0; offset < end;) {
    const std::size_t n = std::min<std::uint64_t>(buffer.size(), end - offset);
    const std::span<std::byte> piece = std::span(buffer).first(n);
    if (Status read = spool->read_at(piece, offset); !read) return read;
    const Status fed =
        parser.feed(piece, [&](MessageType, std::span<const std::byte> payload) -> Status {
          const auto header = BatchHeader::decode(payload);
          if (!header) return fail(ErrorCode::kCorrupt, spool->path().string() + " is damaged");
          return visit(*header, payload);
        });
    if (!fed) return fed;
    offset += n;
  }
  return {};
}

bool PublishedLog::has_log() const {
  const std::lock_guard lock(mutex_);
  return has_log_;
}
GenerationStart PublishedLog::start() const {
  const std::lock_guard lock(mutex_);
  return start_;
}
LogTail PublishedLog::tail() const {
  const std::lock_guard lock(mutex_);
  return tail_;
}
bool PublishedLog::current_is_empty() const {
  const std::lock_guard lock(mutex_);
  return tail_.spool_end == 0 && spool_write_ == 0;
}

Status PublishedLog::write_state(const GenerationStart& start) {
  return state_.write(StateRecord::encode(start));
}

Status PublishedLog::begin_log(const GenerationStart& start) {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, failed)) {
    const std::string name = entry.path().filename();
    if (number_after(name, "pages-") || number_after(name, "frames-")) {
      if (Status removed = remove_file(entry.path()); !removed) return removed;
    }
  }
  if (failed) return fail(system_error(failed.value(), "listing " + directory_.string()));
  if (Status written = write_state(start); !written) return written;
  const std::lock_guard lock(mutex_);
  generations_.clear();
  recent_.clear();
  recent_bytes_ = 0;
  return open_generation(start);
}

Status PublishedLog::open_generation(const GenerationStart& start) {
  auto spool = OwnFile::open(spool_path(start.generation), OwnFile::Mode::kCreate);
  if (!spool) return fail(spool.error());
  if (Status emptied = spool->resize(0); !emptied) return emptied;
  Generation generation;
  generation.number = start.generation;
  generation.start_frame = generation.frames = start.frame;
  generation.start_checksum = generation.end_checksum = start.checksum;
  generation.spool = std::make_shared<OwnFile>(std::move(*spool));
  generations_[start.generation] = std::move(generation);
  start_ = start;
  tail_ = LogTail{start.position(), start.root, start.page_size, start.page_count, 0};
  touched_.clear();
  unfinished_.clear();
  spool_write_ = 0;
  has_log_ = true;
  return {};
}

Status PublishedLog::begin_generation(const GenerationStart& start, const PageSet& changed) {
  Generation ending;
  PageSet pages;
  {
    const std::lock_guard lock(mutex_);
    ending = generations_.at(start_.generation);
    pages = touched_;
  }
  pages.merge(changed);
  ending.bridged = start.checksum != ending.end_checksum;
  ending.ended = true;
  ending.changed_pages = pages.count();
  // The list before the state: a state whose predecessor has no list would only cost a reconcile,
  // but a list that is there can never be missing pages.
  if (Status written = write_ended(ending, pages); !written) return written;
  if (Status written = write_state(start); !written) return written;
  const std::lock_guard lock(mutex_);
  std::vector<Hash128>().swap(ending.roots);  // clear() would keep the memory
  generations_[ending.number] = std::move(ending);
  Status opened = open_generation(start);
  if (opened) drop_old_generations();
  return opened;
}

Status PublishedLog::write_ended(const Generation& generation, const PageSet& pages) {
  Bytes bytes(kPagesHeader + generation.commits.size() * kCommitSize +
              std::size_t{pages.count()} * 4);
  std::byte* to = bytes.data();
  store_le(to, kPagesMagic);
  store_le(to + 8, generation.number);
  store_le(to + 16, generation.frames);
  store_le(to + 24, generation.start_checksum);
  store_le(to + 32, generation.end_checksum);
  store_le(to + 40, std::uint32_t{generation.bridged ? 1u : 0u});
  store_le(to + 44, static_cast<std::uint32_t>(generation.commits.size()));
  store_le(to + 48, pages.count());
  store_le(to + 56, generation.spool_size);
  store_le(to + 72, generation.start_frame);
  to += kPagesHeader;
  for (const CommitMark& mark : generation.commits) {
    store_le(to, mark.frame);
    store_le(to + 8, mark.checksum);
    store_le(to + 16, mark.spool_end);
    to += kCommitSize;
  }
  pages.for_each([&](std::uint32_t page) {
    store_le(to, page);
    to += 4;
  });
  store_le(bytes.data() + 64, hash64(bytes));
  auto file = OwnFile::open(pages_path(generation.number), OwnFile::Mode::kCreate);
  if (!file) return fail(file.error());
  if (Status emptied = file->resize(0); !emptied) return emptied;
  return file->write_at(bytes, 0);
}

void PublishedLog::drop_old_generations() {
  while (generations_.size() > options_.retained_generations + 1) {
    (void)remove_file(pages_path(generations_.begin()->first));
    (void)remove_file(spool_path(generations_.begin()->first));
    generations_.erase(generations_.begin());
  }
  // Frames: the newest ended generation always, older ones as far as the retention reaches.
  std::uint64_t kept = 0;
  bool newest = true;
  for (auto& [number, generation] : std::views::reverse(generations_)) {
    if (!generation.ended || !generation.spool) continue;
    kept += generation.spool_size;
    if (kept > options_.retention_bytes && !newest) {
      (void)remove_file(spool_path(number));
      generation.spool.reset();
      generation.commits.clear();
      generation.commits.shrink_to_fit();
    }
    newest = false;
  }
}

Status PublishedLog::update_start(const GenerationStart& start) {
  if (Status written = write_state(start); !written) return written;
  const std::lock_guard lock(mutex_);
  start_ = start;
  return {};
}

Status PublishedLog::append(std::shared_ptr<const Bytes> message, const BatchHeader& header,
                            const std::vector<std::uint32_t>& pages) {
  std::shared_ptr<OwnFile> spool;
  std::uint64_t offset = 0;
  {
    const std::lock_guard lock(mutex_);
    spool = generations_.at(start_.generation).spool;
    offset = spool_write_;
  }
  if (Status written = spool->write_at(*message, offset); !written) return written;

  const std::lock_guard lock(mutex_);
  Generation& current = generations_.at(start_.generation);
  spool_write_ += message->size();
  for (const std::uint32_t page : pages) unfinished_.add(page);
  recent_bytes_ += message->size();
  recent_.push_back({current.number, offset, std::move(message)});
  while (recent_bytes_ > kRecentLimit && recent_.size() > 1) {
    recent_bytes_ -= recent_.front().bytes->size();
    recent_.pop_front();
  }
  if (!header.ends_on_commit()) return {};
  touched_.merge(unfinished_);
  unfinished_.clear();
  const CommitMark mark{header.last_frame(), header.checksum_after, spool_write_};
  current.commits.push_back(mark);
  current.roots.push_back({header.root_low, header.root_high});
  current.frames = mark.frame;
  current.end_checksum = mark.checksum;
  current.spool_size = mark.spool_end;
  tail_.position.frame = mark.frame;
  tail_.position.checksum = mark.checksum;
  tail_.root = current.roots.back();
  tail_.page_count = header.page_count;
  tail_.spool_end = mark.spool_end;
  return {};
}

Status PublishedLog::drop_unfinished() {
  const std::lock_guard lock(mutex_);
  if (spool_write_ == tail_.spool_end) return {};
  unfinished_.clear();
  spool_write_ = tail_.spool_end;
  std::erase_if(recent_, [this](const RecentMessage& message) {
    return message.generation == start_.generation && message.offset >= tail_.spool_end;
  });
  recent_bytes_ = 0;
  for (const auto& message : recent_) recent_bytes_ += message.bytes->size();
  return generations_.at(start_.generation).spool->resize(tail_.spool_end);
}

Status PublishedLog::sync() {
  std::shared_ptr<OwnFile> spool;
  {
    const std::lock_guard lock(mutex_);
    if (!has_log_) return {};
    spool = generations_.at(start_.generation).spool;
  }
  if (Status synced = spool->sync(); !synced) return synced;
  if (Status synced = state_.sync(); !synced) return synced;
  return sync_directory(directory_);
}

Result<std::vector<CommitMark>> PublishedLog::commits_of(const Generation& generation) const {
  auto bytes = read_pages_file(pages_path(generation.number));
  if (!bytes) return fail(bytes.error());
  std::vector<CommitMark> commits(load_le<std::uint32_t>(bytes->data() + 44));
  const std::byte* from = bytes->data() + kPagesHeader;
  for (CommitMark& mark : commits) {
    mark = {load_le<std::uint64_t>(from), load_le<std::uint64_t>(from + 8),
            load_le<std::uint64_t>(from + 16)};
    from += kCommitSize;
  }
  return commits;
}

bool PublishedLog::raw_is_cheaper(std::uint64_t generation, std::uint64_t offset) const {
  std::uint64_t raw = 0;
  std::uint64_t pages = 0;
  for (auto it = generations_.find(generation); it != generations_.end(); ++it) {
    const Generation& g = it->second;
    if (!g.spool || (g.ended && g.bridged)) return false;
    raw += g.spool_size - (g.number == generation ? offset : 0);
    if (g.ended) pages = std::max<std::uint64_t>(pages, g.changed_pages);
  }
  // The pages of a delta are at least those of the generation that changed most of them.
  return raw <= pages * start_.page_size + kTargetPayload;
}

Result<LocatedPosition> PublishedLog::locate(const Position& position) const {
  const auto unknown = [&](const char* why) {
    return fail(ErrorCode::kHistoryChanged,
                "position " + position.to_text() + " is not part of this log: " + why);
  };
  const std::lock_guard lock(mutex_);
  if (!has_log_ || position.log != start_.log) return unknown("another log id");
  auto found = generations_.find(position.generation);
  if (found == generations_.end()) {
    return unknown(position.generation > start_.generation ? "a generation in the future"
                                                           : "its generation is not kept any more");
  }
  const Generation& generation = found->second;
  LocatedPosition located{false, generation.number, 0};
  if (position.frame == generation.start_frame) {
    if (position.checksum != generation.start_checksum) return unknown("another checksum");
  } else {
    std::vector<CommitMark> loaded;
    const std::vector<CommitMark>* commits = &generation.commits;
    if (generation.ended && !generation.spool) {
      auto read = commits_of(generation);
      if (!read) return fail(read.error());
      loaded = std::move(*read);
      commits = &loaded;
    }
    const auto mark = std::ranges::lower_bound(*commits, position.frame, {}, &CommitMark::frame);
    if (mark == commits->end() || mark->frame != position.frame) {
      return unknown(position.frame > generation.frames ? "a frame in the future"
                                                        : "no commit ends there");
    }
    if (mark->checksum != position.checksum) return unknown("another checksum");
    located.spool_offset = mark->spool_end;
  }
  // At the very end of a generation that the next one continues, the position is the next one's
  // start as well.
  while (
      generations_.at(located.generation).ended && !generations_.at(located.generation).bridged &&
      located.spool_offset == generations_.at(located.generation).spool_size &&
      (position.frame == generations_.at(located.generation).frames || located.spool_offset == 0)) {
    ++located.generation;
    located.spool_offset = 0;
    if (generations_.at(located.generation).spool_size != 0) break;
  }
  if (located.generation != start_.generation &&
      !raw_is_cheaper(located.generation, located.spool_offset)) {
    located.needs_delta = true;
  }
  return located;
}

Result<PublishedLog::Changes> PublishedLog::changes_between(std::uint64_t from,
                                                            std::uint64_t to) const {
  Changes changes;
  for (std::uint64_t generation = from; generation < to; ++generation) {
    auto bytes = read_pages_file(pages_path(generation));
    if (!bytes) {
      return fail(ErrorCode::kHistoryChanged, "generation " + std::to_string(generation) +
                                                  " is not kept any more (" +
                                                  bytes.error().message + ")");
    }
    const std::byte* header = bytes->data();
    changes.bridged = changes.bridged || (load_le<std::uint32_t>(header + 40) & 1) != 0;
    const std::size_t commits = load_le<std::uint32_t>(header + 44);
    const std::size_t count = load_le<std::uint32_t>(header + 48);
    const std::byte* page = header + kPagesHeader + commits * kCommitSize;
    for (std::size_t i = 0; i < count; ++i) changes.pages.add(load_le<std::uint32_t>(page + i * 4));
  }
  return changes;
}

Result<std::optional<PublishedLog::Piece>> PublishedLog::read(std::uint64_t generation,
                                                              std::uint64_t offset,
                                                              std::size_t limit) const {
  std::shared_ptr<OwnFile> spool;
  std::uint64_t end = 0;
  {
    const std::lock_guard lock(mutex_);
    auto found = generations_.find(generation);
    if (found == generations_.end() || !found->second.spool) {
      return fail(ErrorCode::kNotFound, "the frames of generation " + std::to_string(generation) +
                                            " are not kept any more");
    }
    spool = found->second.spool;
    end = found->second.ended ? found->second.spool_size : tail_.spool_end;
    if (offset >= end) return std::optional<Piece>{};
    const auto recent = std::ranges::lower_bound(
        recent_, std::pair(generation, offset), {},
        [](const RecentMessage& m) { return std::pair(m.generation, m.offset); });
    if (recent != recent_.end() && recent->generation == generation && recent->offset == offset) {
      return Piece{recent->bytes, *recent->bytes};
    }
  }
  auto bytes = std::make_shared<Bytes>(std::min<std::uint64_t>(limit, end - offset));
  if (Status read = spool->read_at(*bytes, offset); !read) return fail(read.error());
  const std::span<const std::byte> view = *bytes;
  return Piece{std::move(bytes), view};
}

bool PublishedLog::is_end_of(std::uint64_t generation, std::uint64_t offset) const {
  const std::lock_guard lock(mutex_);
  auto found = generations_.find(generation);
  return found != generations_.end() && found->second.ended && found->second.spool_size == offset;
}

bool PublishedLog::continues(std::uint64_t generation) const {
  const std::lock_guard lock(mutex_);
  auto found = generations_.find(generation);
  return found != generations_.end() && found->second.ended && !found->second.bridged;
}

std::optional<std::uint64_t> PublishedLog::ended_spool_size(std::uint64_t generation) const {
  const std::lock_guard lock(mutex_);
  auto found = generations_.find(generation);
  if (found == generations_.end() || !found->second.ended || !found->second.spool) return {};
  return found->second.spool_size;
}

std::optional<Hash128> PublishedLog::root_at(const Position& position) const {
  const std::lock_guard lock(mutex_);
  if (!has_log_ || position.log != start_.log) return {};
  if (position.generation == start_.generation && position.frame == start_.frame) {
    if (position.checksum != start_.checksum) return {};
    return start_.root;
  }
  if (position.generation != start_.generation) {
    // The end of the generation before is the start of this one.
    auto found = generations_.find(position.generation);
    if (position.generation + 1 == start_.generation && found != generations_.end() &&
        !found->second.bridged && position.frame == found->second.frames &&
        position.checksum == found->second.end_checksum) {
      return start_.root;
    }
    return {};
  }
  const Generation& current = generations_.at(start_.generation);
  const auto mark =
      std::ranges::lower_bound(current.commits, position.frame, {}, &CommitMark::frame);
  if (mark == current.commits.end() || mark->frame != position.frame ||
      mark->checksum != position.checksum)
    return {};
  return current.roots[static_cast<std::size_t>(mark - current.commits.begin())];
}

}  // namespace walferry::wal
