/// The first copy: streams the snapshot into an image beside the local file, applies frames up to
/// the base, proves the root, and only then lets the file appear under its name.
///
/// Constant memory; resumes at the page where it stopped.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "engine/ferry_client.h"
#include "engine/local_replica.h"
#include "engine/progress_meter.h"
#include "engine/replica_target.h"
#include "wal/image_file.h"

namespace walferry::engine {

class Bootstrap : private ReplicaTarget {
 public:
  Bootstrap(const ReplicaOptions& options, LocalReplica& local, FerryClient& client,
            ProgressMeter& progress)
      : options_(options), local_(local), client_(client), progress_(progress) {}

  /// Runs to the end. Afterwards the local file is there, sealed, and its record says where it
  /// stands. An interrupted one is continued by the next run.
  Status run(const net::Info& info);
  [[nodiscard]] std::uint64_t snapshot_bytes() const noexcept { return snapshot_bytes_; }

 private:
  Status prepare(const net::Info& info);
  Status fetch_snapshot();
  Status fetch_frames();
  Status appear();
  Status rename_image(wal::ReplicaRecord record);
  [[nodiscard]] bool waits_to_appear(const net::Info& info) const;
  Status check_neighbours() const;
  Status save_progress();

  [[nodiscard]] std::uint32_t page_size() const override { return record_.page_size; }
  Status add_page(std::uint32_t page, std::span<const std::byte> bytes) override;
  bool covers(std::uint32_t page_count) override { return image_->covers(page_count); }
  [[nodiscard]] std::size_t held_bytes() const override { return 0; }
  Status begin_frames(const CommittedState&, bool) override { return {}; }
  Status note_batch(const wal::BatchHeader&, std::span<const std::byte>) override { return {}; }
  Status commit(const CommittedState& state, bool other_history) override;
  void rollback() override {}

  const ReplicaOptions& options_;
  LocalReplica& local_;
  FerryClient& client_;
  ProgressMeter& progress_;
  wal::ReplicaRecord record_;
  std::optional<wal::ImageFile> image_;
  std::optional<CommittedState> reached_;
  std::uint64_t snapshot_bytes_ = 0;
};

}  // namespace walferry::engine
