/// The primary side of one database: owns its checkpoint lock for life, captures what is committed,
/// publishes it, and ends generations by its own backfill.
///
/// A Primary does not wait and starts no thread: its driver calls step() when the WAL was written
/// to and when the time that the last step asked for is over.
/// Thread safety: none, except metrics(), which may be called from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "engine/hold_histogram.h"
#include "engine/publication.h"
#include "wal/backfill.h"
#include "wal/capture.h"
#include "wal/database_handle.h"
#include "walferry/error.hpp"
#include "walferry/log_sink.hpp"
#include "walferry/server.hpp"

namespace walferry::engine {

using Clock = std::chrono::steady_clock;

struct PrimaryOptions {
  std::filesystem::path path;
  std::string name;
  std::uint64_t wal_limit_bytes = 16ull << 20;
  bool sync_before_publish = false;
  LogSink log;
  const char* test_vfs = nullptr;  ///< see wal::HandleOptions
};

class DatabaseFileSource;

class Primary {
 public:
  /// Attaches and brings the publication up to date. Errors are those of a database that cannot
  /// be published; a database that is lost later is attached anew by step().
  static Result<std::unique_ptr<Primary>> attach(PrimaryOptions options,
                                                 std::shared_ptr<Publication> publication);
  ~Primary();
  Primary(const Primary&) = delete;
  Primary& operator=(const Primary&) = delete;

  /// Captures and publishes what there is, ends the generation when it is time, mends what must
  /// be mended. Returns when to be called again at the latest. `written`: the WAL was written to
  /// since the last step.
  Clock::duration step(Clock::time_point now, bool written);
  /// Ends the generation if no reader is in the way, makes the publication durable and lets go.
  void settle();

  /// Which files to watch for writes.
  [[nodiscard]] std::filesystem::path wal_path() const;
  /// Lets idle followers send their heartbeats.
  void wake_followers() { publication_->wake_all(); }
  [[nodiscard]] bool attached() const noexcept { return handle_ != nullptr; }
  [[nodiscard]] DatabaseStatus metrics() const;

 private:
  Primary(PrimaryOptions options, std::shared_ptr<Publication> publication)
      : options_(std::move(options)), publication_(std::move(publication)) {}

  enum class Continuity { kProven, kSettled, kUnproven };

  Status attach_now();
  Result<wal::IndexHeader> header_for_attach();
  Status resume_hashes(bool& reliable);
  Result<Continuity> prove(const wal::IndexHeader& header, wal::CaptureCursor& cursor);
  Result<bool> untouched_pages_match(const wal::IndexHeader& header, std::uint32_t from_frame);
  Status begin_unproven(const wal::IndexHeader& header, bool hashes_reliable, bool other_file);
  Status scan_database(std::uint32_t page_count, wal::PageSet& changed);
  void detach();
  void lose(const std::string& why);
  void complain(const std::string& error);
  void recover();

  Result<wal::DrainOutcome> drain();
  Status publish(const wal::CapturedFrames& captured);
  bool repair(Clock::time_point now);
  [[nodiscard]] bool restartable() const;
  void check_files();
  Status remember_database_file(bool settled);

  Clock::duration end_generation_if_due(Clock::time_point now);
  Result<bool> backfill_slices(int most);
  Result<bool> backfill_tail(bool outrun);
  Status renew_log(wal::IndexHeader& header);
  Status begin_next_generation();
  void note_reader_in_the_way(Clock::time_point now);
  void log(LogLevel level, const std::string& message) const;

  PrimaryOptions options_;
  std::shared_ptr<Publication> publication_;
  std::shared_ptr<wal::DatabaseHandle> handle_;
  std::optional<wal::SlotLock> checkpoint_;
  std::shared_ptr<DatabaseFileSource> source_;
  std::optional<wal::Capture> capture_;
  wal::FileTriple files_;
  bool drained_whole_ = false;  ///< the generation is empty and all before it is backfilled

  /// The log is backfilled whole and may begin anew at any moment, but the next generation could
  /// not be written down yet: nothing is captured before it is.
  bool generation_owed_ = false;

  std::string lost_why_;     ///< until something is published again
  bool lost_again_ = false;  ///< for the same reason as the last time: said already
  Clock::time_point next_attach_{};
  Clock::time_point unreadable_since_{};
  Clock::time_point imminent_since_{};
  Clock::duration imminent_wait_{};
  Clock::time_point last_activity_{};
  Clock::time_point last_file_check_{};
  Clock::time_point next_backfill_{};
  Clock::duration backfill_pause_{};
  Clock::time_point reader_since_{};
  Clock::time_point reader_warned_{};

  mutable std::mutex metrics_mutex_;
  DatabaseStatus metrics_;
  HoldHistogram holds_;
};

}  // namespace walferry::engine
