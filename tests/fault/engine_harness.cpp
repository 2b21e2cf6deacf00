#include "tests/fault/engine_harness.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <random>
#include <thread>

namespace walferry::test {

using engine::CommittedState;
using wal::Hash128;

std::uint32_t test_seed() {
  static const std::uint32_t seed = [] {
    const char* wanted = std::getenv("WALFERRY_TEST_SEED");
    const auto value = wanted != nullptr
                           ? static_cast<std::uint32_t>(std::strtoul(wanted, nullptr, 10))
                           : std::random_device{}();
    std::cout << "replay with WALFERRY_TEST_SEED=" << value << std::endl;
    return value;
  }();
  return seed;
}

Hash128 root_of(const Image& image, std::uint32_t page_size) {
  Hash128 root;
  const auto pages = static_cast<std::uint32_t>(image.size() / page_size);
  for (std::uint32_t page = 1; page <= pages; ++page) {
    root += wal::hash_page(page,
                           std::span(image).subspan(std::size_t{page - 1} * page_size, page_size));
  }
  return root;
}

void create_replica(const std::filesystem::path& path, const Image& image) {
  Image guarded = image;
  guarded[wal::kWriteVersionOffset] = wal::kGuardVersionByte;
  write_file(path, guarded);
}

Status add_difference(wal::Injector& injector, const Image& before, const Image& after) {
  const std::size_t size = injector.page_size();
  for (std::size_t at = 0; at < after.size(); at += size) {
    const auto page = std::span(after).subspan(at, size);
    if (at + size <= before.size() &&
        std::ranges::equal(page, std::span(before).subspan(at, size))) {
      continue;
    }
    const auto number = static_cast<std::uint32_t>(at / size + 1);
    if (Status added = injector.add_page(number, page); !added) return added;
  }
  return {};
}

Status inject(wal::Injector& injector, const Image& before, const Image& after,
              bool other_history) {
  if (Status added = add_difference(injector, before, after); !added) {
    injector.rollback();
    return added;
  }
  wal::Injector::CommitRequest request;
  request.page_count = static_cast<std::uint32_t>(after.size() / injector.page_size());
  request.expected_root = root_of(after, injector.page_size());
  request.other_history = other_history;
  return injector.commit(request);
}

wal::Injector::Maintenance forced_maintenance() {
  wal::Injector::Maintenance maintenance;
  maintenance.before_file_write = [] { return Status{}; };
  maintenance.after_file_write = [](bool) { return Status{}; };
  maintenance.force = true;
  return maintenance;
}

void adopt(wal::Injector& injector, const Image& state) {
  injector.set_state(root_of(state, injector.page_size()), {},
                     static_cast<std::uint32_t>(state.size() / injector.page_size()));
}

std::unique_ptr<wal::Injector> attach_injector(const std::filesystem::path& path,
                                               const Image& state,
                                               const wal::InjectorOptions& options) {
  auto injector = wal::Injector::attach(path, options);
  EXPECT_TRUE(injector) << injector.error().message;
  if (!injector) return nullptr;
  adopt(**injector, state);
  return std::move(*injector);
}

VersionedSource::VersionedSource(int rows, std::uint32_t page_size) : database_(":memory:") {
  database_.run("PRAGMA page_size=" + std::to_string(page_size));
  database_.run(
      "CREATE TABLE t(a INTEGER PRIMARY KEY, v INT, b TEXT);"
      "CREATE INDEX i ON t(b);"
      "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < " +
      std::to_string(rows) + ") INSERT INTO t SELECT n, 0, hex(randomblob(200)) FROM s");
  refresh();
}

const Image& VersionedSource::advance() {
  ++version_;
  database_.run("UPDATE t SET v = " + std::to_string(version_) +
                ", b = hex(randomblob(100 + abs(random()) % 200))");
  refresh();
  return image_;
}

PrimarySetup attach_primary(const std::filesystem::path& path, std::uint64_t wal_limit_bytes,
                            const char* vfs, LogSink log) {
  PrimarySetup setup;
  auto publication = engine::Publication::open(path.string() + "-log", {});
  EXPECT_TRUE(publication) << publication.error().message;
  if (!publication) return setup;
  setup.publication = std::move(*publication);
  engine::PrimaryOptions options;
  options.path = path;
  options.name = "test";
  options.wal_limit_bytes = wal_limit_bytes;
  options.test_vfs = vfs;
  options.log = std::move(log);
  auto primary = engine::Primary::attach(std::move(options), setup.publication);
  EXPECT_TRUE(primary) << primary.error().message;
  if (primary) setup.primary = std::move(*primary);
  return setup;
}

bool step_until(engine::Primary& primary, const std::function<bool()>& done,
                std::chrono::milliseconds patience) {
  const auto deadline = engine::Clock::now() + patience;
  while (!done()) {
    const auto now = engine::Clock::now();
    if (now > deadline) return false;
    const auto wait = primary.step(now, true);
    std::this_thread::sleep_for(
        std::min<engine::Clock::duration>(wait, std::chrono::milliseconds(2)));
  }
  return true;
}

Status MemoryFollower::read_snapshot(const std::function<void(std::uint32_t)>& between) {
  const wal::GenerationStart start = publication_->log().start();
  page_size_ = start.page_size;
  from_ = start.position();
  const std::uint32_t count = start.page_count;
  image_.assign(std::size_t{count} * page_size_, std::byte{0});
  for (std::uint32_t page = 1; page <= count; ++page) {
    const auto source = publication_->source();
    if (!source) return fail(ErrorCode::kBusy, "nothing is attached");
    const auto bytes = std::span(image_).subspan(std::size_t{page - 1} * page_size_, page_size_);
    if (Status read = source->read_pages(page, 1, bytes); !read) return read;
    if (between) between(page);
  }
  has_state_ = false;
  pages_before_ = count;
  return {};
}

Status MemoryFollower::connect() {
  const Position from = has_state_ ? state_.position : from_;
  auto stream =
      engine::FollowerStream::open(publication_, from, !has_state_, wal::Compression::kNever);
  if (!stream) return fail(stream.error());
  stream_ = std::move(*stream);
  added_.clear();
  follower_ = std::make_unique<engine::StreamFollower>(*this, from, !has_state_, false);
  parser_.reset();
  return {};
}

Status MemoryFollower::pull(std::uint64_t most_messages) {
  for (std::uint64_t i = 0; i < most_messages; ++i) {
    net::BodyPiece piece;
    switch (stream_->pull(piece)) {
      case net::PullState::kPending:
        return follower_->flush();
      case net::PullState::kReady:
        break;
      default:
        return fail(ErrorCode::kNetwork, "the stream has ended");
    }
    const Status fed = parser_.feed(
        piece.bytes, [&](wal::MessageType type, std::span<const std::byte> payload) -> Status {
          if (Status taken = follower_->take(type, payload); !taken) return taken;
          return follower_->flush();  // every state that a follower may show is looked at
        });
    if (!fed) return fed;
  }
  return {};
}

Status MemoryFollower::add_page(std::uint32_t page, std::span<const std::byte> bytes) {
  const std::size_t at = std::size_t{page - 1} * page_size_;
  if (image_.size() < at + page_size_) image_.resize(at + page_size_);
  std::ranges::copy(bytes, image_.begin() + static_cast<std::ptrdiff_t>(at));
  added_.add(page);
  return {};
}

bool MemoryFollower::covers(std::uint32_t page_count) {
  for (std::uint32_t page = pages_before_ + 1; page <= page_count; ++page) {
    if (!added_.contains(page) && page != wal::lock_byte_page(page_size_)) return false;
  }
  return true;
}

Status MemoryFollower::commit(const CommittedState& state, bool) {
  image_.resize(std::size_t{state.page_count} * page_size_);
  if (const Hash128 root = root_of(image_, page_size_); root != state.root) {
    return fail(ErrorCode::kCorrupt,
                "root " + root.to_text() + " instead of " + state.root.to_text());
  }
  state_ = state;
  has_state_ = true;
  pages_before_ = state.page_count;
  added_.clear();
  ++commits_;
  if (observer_) observer_(state, image_);
  return {};
}

std::string ask_image(const TempDirectory& directory, const Image& image, const std::string& sql) {
  const auto path = directory / "asked.db";
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path.string() + suffix);
  write_file(path, image);
  return ask(path, sql);
}

}  // namespace walferry::test
