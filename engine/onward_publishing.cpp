// How a replica serves onward what it follows: the part of LocalReplica that feeds a Publication.
#include <algorithm>
#include <mutex>
#include <shared_mutex>

#include "engine/local_replica.h"
#include "engine/onward_source.h"

namespace walferry::engine {

namespace {

constexpr std::uint32_t kPagesBetweenChecks = 256;
/// Over more generations than that a delta begins the log anew.
constexpr std::uint64_t kMostEmpty = 1'000;

}  // namespace

Status LocalReplica::serve_onward(std::shared_ptr<Publication> publication, const StopCheck& stop) {
  publication_ = std::move(publication);
  const wal::ReplicaPoint& point = record_->points.front();
  wal::PublishedLog& log = publication_->log();
  const Position tail = log.tail().position;
  // The start of a generation is the same state as the end of the one before.
  const bool stepped_on = point.position.log == tail.log && point.position.frame == 0 &&
                          point.position.generation > tail.generation &&
                          point.position.checksum == tail.checksum;
  bool same =
      log.has_log() && (tail == point.position || stepped_on) && log.drop_unfinished().has_value();
  if (same) {
    const std::shared_lock lock(publication_->hashes_mutex());
    same = publication_->hashes().root() == point.root;
  }
  if (same) {
    if (Status begun = begin_empty_generations(point.position.generation); !begun) return begun;
  }
  if (!same) {
    if (Status hashed = hash_into_publication(stop); !hashed) return hashed;
    wal::GenerationStart start;
    start.log = point.position.log;
    start.generation = point.position.generation;
    start.frame = point.position.frame;
    start.checksum = point.position.checksum;
    start.root = point.root;
    start.page_size = injector_->page_size();
    start.page_count = point.page_count;
    if (Status begun = log.begin_log(start); !begun) return begun;
  }
  onward_source_ = std::make_shared<OnwardSource>(injector_.get());
  onward_source_->set_base(point.position);
  publication_->set_source(onward_source_);
  publication_->wake_all();
  return {};
}

Status LocalReplica::hash_into_publication(const StopCheck& stop) {
  const std::unique_lock lock(publication_->hashes_mutex());
  wal::PageHashes& hashes = publication_->hashes();
  const std::uint32_t count = injector_->page_count();
  const std::uint32_t lock_page = wal::lock_byte_page(injector_->page_size());
  if (Status sized = hashes.resize(count); !sized) return sized;
  std::vector<std::byte> bytes(injector_->page_size());
  for (std::uint32_t page = 1; page <= count; ++page) {
    if (page % kPagesBetweenChecks == 0) {
      if (Status go_on = stop(); !go_on) return go_on;
    }
    if (Status read = injector_->read_page(page, bytes); !read) return read;
    hashes.set(page, page == lock_page ? wal::Hash128{}
                                       : wal::hash_page(page, bytes, injector_->disguise()));
  }
  return {};
}

/// Ends the publication's generation and those after it, up to this one, without a frame. One by
/// one: the lists of a log are without a gap.
Status LocalReplica::begin_empty_generations(std::uint64_t until) {
  wal::PublishedLog& log = publication_->log();
  for (wal::LogTail tail = log.tail(); tail.position.generation < until; tail = log.tail()) {
    wal::GenerationStart start;
    start.log = tail.position.log;
    start.generation = tail.position.generation + 1;
    start.checksum = tail.position.checksum;
    start.root = tail.root;
    start.page_size = tail.page_size;
    start.page_count = tail.page_count;
    if (Status begun = log.begin_generation(start, {}); !begun) return begun;
  }
  return {};
}

/// After a commit: what it was made of goes to the publication, in the order it was received.
Status LocalReplica::publish_onward() {
  wal::PublishedLog& log = publication_->log();
  if (onward_start_) {
    const CommittedState& state = *onward_start_;
    wal::PageSet changed;
    {
      const std::unique_lock lock(publication_->hashes_mutex());
      wal::PageHashes& hashes = publication_->hashes();
      if (Status sized = hashes.resize(std::max(hashes.page_count(), state.page_count)); !sized)
        return sized;
      for (const auto& [page, hash] : onward_pages_) {
        changed.add(page);
        if (page <= state.page_count) hashes.set(page, hash);
      }
      if (Status sized = hashes.resize(state.page_count); !sized) return sized;
    }
    wal::GenerationStart start;
    start.log = state.position.log;
    start.generation = state.position.generation;
    start.frame = state.position.frame;
    start.checksum = state.position.checksum;
    start.root = state.root;
    start.page_size = injector_->page_size();
    start.page_count = state.page_count;

    const std::uint64_t before = log.start().generation;
    const bool follows = log.has_log() && log.start().log == start.log &&
                         before < start.generation && start.generation - before <= kMostEmpty;
    if (follows) {
      if (Status empty = begin_empty_generations(start.generation - 1); !empty) return empty;
    }
    Status begun = follows ? log.begin_generation(start, changed) : log.begin_log(start);
    if (!begun) return begun;
    publication_->wake_all();
  }
  for (QueuedBatch& batch : onward_queue_) {
    if (Status begun = begin_empty_generations(batch.header.generation); !begun) return begun;
    if (Status published = publication_->publish_received(batch.header, batch.payload); !published)
      return published;
  }
  onward_start_.reset();
  onward_pages_.clear();
  onward_queue_.clear();
  onward_queued_bytes_ = 0;
  return {};
}

}  // namespace walferry::engine
