#include "engine/publication.h"

namespace walferry::engine {

using wal::BatchHeader;
using wal::FrameHeader;

Result<std::shared_ptr<Publication>> Publication::open(const std::filesystem::path& directory,
                                                       const wal::PublishedLogOptions& options) {
  auto publication = std::make_shared<Publication>();
  auto log = wal::PublishedLog::open(directory, options);
  if (!log) return fail(log.error());
  publication->directory_ = directory;
  publication->log_ = std::move(*log);
  auto hashes = wal::PageHashes::open(directory / "hashes");
  if (!hashes) return fail(hashes.error());
  publication->hashes_ = std::move(*hashes);
  return publication;
}

Status Publication::restore_directory() {
  if (log_->is_in_place()) return {};
  if (Status made = wal::make_directory(directory_); !made) return made;
  auto hashes = wal::PageHashes::open(directory_ / "hashes");
  if (!hashes) return fail(hashes.error());
  if (Status moved = log_->move_to_new_directory(); !moved) return moved;
  const std::unique_lock lock(hashes_mutex_);
  hashes_ = std::move(*hashes);
  return {};
}

std::shared_ptr<PageSource> Publication::source() const {
  const std::lock_guard lock(mutex_);
  return source_;
}

void Publication::set_source(std::shared_ptr<PageSource> source) {
  const std::lock_guard lock(mutex_);
  source_ = std::move(source);
}

std::vector<std::uint32_t> Publication::note_pages(const BatchHeader& header,
                                                   std::span<const std::byte> payload) {
  const std::size_t size = wal::frame_size(header.page_size);
  const std::uint32_t lock_page = wal::lock_byte_page(header.page_size);
  std::vector<std::uint32_t> pages;
  pages.reserve(header.frame_count);
  for (std::uint32_t i = 0; i < header.frame_count; ++i) {
    const auto frame = payload.subspan(BatchHeader::kSize + i * size, size);
    const std::uint32_t page = FrameHeader::decode(frame.data()).page_number;
    pages.push_back(page);
    if (page != lock_page)
      pending_[page] = wal::hash_page(page, frame.subspan(wal::kFrameHeaderSize));
  }
  return pages;
}

wal::Hash128 Publication::root_after(std::uint32_t page_count) {
  wal::Hash128 root = hashes_.root();
  for (std::uint32_t page = hashes_.page_count(); page > page_count; --page)
    root -= hashes_.get(page);
  for (const auto& [page, hash] : pending_) {
    if (page > page_count) continue;
    root -= hashes_.get(page);
    root += hash;
  }
  return root;
}

Status Publication::append(std::shared_ptr<const wal::Bytes> message, const BatchHeader& header,
                           const std::vector<std::uint32_t>& pages) {
  if (Status appended = log_->append(std::move(message), header, pages); !appended) return appended;
  if (!header.ends_on_commit()) return {};
  {
    const std::unique_lock lock(hashes_mutex_);
    if (Status sized = hashes_.resize(header.page_count); !sized) return sized;
    for (const auto& [page, hash] : pending_) {
      if (page <= header.page_count) hashes_.set(page, hash);
    }
  }
  pending_.clear();
  wake_all();
  return {};
}

Status Publication::publish(BatchHeader& header, std::span<std::byte> payload) {
  const auto pages = note_pages(header, payload);
  if (header.ends_on_commit()) {
    const wal::Hash128 root = root_after(header.page_count);
    header.root_low = root.low;
    header.root_high = root.high;
  }
  header.encode(payload.data());
  return append(std::make_shared<const wal::Bytes>(encode(payload)), header, pages);
}

Status Publication::publish_received(const BatchHeader& header,
                                     std::span<const std::byte> payload) {
  return append(std::make_shared<const wal::Bytes>(encode(payload)), header,
                note_pages(header, payload));
}

wal::Bytes Publication::encode(std::span<const std::byte> payload) const {
  return wal::encode_message(
      wal::MessageType::kBatch, payload,
      distant_ > 0 ? wal::Compression::kWhenItPays : wal::Compression::kNever);
}

Status Publication::abandon_transaction() {
  pending_.clear();
  return log_->drop_unfinished();
}

Publication::WakerId Publication::subscribe(std::function<void()> waker, bool distant) {
  const std::lock_guard lock(mutex_);
  subscribers_.emplace(next_waker_, Subscriber{std::move(waker), distant});
  if (distant) ++distant_;
  return next_waker_++;
}

void Publication::unsubscribe(WakerId id) {
  const std::lock_guard lock(mutex_);
  auto found = subscribers_.find(id);
  if (found == subscribers_.end()) return;
  if (found->second.distant) --distant_;
  subscribers_.erase(found);
}

void Publication::wake_all() {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, subscriber] : subscribers_) subscriber.wake();
}

unsigned Publication::followers() const {
  const std::lock_guard lock(mutex_);
  return static_cast<unsigned>(subscribers_.size());
}

}  // namespace walferry::engine
