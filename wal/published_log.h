/// The history of one published database on disk, as followers draw from it.
///
/// A directory beside the database:
///
///     state                 two-slot record: log id, current generation, where it begins
///     hashes                the hash of every page (page_hashes.h)
///     frames-GENERATION     spool: the messages of the generation, in order
///     pages-GENERATION      of an ended generation: its commits, and the pages it changed
///
/// Messages are encoded once and appended to the spool of the current generation; however many
/// followers there are, they read the same bytes. An ended generation keeps its spool as long as
/// the retention allows, and its list of changed pages far longer: with the lists, a follower
/// that was away for any number of generations is told exactly which pages to replace.
///
/// A spool needs no sync: after a kill the page cache has it, and after a power cut its messages
/// prove themselves; what they cannot prove is not used.
///
/// Thread safety: one writer (the methods that are not const); the const methods may be called
/// from any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "wal/capture.h"
#include "wal/message_codec.h"
#include "wal/own_file.h"
#include "wal/page_hash.h"
#include "wal/page_set.h"
#include "wal/slot_file.h"
#include "walferry/error.hpp"
#include "walferry/position.hpp"

namespace walferry::wal {

/// Where a generation begins, in the published history and in the primary's files.
struct GenerationStart {
  LogId log;
  std::uint64_t generation = 0;
  std::uint64_t frame = 0;     ///< 0, unless a replica begins to serve onward within a generation
  std::uint64_t checksum = 0;  ///< of the position (generation, frame)
  Hash128 root;
  std::uint32_t page_size = 0;
  std::uint32_t page_count = 0;
  CaptureCursor cursor;  ///< the physical frame before the generation's first (primary only)
  /// The database file at a moment when it held exactly the state of the start; nil when that
  /// is not so, or when it was written to since.
  FileIdentity settled;
  FileIdentity file;  ///< the database file when this was written: device and inode count

  [[nodiscard]] Position position() const { return {log, generation, frame, checksum}; }
};

/// A place where a commit ends.
struct CommitMark {
  std::uint64_t frame = 0;
  std::uint64_t checksum = 0;
  std::uint64_t spool_end = 0;
};

/// The newest published state.
struct LogTail {
  Position position;
  Hash128 root;
  std::uint32_t page_size = 0;
  std::uint32_t page_count = 0;
  std::uint64_t spool_end = 0;
};

/// Where a follower's position lies in the log.
struct LocatedPosition {
  bool needs_delta = false;        ///< its generation's frames are not worth sending, or gone
  std::uint64_t generation = 0;    ///< of the next frame (or the delta) to send
  std::uint64_t spool_offset = 0;  ///< of the next message, when !needs_delta
};

struct PublishedLogOptions {
  std::uint64_t retention_bytes = 64ull << 20;
  std::uint64_t retained_generations = 1'000;
};

class PublishedLog {
 public:
  /// Opens the directory, creating it if need be, and reads what is in it.
  static Result<std::unique_ptr<PublishedLog>> open(const std::filesystem::path& directory,
                                                    const PublishedLogOptions& options);

  /// Whether the directory is still the one that was opened.
  [[nodiscard]] bool is_in_place() const { return state_.file().is_in_place(); }
  /// Goes on in the directory that is there now. has_log() is false then: what comes next is
  /// begin_log().
  Status move_to_new_directory();

  /// False until the first begin_log().
  [[nodiscard]] bool has_log() const;
  [[nodiscard]] GenerationStart start() const;
  [[nodiscard]] LogTail tail() const;
  [[nodiscard]] bool current_is_empty() const;

  /// Visits the frames of the current generation's whole transactions, as the spool has them.
  Status replay(const std::function<Status(const BatchHeader&, std::span<const std::byte> payload)>&
                    visit) const;

  /// Forgets everything and begins another history at generation `start.generation`.
  Status begin_log(const GenerationStart& start);
  /// Ends the current generation and begins the next. `changed` are pages that differ between
  /// the old tail and the new start without a frame that says so (a bridge); the new start has
  /// the old tail's checksum if and only if there are none.
  Status begin_generation(const GenerationStart& start, const PageSet& changed);
  /// Rewrites where the current generation begins in the primary's files.
  Status update_start(const GenerationStart& start);
  /// Appends one encoded batch that ends on a commit or is a piece of a transaction.
  Status append(std::shared_ptr<const Bytes> message, const BatchHeader& header,
                const std::vector<std::uint32_t>& pages);
  /// Takes back the pieces of a transaction whose commit never came.
  Status drop_unfinished();
  Status sync();

  /// Finds a follower's position, which must be a commit of this log with the same checksum.
  [[nodiscard]] Result<LocatedPosition> locate(const Position& position) const;
  /// The pages changed by the ended generations `from` to `to` - 1, and whether one of them ended
  /// in a bridge.
  struct Changes {
    PageSet pages;
    bool bridged = false;
  };
  [[nodiscard]] Result<Changes> changes_between(std::uint64_t from, std::uint64_t to) const;
  /// Messages of a generation from `offset` on, up to about `limit` bytes; null when there are
  /// none at the moment; kNotFound when they are not kept any more.
  struct Piece {
    std::shared_ptr<const void> owner;
    std::span<const std::byte> bytes;
  };
  [[nodiscard]] Result<std::optional<Piece>> read(std::uint64_t generation, std::uint64_t offset,
                                                  std::size_t limit) const;
  /// True when `generation` has ended and its spool ends at `offset`.
  [[nodiscard]] bool is_end_of(std::uint64_t generation, std::uint64_t offset) const;
  /// Whether the generation after `generation` goes on from its last frame, without a bridge.
  [[nodiscard]] bool continues(std::uint64_t generation) const;
  /// The size of the spool of an ended generation that is kept; for immutable downloads.
  [[nodiscard]] std::optional<std::uint64_t> ended_spool_size(std::uint64_t generation) const;
  /// Root of the page hashes at a commit of the current generation.
  [[nodiscard]] std::optional<Hash128> root_at(const Position& position) const;

 private:
  struct Generation {
    std::uint64_t number = 0;
    std::uint64_t start_frame = 0;
    std::uint64_t start_checksum = 0;
    std::uint64_t frames = 0;
    std::uint64_t end_checksum = 0;
    bool ended = false;
    bool bridged = false;  ///< pages changed between its end and the next start
    std::uint32_t changed_pages = 0;
    std::uint64_t spool_size = 0;
    std::shared_ptr<OwnFile> spool;   ///< null when it is not kept
    std::vector<CommitMark> commits;  ///< of the current one, and while the spool is kept
    std::vector<Hash128> roots;       ///< beside `commits`, of the current one
  };
  struct RecentMessage {
    std::uint64_t generation;
    std::uint64_t offset;
    std::shared_ptr<const Bytes> bytes;
  };

  PublishedLog(std::filesystem::path directory, const PublishedLogOptions& options)
      : directory_(std::move(directory)), options_(options) {}
  Status load();
  Status load_current(Generation& current);
  Status load_ended(const std::filesystem::path& file);
  Status write_ended(const Generation& generation, const PageSet& pages);
  Status write_state(const GenerationStart& start);
  Status open_generation(const GenerationStart& start);
  void drop_old_generations();
  [[nodiscard]] std::filesystem::path spool_path(std::uint64_t generation) const;
  [[nodiscard]] std::filesystem::path pages_path(std::uint64_t generation) const;
  [[nodiscard]] Result<std::vector<CommitMark>> commits_of(const Generation& generation) const;
  [[nodiscard]] bool raw_is_cheaper(std::uint64_t generation, std::uint64_t offset) const;

  std::filesystem::path directory_;
  PublishedLogOptions options_;
  SlotFile state_;

  mutable std::mutex mutex_;
  bool has_log_ = false;
  GenerationStart start_;
  LogTail tail_;
  std::map<std::uint64_t, Generation> generations_;
  PageSet touched_;                ///< pages changed by the current generation
  PageSet unfinished_;             ///< thereof by a transaction whose commit has not come yet
  std::uint64_t spool_write_ = 0;  ///< beyond tail_.spool_end while a transaction is unfinished
  std::deque<RecentMessage> recent_;
  std::size_t recent_bytes_ = 0;
};

}  // namespace walferry::wal
