/// Writes transactions into the WAL of a local SQLite file, so that stock SQLite in any process
/// sees each of them whole or not at all.
///
/// An injector owns CKPT and WRITE of the file for as long as it lives: nobody else writes,
/// checkpoints or restarts the log. Pages of a transaction are held in memory up to a budget;
/// beyond it they are written behind the last frame, where no reader looks, until the commit
/// frame and the header make them count. Page 1 gets the guard that makes stock SQLite refuse
/// writes.
///
/// The root of the page hashes is carried along: a transaction is published only if the root it
/// leads to is the expected one.
/// Thread safety: one thread uses an injector; read_page_for_others() may be called from any.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <vector>

#include "wal/backfill.h"
#include "wal/database_handle.h"
#include "wal/held_frames.h"
#include "wal/page_hash.h"
#include "wal/page_set.h"
#include "wal/replica_record.h"
#include "walferry/error.hpp"

namespace walferry::wal {

struct InjectorOptions {
  std::uint64_t wal_limit_bytes = 16ull << 20;
  std::size_t memory_budget = 8u << 20;  ///< pages of one transaction held in memory
  const char* test_vfs = nullptr;
};

class Injector {
 public:
  /// Attaches to an existing file. kBusy: another engine (or a writer) holds it.
  static Result<std::unique_ptr<Injector>> attach(const std::filesystem::path& path,
                                                  const InjectorOptions& options);
  ~Injector();

  [[nodiscard]] DatabaseHandle& handle() noexcept { return *handle_; }
  [[nodiscard]] std::uint32_t page_size() const noexcept { return handle_->page_size(); }
  [[nodiscard]] std::uint32_t page_count() const noexcept { return page_count_; }
  [[nodiscard]] WalPoint wal_point() const noexcept;
  [[nodiscard]] Hash128 root() const noexcept { return root_; }
  [[nodiscard]] const PageOneDisguise& disguise() const noexcept { return disguise_; }
  /// The root and disguise of the state that is in the file: proven, or computed by hash_all().
  /// `page_count` counts where the log is empty and the file's own header could be an older one.
  void set_state(const Hash128& root, const PageOneDisguise& disguise,
                 std::uint32_t page_count) noexcept {
    root_ = root;
    disguise_ = disguise;
    page_count_ = page_count;
    covered_ = 0;
  }

  /// Hashes pages 1..`page_count` of the current state; `sums`, if given, gets the sum of each 256
  /// pages.
  Result<Hash128> hash_all(const PageOneDisguise& disguise, std::uint32_t page_count,
                           std::vector<Hash128>* sums,
                           const std::function<Status(std::uint32_t pages_done)>& progress);
  /// The newest version of a page, the transaction under way included.
  Status read_page(std::uint32_t page, std::span<std::byte> bytes);
  /// The newest published version, as the primary has it. Any thread.
  Status read_page_for_others(std::uint32_t page, std::span<std::byte> bytes);

  /// Begins a transaction that replaces all by a database with pages of another size; rollback()
  /// goes back. kBusy where the log is not empty: a log has one page size.
  Status change_page_size(std::uint32_t page_size);

  // A transaction: pages in any order, the last version of each counts.
  Status add_page(std::uint32_t page, std::span<const std::byte> bytes);
  /// Whether every page up to `page_count` is in the published state or was added since.
  [[nodiscard]] bool covers(std::uint32_t page_count);
  [[nodiscard]] bool has_pages() const noexcept { return !held_.empty() || spilled_frames_ != 0; }
  [[nodiscard]] std::size_t held_bytes() const noexcept { return held_.size() * page_size(); }
  [[nodiscard]] std::uint64_t pages_in_transaction() const noexcept {
    return held_.size() + spilled_frames_;
  }

  struct CommitRequest {
    std::uint32_t page_count = 0;
    Hash128 expected_root;
    bool other_history = false;  ///< readers must not keep any schema over it
    /// Called when all is proven and written but the header: the last moment to write an intent.
    std::function<Status(const WalPoint& after, const PageOneDisguise& disguise)> before_publish;
  };
  /// Publishes. kCorrupt: the pages do not lead to the expected root; the transaction is gone.
  Status commit(const CommitRequest& request);
  void rollback();

  /// Moves frames into the file, and restarts the log if it is all done, when the WAL is beyond
  /// its limit (or always with `force`). The callbacks frame the writes to the database file.
  struct Maintenance {
    std::function<Status()> before_file_write;
    std::function<Status(bool settled)> after_file_write;
    bool force = false;
  };
  struct MaintenanceResult {
    bool due = false;  ///< the WAL was beyond its limit
    bool reader_in_the_way = false;
    bool restarted = false;
  };
  Result<MaintenanceResult> maintain(const Maintenance& maintenance);
  [[nodiscard]] std::uint64_t wal_bytes() const;
  /// Of the log in that file: what readers see, without what an earlier, longer log left behind.
  [[nodiscard]] std::uint64_t log_bytes() const noexcept;

  /// Takes the guard off: the file is an ordinary database again. Nothing may follow but close.
  Status remove_guard();

 private:
  explicit Injector(std::unique_ptr<DatabaseHandle> handle)
      : handle_(std::move(handle)), held_(handle_->page_size()) {}

  /// What was published before the transaction that changes the page size.
  struct OtherPageSize {
    std::uint32_t page_size = 0;
    std::uint32_t page_count = 0;
    Hash128 root;
    std::uint32_t schema_cookie = 0;
  };

  Result<Hash128> contribution(std::uint32_t page);
  Result<std::span<const std::byte>> old_page_of_file(std::uint32_t page);
  Status account_held();
  Result<Hash128> dropped_pages(std::uint32_t page_count);
  void seal_frame(std::size_t index, std::uint32_t commit_page_count);
  Status write_frames(std::uint32_t commit_page_count);
  Status begin_log();
  Status spill();
  void disguise_page_one(std::span<std::byte> page, bool other_history);
  Status hold_page_one_again();
  Status backfill_to_file(const Maintenance& maintenance, MaintenanceResult& result);

  std::unique_ptr<DatabaseHandle> handle_;
  std::optional<SlotLock> checkpoint_;
  std::optional<SlotLock> writer_;
  InjectorOptions options_;
  std::chrono::steady_clock::time_point next_last_patience_;
  IndexHeader header_;  ///< as published
  std::uint32_t page_count_ = 0;
  Hash128 root_;
  PageOneDisguise disguise_;
  std::optional<OtherPageSize> other_size_;

  HeldFrames held_;
  std::uint32_t spilled_frames_ = 0;  ///< frames of the transaction behind the last published one
  PageSet spilled_new_;               ///< spilled pages beyond page_count_
  std::uint32_t covered_ = 0;         ///< covers() has found every page up to here
  Checksum chain_;                    ///< after the spilled frames
  Hash128 pending_root_;
  std::vector<std::byte> old_page_;
  std::vector<std::byte> ahead_;  ///< pages of the file from ahead_first_ on, read for their hashes
  std::uint32_t ahead_first_ = 0;
  std::uint32_t ahead_pages_ = 0;
  std::shared_mutex publish_mutex_;         ///< read_page_for_others() against publish and restart
  std::unique_ptr<WalIndex> others_index_;  ///< maps regions on its own, for read_page_for_others()
  std::mutex others_mutex_;
};

}  // namespace walferry::wal
