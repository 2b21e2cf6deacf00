/// What is published of one database: its log, its page hashes, and where its pages are read from.
///
/// A primary or a replica that serves onward writes to it on its own thread; the HTTP service
/// reads from it on others.
/// Thread safety: the log guards itself; hashes() is to be used under hashes_mutex(); the source
/// and the wakers are guarded here.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "wal/page_hashes.h"
#include "wal/published_log.h"
#include "walferry/error.hpp"

namespace walferry::engine {

/// A base that lies beyond the generation asked for.
inline constexpr std::uint64_t kBaseElsewhere = UINT64_MAX;

/// Reads pages of the database as of "now": never older than the start of the current generation,
/// newer or even torn only where frames of the current generation bring the page whole.
class PageSource {
 public:
  virtual ~PageSource() = default;
  /// Reads pages first .. first+count-1 into `bytes`. Any thread.
  virtual Status read_pages(std::uint32_t first, std::uint32_t count,
                            std::span<std::byte> bytes) = 0;
  /// The frame of `start`'s generation up to which frames must be applied to pages read before
  /// this call, to make them a committed state; kBaseElsewhere when they may be newer than it.
  virtual std::uint64_t base_frame(const wal::GenerationStart& start) = 0;
};

class Publication {
 public:
  static Result<std::shared_ptr<Publication>> open(const std::filesystem::path& directory,
                                                   const wal::PublishedLogOptions& options);

  /// Where its directory was removed or replaced: goes on in a new one, in which there is no log
  /// yet. To be called while nothing is attached.
  Status restore_directory();

  wal::PublishedLog& log() noexcept { return *log_; }
  const wal::PublishedLog& log() const noexcept { return *log_; }
  wal::PageHashes& hashes() noexcept { return hashes_; }
  std::shared_mutex& hashes_mutex() noexcept { return hashes_mutex_; }

  /// Null while nothing is attached.
  [[nodiscard]] std::shared_ptr<PageSource> source() const;
  void set_source(std::shared_ptr<PageSource> source);

  /// Applies the pages of a batch to the hashes, completes its header with the root, encodes and
  /// appends it, and wakes the followers. `payload` has room for the header in front.
  Status publish(wal::BatchHeader& header, std::span<std::byte> payload);
  /// Publishes a batch as it was received, root and all (serving onward).
  Status publish_received(const wal::BatchHeader& header, std::span<const std::byte> payload);
  /// Undoes the pieces of a transaction that will never be completed.
  Status abandon_transaction();

  using WakerId = std::uint64_t;
  /// `distant`: the follower is reached over a network, where compressing pays. Batches are encoded
  /// once for all, so they are compressed while there is one such follower.
  WakerId subscribe(std::function<void()> waker, bool distant);
  void unsubscribe(WakerId id);
  void wake_all();
  [[nodiscard]] unsigned followers() const;

 private:
  [[nodiscard]] wal::Bytes encode(std::span<const std::byte> payload) const;
  std::vector<std::uint32_t> note_pages(const wal::BatchHeader& header,
                                        std::span<const std::byte> payload);
  wal::Hash128 root_after(std::uint32_t page_count);
  Status append(std::shared_ptr<const wal::Bytes> message, const wal::BatchHeader& header,
                const std::vector<std::uint32_t>& pages);

  std::filesystem::path directory_;
  std::unique_ptr<wal::PublishedLog> log_;
  wal::PageHashes hashes_;
  std::shared_mutex hashes_mutex_;
  /// Hashes of the pages of a transaction whose commit has not been appended yet: about 50 bytes
  /// for each page that it changes. They reach the array only after the spool has the commit, so
  /// that array and spool agree whenever we are killed.
  std::unordered_map<std::uint32_t, wal::Hash128> pending_;

  mutable std::mutex mutex_;
  std::shared_ptr<PageSource> source_;
  struct Subscriber {
    std::function<void()> wake;
    bool distant;
  };
  std::unordered_map<WakerId, Subscriber> subscribers_;
  std::atomic<unsigned> distant_{0};
  WakerId next_waker_ = 1;
};

}  // namespace walferry::engine
