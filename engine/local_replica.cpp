#include "engine/local_replica.h"

#include "engine/onward_source.h"

namespace walferry::engine {

using wal::Hash128;
using wal::ReplicaPoint;
using wal::ReplicaRecord;

Result<std::unique_ptr<LocalReplica>> LocalReplica::open(const ReplicaOptions& options) {
  std::unique_ptr<LocalReplica> local(new LocalReplica(options));
  if (Status taken = local->take_side_file(); !taken) return fail(taken.error());
  return local;
}

Status LocalReplica::take_side_file() {
  auto side = wal::SlotFile::open(paths_.side, wal::kReplicaMagic, true);
  if (!side) return fail(side.error());
  if (Status taken = side->file().take_exclusively(); !taken) return taken;
  auto bytes = side->read();
  if (!bytes) return fail(bytes.error());
  side_ = std::move(*side);
  record_ = *bytes ? ReplicaRecord::decode(**bytes) : std::nullopt;
  return {};
}

Status LocalReplica::restore_side_file() {
  if (side_.file().is_in_place()) return {};
  const std::optional<ReplicaRecord> known = record_;
  if (Status taken = take_side_file(); !taken) return taken;
  // What is known of a file that is still there is worth more than a side file without a word.
  const bool holds = known && known->kind == ReplicaRecord::Kind::kReplica &&
                     known->file.same_file(wal::identify(paths_.database));
  return !record_ && holds ? save(*known) : Status{};
}

LocalReplica::~LocalReplica() { detach(); }

Status LocalReplica::save(const ReplicaRecord& record) {
  ReplicaRecord stamped = record;
  stamped.boot = boot_;
  stamped.closed = false;
  if (Status written = side_.write(stamped.encode()); !written) return written;
  record_ = std::move(stamped);
  return {};
}

Status LocalReplica::close_record() {
  if (!record_) return {};
  ReplicaRecord record = *record_;
  record.closed = true;
  if (Status written = side_.write(record.encode()); !written) return written;
  record_ = record;
  return side_.sync();
}

void LocalReplica::discard_unused_side_file() {
  if (!record_) (void)wal::remove_file(paths_.side);
}

Result<bool> LocalReplica::is_guarded() const {
  auto versions = wal::peek_database_header(paths_.database);
  if (!versions) return fail(versions.error());
  return (*versions)[wal::kWriteVersionOffset] == wal::kGuardVersionByte;
}

/// Until serve_onward() has compared the publication with what is there then, nothing is published.
void LocalReplica::stop_serving_onward() {
  if (onward_source_) onward_source_->disconnect();
  if (publication_) publication_->set_source(nullptr);
  publication_.reset();
  onward_source_.reset();
}

void LocalReplica::detach() {
  stop_serving_onward();
  injector_.reset();
}

Result<std::optional<Position>> LocalReplica::attach(const StopCheck& stop) {
  wal::InjectorOptions injector_options;
  injector_options.wal_limit_bytes = options_.wal_limit_bytes;
  auto injector = wal::Injector::attach(paths_.database, injector_options);
  if (!injector) return fail(injector.error());
  injector_ = std::move(*injector);
  files_ = injector_->handle().identify_files();
  if (!record_) return std::optional<Position>{};
  ReplicaRecord record = *record_;
  if (record.closed) {
    // Once anything is written, a record that says nothing was must not come back.
    if (Status saved = save(record); !saved) return fail(saved.error());
    if (Status synced = sync_record(); !synced) return fail(synced.error());
  }
  if (record.kind != ReplicaRecord::Kind::kReplica || record.page_size != injector_->page_size() ||
      record.points.empty()) {
    return std::optional<Position>{};
  }
  auto point = prove(record, stop);
  if (!point) return fail(point.error());
  if (*point == nullptr) return std::optional<Position>{};
  const ReplicaPoint proven = **point;
  if (Status adopted = adopt_point(proven); !adopted) return fail(adopted.error());
  return proven.position;
}

/// The point of the record at which the file stands; null when none can be proven.
Result<const ReplicaPoint*> LocalReplica::prove(ReplicaRecord& record, const StopCheck& stop) {
  // Without the guard anybody may have written: nothing recorded says anything about that.
  std::vector<std::byte> page_one(injector_->page_size());
  if (injector_->page_count() == 0) return nullptr;
  if (Status read = injector_->read_page(1, page_one); !read) return fail(read.error());
  if (page_one[wal::kWriteVersionOffset] != wal::kGuardVersionByte) return nullptr;

  const wal::WalPoint now = injector_->wal_point();
  if (!record.backfilling && record.file == files_.database) {
    for (const ReplicaPoint& point : record.points) {
      const bool same_log = now.max_frame > 0 && point.wal == now;
      // A log proves itself. The file alone says no more than when it was written last, which
      // after a power cut it may say wrongly, as the record may be an old one.
      const bool in_file = now.max_frame == 0 && point.settled && record.is_newest(boot_);
      if (same_log || in_file) return &point;
    }
  }
  // The file was written to since (a foreign checkpoint, a copy put in its place, a kill during
  // our own backfill) or the log is gone: the hashes of all pages decide. No network is needed.
  const std::uint32_t page_count =
      now.max_frame > 0 ? injector_->page_count() : record.points.front().page_count;
  auto root = injector_->hash_all(record.points.front().disguise, page_count, nullptr,
                                  [&](std::uint32_t) { return stop(); });
  if (!root) return fail(root.error());
  for (const ReplicaPoint& point : record.points) {
    if (point.root == *root && point.page_count == page_count) return &point;
  }
  return nullptr;
}

Status LocalReplica::adopt_point(const ReplicaPoint& proven) {
  injector_->set_state(proven.root, proven.disguise, proven.page_count);
  ReplicaRecord record;
  record.page_size = injector_->page_size();
  record.file = files_.database;
  ReplicaPoint point = proven;
  point.wal = injector_->wal_point();
  point.settled = point.wal.max_frame == 0;
  record.points.push_back(point);
  return save(record);
}

Status LocalReplica::check_files() const {
  const wal::FileTriple now = injector_->handle().identify_files();
  const auto changed = [](const char* what, const wal::FileIdentity& file) {
    return fail(
        ErrorCode::kBusy,
        std::string(what) + (file.exists() ? " was replaced by another file" : " was removed"));
  };
  if (!now.database.same_file(files_.database)) return changed("the local database", now.database);
  if (!now.wal.same_file(files_.wal)) return changed("the local -wal file", now.wal);
  if (!now.shm.same_file(files_.shm)) return changed("the local -shm file", now.shm);
  if (now.database.modified_ns != files_.database.modified_ns ||
      now.database.size != files_.database.size) {
    return fail(ErrorCode::kBusy,
                "the local database was written to by another program, past SQLite");
  }
  if (!side_.file().is_in_place())
    return fail(ErrorCode::kBusy, paths_.side.string() + " was removed");
  return {};
}

Status LocalReplica::move_to(const Position& position) {
  ReplicaRecord record = *record_;
  record.points.front().position = position;
  return save(record);
}

Result<wal::Injector::MaintenanceResult> LocalReplica::maintain(bool force) {
  wal::Injector::Maintenance maintenance;
  maintenance.force = force;
  maintenance.before_file_write = [this]() -> Status {
    ReplicaRecord record = *record_;
    record.backfilling = true;
    return save(record);
  };
  maintenance.after_file_write = [this](bool settled) -> Status {
    files_.database = wal::identify(paths_.database);
    ReplicaRecord record = *record_;
    record.backfilling = false;
    record.file = files_.database;
    for (ReplicaPoint& point : record.points) point.settled = false;
    record.points.front().settled = settled;
    return save(record);
  };
  return injector_->maintain(maintenance);
}

Status LocalReplica::change_page_size(std::uint32_t page_size) {
  stop_serving_onward();
  // The file may stand at none of the recorded points: what is moved into it settles none of them.
  wal::Injector::Maintenance maintenance;
  maintenance.force = true;
  maintenance.before_file_write = [this]() -> Status {
    if (!record_) return {};
    ReplicaRecord record = *record_;
    record.backfilling = true;
    return save(record);
  };
  maintenance.after_file_write = [this](bool) -> Status {
    files_.database = wal::identify(paths_.database);
    return {};
  };
  if (auto moved = injector_->maintain(maintenance); !moved) return fail(moved.error());
  return injector_->change_page_size(page_size);
}

Status LocalReplica::add_page(std::uint32_t page, std::span<const std::byte> bytes) {
  if (publication_ && !onward_start_) onward_pages_.emplace_back(page, wal::hash_page(page, bytes));
  return injector_->add_page(page, bytes);
}

std::size_t LocalReplica::held_bytes() const {
  return injector_->held_bytes() + onward_queued_bytes_;
}

Status LocalReplica::begin_frames(const CommittedState& start, bool other_history) {
  if (publication_) {
    onward_start_ = start;
    onward_other_history_ = other_history;
  }
  return {};
}

Status LocalReplica::note_batch(const wal::BatchHeader& header,
                                std::span<const std::byte> payload) {
  if (!publication_) return {};
  onward_pages_.clear();
  onward_queue_.push_back({header, wal::Bytes(payload.begin(), payload.end())});
  onward_queued_bytes_ += payload.size();
  return {};
}

Status LocalReplica::commit(const CommittedState& state, bool other_history) {
  if (publication_) onward_source_->set_base(state.position);
  wal::Injector::CommitRequest request;
  request.page_count = state.page_count;
  request.expected_root = state.root;
  request.other_history = other_history;
  request.before_publish = [&](const wal::WalPoint& after,
                               const wal::PageOneDisguise& disguise) -> Status {
    ReplicaRecord record;
    record.page_size = injector_->page_size();
    record.file = files_.database;
    record.points.push_back({state.position, state.root, state.page_count, disguise, after, false});
    if (record_ && record_->kind == ReplicaRecord::Kind::kReplica &&
        record_->page_size == record.page_size) {
      for (const ReplicaPoint& point : record_->points) {
        if (record.points.size() < ReplicaRecord::kMaxPoints) record.points.push_back(point);
      }
    }
    return save(record);
  };
  const std::uint64_t pages = injector_->pages_in_transaction();
  Status done = pages == 0 && !other_history && injector_->root() == state.root &&
                        injector_->page_count() == state.page_count
                    ? move_to(state.position)
                    : injector_->commit(request);
  if (!done) {
    rollback();
    return done;
  }
  return publication_ ? publish_onward() : Status{};
}

void LocalReplica::rollback() {
  if (injector_) injector_->rollback();
  onward_start_.reset();
  onward_pages_.clear();
  onward_queue_.clear();
  onward_queued_bytes_ = 0;
}

}  // namespace walferry::engine
