#include "engine/bootstrap.h"

#include <algorithm>

#include "engine/file_owner.h"
#include "engine/stream_follower.h"

namespace walferry::engine {

using wal::ImageFile;
using wal::ReplicaRecord;

namespace {

/// Ends a stream that has done its work; never seen outside.
const Error kReached{ErrorCode::kCancelled, "reached"};

}  // namespace

Status Bootstrap::run(const net::Info& info) {
  if (Status clear = check_neighbours(); !clear) return clear;
  if (waits_to_appear(info)) return rename_image(*local_.record());
  if (Status prepared = prepare(info); !prepared) return prepared;
  if (Status fetched = fetch_snapshot(); !fetched) return fetched;
  if (Status fetched = fetch_frames(); !fetched) return fetched;
  return appear();
}

/// A -wal or -journal without its database would be applied to the one that is about to appear.
Status Bootstrap::check_neighbours() const {
  const ReplicaPaths& paths = local_.paths();
  const bool ours = local_.record() && local_.record()->kind == ReplicaRecord::Kind::kReplica;
  for (const auto* path : {&paths.wal, &paths.shm, &paths.journal}) {
    if (!wal::identify(*path).exists()) continue;
    if (!ours) {
      return fail(
          ErrorCode::kForeignFile,
          path->string() +
              " is left over from a database that is gone; a new one under this name would be "
              "damaged by it: move it away and start again");
    }
    if (Status removed = wal::remove_file(*path); !removed) return removed;
  }
  return {};
}

/// Whether an attempt before has finished the image and only could not give it its name any more.
/// Nobody has touched it since: what the record says of it holds.
bool Bootstrap::waits_to_appear(const net::Info& info) const {
  const auto& known = local_.record();
  return known && known->kind == ReplicaRecord::Kind::kReplica && !known->points.empty() &&
         known->points.front().position.log == info.position.log &&
         known->page_size == info.page_size && known->file.exists() &&
         known->file == wal::identify(local_.paths().image);
}

Status Bootstrap::prepare(const net::Info& info) {
  const auto& known = local_.record();
  const bool resumes = known && known->kind == ReplicaRecord::Kind::kBootstrapping &&
                       known->bootstrap.from.log == info.position.log &&
                       known->page_size == info.page_size && known->bootstrap.inode != 0 &&
                       known->bootstrap.inode == wal::identify(local_.paths().image).inode;
  record_ = ReplicaRecord{};
  if (resumes) {
    record_ = *known;
  } else {
    if (Status removed = wal::remove_file(local_.paths().image); !removed) return removed;
    record_.kind = ReplicaRecord::Kind::kBootstrapping;
    record_.page_size = info.page_size;
    record_.bootstrap.from = info.generation_start;
    record_.bootstrap.snapshot_pages = info.snapshot_page_count;
  }
  auto image =
      ImageFile::open(local_.paths().image, record_.page_size, record_.bootstrap.pages_done);
  if (!image) return fail(image.error());
  image_ = std::move(*image);
  if (Status given = give_file(options_, image_->file()); !given) return given;
  record_.bootstrap.inode = image_->identity().inode;
  return local_.save(record_);
}

Status Bootstrap::save_progress() {
  record_.bootstrap.pages_done = image_->pages_done();
  return local_.save(record_);
}

Status Bootstrap::fetch_snapshot() {
  const std::uint32_t page_size = record_.page_size;
  std::uint32_t& total = record_.bootstrap.snapshot_pages;
  const std::uint32_t in_block = net::snapshot_block_pages(page_size);
  const std::uint32_t lock_page = wal::lock_byte_page(page_size);
  progress_.begin(std::uint64_t{image_->pages_done()} * page_size,
                  std::uint64_t{total} * page_size);
  while (image_->pages_done() < total) {
    const std::uint32_t block = image_->pages_done() / in_block;
    const std::uint32_t skip = image_->pages_done() % in_block;
    const std::uint32_t block_end = std::min<std::uint32_t>(total, (block + 1) * in_block);
    const std::uint64_t before = client_.bytes_received();
    const Status fetched = client_.snapshot(
        record_.bootstrap.from, block, skip,
        [&](wal::MessageType type, std::span<const std::byte> payload) -> Status {
          const auto header =
              type == wal::MessageType::kPages ? wal::PagesHeader::decode(payload) : std::nullopt;
          if (!header || header->page_size != page_size) {
            return fail(ErrorCode::kCorrupt, "a snapshot message that is not pages of " +
                                                 std::to_string(page_size) + " bytes");
          }
          const wal::PagesView pages(*header, payload);
          for (std::uint32_t i = 0; i < pages.count();) {
            // Runs of neighbours are written at once; only the lock-byte page may be left out.
            std::uint32_t expected = image_->pages_done() + 1;
            if (expected == lock_page) ++expected;
            if (pages.number(i) != expected || expected > block_end) {
              return fail(ErrorCode::kCorrupt, "page " + std::to_string(pages.number(i)) +
                                                   " of the snapshot where " +
                                                   std::to_string(expected) + " should be");
            }
            std::uint32_t last = i;
            while (last + 1 < pages.count() && pages.number(last + 1) == pages.number(last) + 1)
              ++last;
            const std::span<const std::byte> run{pages.page(i).data(),
                                                 std::size_t{last - i + 1} * page_size};
            if (Status put = image_->append(expected, run); !put) return put;
            i = last + 1;
          }
          if (Status saved = save_progress(); !saved) return saved;
          progress_.update(std::uint64_t{image_->pages_done()} * page_size);
          return {};
        });
    snapshot_bytes_ += client_.bytes_received() - before;
    if (!fetched) return fetched;
    // The database may have shrunk meanwhile. It ends here then, and frames (or a delta) bring all
    // that it grew by since.
    if (image_->pages_done() + 1 == block_end && block_end == lock_page) {
      image_->skip_to(block_end);
    } else if (image_->pages_done() < block_end) {
      total = image_->pages_done();
    }
    if (Status saved = save_progress(); !saved) return saved;
  }
  return {};
}

Status Bootstrap::fetch_frames() {
  StreamFollower follower(*this, record_.bootstrap.from, true, false);
  const Status streamed = client_.stream(
      record_.bootstrap.from, true,
      [&](wal::MessageType type, std::span<const std::byte> payload) -> Status {
        if (Status taken = follower.take(type, payload); !taken) return taken;
        return reached_ ? Status(fail(kReached)) : Status{};
      },
      [&]() -> Status {
        if (Status flushed = follower.flush(); !flushed) return flushed;
        return reached_ ? Status(fail(kReached)) : Status{};
      },
      {});
  if (reached_) return {};
  const ErrorCode code = streamed.error().code;
  if (code == ErrorCode::kHistoryChanged || follower.diverged()) {
    // The image cannot be completed any more, or it was damaged on the way: begin anew.
    record_.bootstrap = {};
    if (Status saved = local_.save(record_); !saved) return saved;
  }
  return streamed;
}

Status Bootstrap::add_page(std::uint32_t page, std::span<const std::byte> bytes) {
  return image_->put(page, bytes);
}

Status Bootstrap::commit(const CommittedState& state, bool) {
  auto root = image_->finish(state.page_count);
  if (!root) return fail(root.error());
  if (*root != state.root) {
    return fail(ErrorCode::kCorrupt, "the first copy has root " + root->to_text() + " instead of " +
                                         state.root.to_text() + ": it is fetched again");
  }
  reached_ = state;
  return {};
}

Status Bootstrap::appear() {
  if (Status sealed = image_->seal(); !sealed) return sealed;
  ReplicaRecord record;
  record.page_size = record_.page_size;
  record.points.push_back({reached_->position, reached_->root, reached_->page_count, {}, {}, true});
  // Renaming moves the file's change time: recorded before, it makes a kill in between cost a
  // hashing of the file; recorded again after, nothing.
  record.file = image_->identity();
  if (Status saved = local_.save(record); !saved) return saved;
  if (Status synced = local_.sync_record(); !synced) return synced;
  return rename_image(std::move(record));
}

Status Bootstrap::rename_image(ReplicaRecord record) {
  const ReplicaPaths& paths = local_.paths();
  if (Status renamed = wal::rename_no_replace(paths.image, paths.database); !renamed) {
    if (renamed.error().code != ErrorCode::kBusy) return renamed;
    return fail(ErrorCode::kForeignFile, paths.database.string() +
                                             " has appeared while it was being fetched, and is not "
                                             "ours: move it away and start again");
  }
  if (Status synced = wal::sync_directory(paths.database.parent_path()); !synced) return synced;
  record.file = wal::identify(paths.database);
  return local_.save(record);
}

}  // namespace walferry::engine
