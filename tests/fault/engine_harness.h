/// Drives the engine's classes from a test: transactions for an injector made from whole images,
/// a primary that is stepped by hand, and a follower that pulls its stream without a network.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/follower_stream.h"
#include "engine/primary.h"
#include "engine/replica_target.h"
#include "engine/stream_follower.h"
#include "tests/fault/stock_access.h"
#include "wal/injector.h"

namespace walferry::test {

inline constexpr std::uint32_t kPage = 4096;

/// A seed for this run, printed so that a failure can be replayed: WALFERRY_TEST_SEED sets it.
std::uint32_t test_seed();

wal::Hash128 root_of(const Image& image, std::uint32_t page_size = kPage);
/// A file as a replica has it: the guard is in place.
void create_replica(const std::filesystem::path& path, const Image& image);
/// Leaves the pages that differ between two images in the injector's transaction.
Status add_difference(wal::Injector& injector, const Image& before, const Image& after);
/// Publishes the second image over the first.
Status inject(wal::Injector& injector, const Image& before, const Image& after,
              bool other_history = false);
wal::Injector::Maintenance forced_maintenance();
/// Tells an injector what it has attached to.
void adopt(wal::Injector& injector, const Image& state);
std::unique_ptr<wal::Injector> attach_injector(const std::filesystem::path& path,
                                               const Image& state,
                                               const wal::InjectorOptions& options = {});

/// A database whose rows all carry the number of the version they belong to.
class VersionedSource {
 public:
  explicit VersionedSource(int rows = 60, std::uint32_t page_size = kPage);
  /// Moves every row to the next version; the new image.
  const Image& advance();
  [[nodiscard]] const Image& image() const noexcept { return image_; }
  [[nodiscard]] int version() const noexcept { return version_; }
  StockDatabase& database() noexcept { return database_; }
  void refresh() { image_ = database_.image(); }

  /// Answers "VERSION ok" for a whole state, anything else for a mixture or damage.
  static constexpr const char* kState =
      "SELECT iif(min(v) = max(v) AND count(*) = (SELECT count(*) FROM t INDEXED BY i WHERE b > "
      "''),"
      " min(v), 'mixture') || ' ' || (SELECT integrity_check FROM pragma_integrity_check(1)) FROM "
      "t";
  static std::string state_text(int version) { return std::to_string(version) + " ok"; }

 private:
  StockDatabase database_;
  int version_ = 0;
  Image image_;
};

struct PrimarySetup {
  std::shared_ptr<engine::Publication> publication;
  std::unique_ptr<engine::Primary> primary;
};
PrimarySetup attach_primary(const std::filesystem::path& path, std::uint64_t wal_limit_bytes,
                            const char* vfs = nullptr, LogSink log = {});
/// Steps until `done` says so; false after `patience`.
bool step_until(engine::Primary& primary, const std::function<bool()>& done,
                std::chrono::milliseconds patience = std::chrono::seconds(5));

/// A follower whose database is an image in memory.
class MemoryFollower : public engine::ReplicaTarget {
 public:
  using Observer = std::function<void(const engine::CommittedState&, const Image&)>;

  explicit MemoryFollower(std::shared_ptr<engine::Publication> publication)
      : publication_(std::move(publication)) {}

  /// Reads the snapshot, as a bootstrap does; `between` is called after each page.
  Status read_snapshot(const std::function<void(std::uint32_t page)>& between = {});
  /// Opens the stream that completes the snapshot, or goes on from the last position.
  Status connect();
  /// Takes all there is.
  Status pull(std::uint64_t most_messages = UINT64_MAX);
  Status join() {
    if (Status read = read_snapshot(); !read) return read;
    if (Status connected = connect(); !connected) return connected;
    return pull();
  }

  void observe(Observer observer) { observer_ = std::move(observer); }
  [[nodiscard]] const Image& image() const noexcept { return image_; }
  [[nodiscard]] std::uint64_t commits() const noexcept { return commits_; }
  [[nodiscard]] const Position& position() const noexcept { return state_.position; }
  void stand_at(const engine::CommittedState& state, Image image) {
    state_ = state;
    image_ = std::move(image);
    has_state_ = true;
    pages_before_ = state.page_count;
  }
  [[nodiscard]] const engine::CommittedState& state() const noexcept { return state_; }

  [[nodiscard]] std::uint32_t page_size() const override { return page_size_; }
  Status add_page(std::uint32_t page, std::span<const std::byte> bytes) override;
  bool covers(std::uint32_t page_count) override;
  [[nodiscard]] std::size_t held_bytes() const override { return 0; }
  Status begin_frames(const engine::CommittedState&, bool) override { return {}; }
  Status note_batch(const wal::BatchHeader&, std::span<const std::byte>) override { return {}; }
  Status commit(const engine::CommittedState& state, bool other_history) override;
  void rollback() override {}

 private:
  std::shared_ptr<engine::Publication> publication_;
  std::unique_ptr<engine::FollowerStream> stream_;
  std::unique_ptr<engine::StreamFollower> follower_;
  wal::MessageParser parser_;
  Observer observer_;
  std::uint32_t page_size_ = kPage;
  Position from_;
  Image image_;
  wal::PageSet added_;              ///< since the last state
  std::uint32_t pages_before_ = 0;  ///< of the last state, or of the snapshot
  engine::CommittedState state_;
  bool has_state_ = false;
  std::uint64_t commits_ = 0;
};

/// What stock SQLite says of an image as a file of its own.
std::string ask_image(const TempDirectory& directory, const Image& image, const std::string& sql);

}  // namespace walferry::test
