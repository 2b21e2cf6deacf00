/// The local side of a replica: the file, its side file, and the proof of where it stands.
///
/// Everything that changes the file is recorded in the side file before it happens, so that after
/// a kill or a power cut the position is proven from what is there, or declared unknown; it is
/// never guessed.
/// Thread safety: one thread uses it; the page source it hands out may be used by any.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/publication.h"
#include "engine/replica_target.h"
#include "wal/injector.h"
#include "wal/replica_record.h"
#include "walferry/log_sink.hpp"
#include "walferry/replica.hpp"

namespace walferry::engine {

/// Where the files of a replica lie.
struct ReplicaPaths {
  explicit ReplicaPaths(std::filesystem::path local)
      : database(std::move(local)),
        wal(database.string() + "-wal"),
        shm(database.string() + "-shm"),
        journal(database.string() + "-journal"),
        side(database.string() + "-walferry"),
        image(database.string() + "-walferry-part"),
        published(database.string() + "-walferry-log") {}
  std::filesystem::path database, wal, shm, journal, side, image, published;
};

class OnwardSource;

class LocalReplica : public ReplicaTarget {
 public:
  using StopCheck = std::function<Status()>;

  /// Opens the side file (creating it) and takes it for this process.
  static Result<std::unique_ptr<LocalReplica>> open(const ReplicaOptions& options);
  ~LocalReplica() override;

  [[nodiscard]] const ReplicaPaths& paths() const noexcept { return paths_; }
  [[nodiscard]] bool database_exists() const { return wal::identify(paths_.database).exists(); }
  /// Where the side file was removed or replaced: takes the one that is there now, or a new one.
  Status restore_side_file();
  /// The record as it is in the side file; nothing when there is none.
  [[nodiscard]] const std::optional<wal::ReplicaRecord>& record() const noexcept { return record_; }
  Status save(const wal::ReplicaRecord& record);
  Status sync_record() { return side_.sync(); }
  /// Records, durably, that nothing will be written any more until the next attach().
  Status close_record();
  Status write_status(const std::string& json) {
    return wal::write_status_text(side_.file(), json);
  }
  Result<std::optional<std::string>> read_status() { return wal::read_status_text(side_.file()); }
  /// Removes the side file if nothing was ever recorded in it: the local file stayed somebody
  /// else's.
  void discard_unused_side_file();

  /// Whether a local file is surely a replica of ours (its guard stands).
  Result<bool> is_guarded() const;
  /// Attaches to the local file and proves its position; nothing when it cannot be proven.
  Result<std::optional<Position>> attach(const StopCheck& stop);
  void detach();
  [[nodiscard]] bool attached() const noexcept { return injector_ != nullptr; }
  wal::Injector& injector() noexcept { return *injector_; }
  /// The three files are still those that were attached, and the side file is in its place.
  [[nodiscard]] Status check_files() const;
  /// Moves the position within the same state (the start of a generation is the end of the last).
  Status move_to(const Position& position);
  /// Backfills and restarts the local WAL when it is due. Seconds a reader has been in the way.
  Result<wal::Injector::MaintenanceResult> maintain(bool force);

  /// Begins a transaction that replaces all by a database with pages of another size.
  Status change_page_size(std::uint32_t page_size);

  /// Publishes what is followed. Brings the publication to the proven position first.
  Status serve_onward(std::shared_ptr<Publication> publication, const StopCheck& stop);

  // ReplicaTarget: into the WAL of the local file.
  [[nodiscard]] std::uint32_t page_size() const override { return injector_->page_size(); }
  Status add_page(std::uint32_t page, std::span<const std::byte> bytes) override;
  bool covers(std::uint32_t page_count) override { return injector_->covers(page_count); }
  [[nodiscard]] std::size_t held_bytes() const override;
  Status begin_frames(const CommittedState& start, bool other_history) override;
  Status note_batch(const wal::BatchHeader& header, std::span<const std::byte> payload) override;
  Status commit(const CommittedState& state, bool other_history) override;
  void rollback() override;

 private:
  struct QueuedBatch {
    wal::BatchHeader header;
    wal::Bytes payload;
  };

  explicit LocalReplica(const ReplicaOptions& options) : options_(options), paths_(options.path) {}
  Status take_side_file();
  Result<const wal::ReplicaPoint*> prove(wal::ReplicaRecord& record, const StopCheck& stop);
  Status adopt_point(const wal::ReplicaPoint& point);
  void stop_serving_onward();
  Status publish_onward();
  Status begin_empty_generations(std::uint64_t until);
  Status hash_into_publication(const StopCheck& stop);

  ReplicaOptions options_;
  ReplicaPaths paths_;
  const wal::BootId boot_ = wal::boot_id();
  wal::SlotFile side_;
  std::optional<wal::ReplicaRecord> record_;
  std::unique_ptr<wal::Injector> injector_;
  wal::FileTriple files_;

  std::shared_ptr<Publication> publication_;
  std::shared_ptr<OnwardSource> onward_source_;
  std::optional<CommittedState> onward_start_;  ///< frames of the transaction are counted from here
  bool onward_other_history_ = false;
  std::vector<std::pair<std::uint32_t, wal::Hash128>> onward_pages_;  ///< pages of the delta
  std::vector<QueuedBatch> onward_queue_;
  std::size_t onward_queued_bytes_ = 0;
};

}  // namespace walferry::engine
