// What is done to replicas and servers from outside.
#include "walferry/tools.hpp"

#include <chrono>
#include <thread>

#include "engine/ferry_client.h"
#include "engine/local_replica.h"
#include "engine/reconciler.h"
#include "net/ferry_protocol.h"
#include "wal/sqlite_api.h"

namespace walferry {

using namespace std::chrono_literals;

namespace {

using engine::ReplicaPaths;
using wal::Hash128;

constexpr int kVerifyAttempts = 50;
constexpr auto kVerifyPause = 100ms;

Result<wal::SlotFile> open_side_file(const std::filesystem::path& path) {
  auto side = wal::SlotFile::open_to_read(ReplicaPaths(path).side, wal::kReplicaMagic);
  if (side) return side;
  if (side.error().code != ErrorCode::kNotFound) return side;
  return fail(ErrorCode::kNotFound, path.string() + " is not a replica: there is no " +
                                        ReplicaPaths(path).side.string() + " beside it");
}

/// A state of the local file, hashed while a read transaction keeps it.
struct LocalState {
  Position position;
  Hash128 root;
  std::vector<Hash128> sums;
  std::uint32_t page_count = 0;
  wal::PageOneDisguise disguise;
};

class LocalReader {
 public:
  static Result<std::unique_ptr<LocalReader>> open(const std::filesystem::path& path) {
    auto reader = std::make_unique<LocalReader>();
    auto side = open_side_file(path);
    if (!side) return fail(side.error());
    reader->side_ = std::move(*side);
    auto handle = wal::DatabaseHandle::open(path, {});
    if (!handle) return fail(handle.error());
    reader->handle_ = std::move(*handle);
    return reader;
  }

  /// kBusy when the engine moved on at an unlucky moment: to be tried again.
  Result<LocalState> read() {
    if (Status begun = handle_->begin_read(); !begun) return fail(begun.error());
    auto state = read_within();
    if (!state) handle_->end_read();
    return state;
  }
  void done() { handle_->end_read(); }

  Result<Hash128> hash_of(std::uint32_t page, const wal::PageOneDisguise& disguise) {
    if (page == wal::lock_byte_page(handle_->page_size())) return Hash128{};
    std::vector<std::byte> bytes(handle_->page_size());
    auto frame = handle_->index().find_frame(page, header_.max_frame);
    if (!frame) return fail(frame.error());
    const Status read =
        *frame != 0 ? handle_->read_wal(bytes, wal::frame_offset(*frame, handle_->page_size()) +
                                                   wal::kFrameHeaderSize)
                    : handle_->read_database(bytes, std::uint64_t{page - 1} * handle_->page_size());
    if (!read) return fail(read.error());
    return wal::hash_page(page, bytes, disguise);
  }
  [[nodiscard]] std::uint32_t page_size() const { return handle_->page_size(); }

 private:
  Result<LocalState> read_within() {
    const auto moved = [] {
      return fail(ErrorCode::kBusy, "the replica moved on while it was read");
    };
    const auto header = handle_->index().read_header();
    if (!header) return moved();
    header_ = *header;
    auto bytes = side_.read();
    if (!bytes) return fail(bytes.error());
    const auto record = *bytes ? wal::ReplicaRecord::decode(**bytes) : std::nullopt;
    if (!record || record->kind != wal::ReplicaRecord::Kind::kReplica) {
      return fail(ErrorCode::kNotFound,
                  handle_->path().string() +
                      " has no proven position yet: let the replica finish its first copy");
    }
    const wal::WalPoint now{header_.salts, header_.max_frame,
                            header_.max_frame == 0 ? wal::Checksum{} : header_.chain()};
    const wal::ReplicaPoint* point = nullptr;
    for (const wal::ReplicaPoint& candidate : record->points) {
      if (now.max_frame == 0 ? candidate.settled : candidate.wal == now) {
        point = &candidate;
        break;
      }
    }
    if (point == nullptr) return moved();
    LocalState state;
    state.position = point->position;
    state.page_count = point->page_count;
    state.disguise = point->disguise;
    state.sums.resize((state.page_count + wal::kTreeFanout - 1) / wal::kTreeFanout);
    for (std::uint32_t page = 1; page <= state.page_count; ++page) {
      auto hash = hash_of(page, state.disguise);
      if (!hash) return fail(hash.error());
      state.sums[(page - 1) / wal::kTreeFanout] += *hash;
      state.root += *hash;
    }
    const auto again = handle_->index().read_header();
    if (!again || again->salts != header_.salts) return moved();
    return state;
  }

  wal::SlotFile side_;
  std::unique_ptr<wal::DatabaseHandle> handle_;
  wal::IndexHeader header_;
};

/// Pages that differ now; those that the primary has changed since are indistinguishable from
/// damage here, so the caller looks twice.
Result<std::vector<std::uint32_t>> differing_pages(LocalReader& reader, const LocalState& state,
                                                   engine::FerryClient& client) {
  auto info = client.info();
  if (!info) return fail(info.error());
  const engine::LocalTree tree(state.sums, state.page_count, [&](std::uint32_t page) {
    return reader.hash_of(page, state.disguise);
  });
  return engine::find_differing_pages(client, *info, tree, [] { return Status{}; });
}

}  // namespace

std::string_view version() noexcept { return WALFERRY_VERSION; }
std::string_view sqlite_version() noexcept { return wal::sqlite().libversion(); }

Result<LocalStatus> read_local_status(const std::filesystem::path& path) {
  // While the first copy is fetched there is a side file, but nothing to resolve yet.
  auto real = wal::resolve_database_path(path);
  auto side = open_side_file(real ? *real : path);
  if (!side) return fail(side.error());
  LocalStatus status;
  status.engine_running = side->file().is_taken();
  status.replica.path = path;
  status.replica.state = ReplicaState::kStopped;
  auto text = wal::read_status_text(side->file());
  if (!text) return fail(text.error());
  if (*text) {
    auto parsed = net::parse_replica_status(**text);
    if (parsed) status.replica = std::move(*parsed);
  }
  auto record_bytes = side->read();
  if (!record_bytes) return fail(record_bytes.error());
  const auto record = *record_bytes ? wal::ReplicaRecord::decode(**record_bytes) : std::nullopt;
  if (record && record->kind == wal::ReplicaRecord::Kind::kReplica && !record->points.empty()) {
    status.replica.position = record->points.front().position;
  }
  if (!status.engine_running) {
    status.replica.state = ReplicaState::kStopped;
    if (status.replica.last_success_unix > 0) {
      const double now =
          std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
              .count();
      status.replica.lag_seconds = std::max(0.0, now - status.replica.last_success_unix);
    }
  }
  return status;
}

Result<ServerStatus> read_server_status(const std::string& url) {
  auto client = net::HttpClient::create();
  if (!client) return fail(client.error());
  net::HttpCall call;
  call.url = net::ferry_url(url, "status");
  call.total_timeout = 30s;
  auto reply = (*client)->perform(call);
  if (!reply) return fail(reply.error());
  if (reply->status != 200) return fail(net::error_of_answer(reply->status, reply->body, call.url));
  auto status = net::parse_server_status(reply->body);
  if (!status) return fail(status.error().while_doing(call.url));
  return status;
}

Result<VerifyReport> verify(const std::filesystem::path& path, const std::string& url) {
  auto real = wal::resolve_database_path(path);
  if (!real) return fail(real.error());
  ReplicaOptions options;
  options.url = url;
  auto client = engine::FerryClient::create(options);
  if (!client) return fail(client.error());
  auto reader = LocalReader::open(*real);
  if (!reader) return fail(reader.error());
  Error last{ErrorCode::kBusy, "no attempt was made"};
  for (int attempt = 0; attempt < kVerifyAttempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(kVerifyPause);
    auto state = (*reader)->read();
    if (!state) {
      if (state.error().code != ErrorCode::kBusy) return fail(state.error());
      last = state.error();
      continue;
    }
    auto root = (*client)->root(state->position);
    VerifyReport report;
    report.position = state->position;
    report.pages = state->page_count;
    if (root && *root == state->root.to_text()) {
      (*reader)->done();
      return report;
    }
    if (root) {
      auto differing = differing_pages(**reader, *state, **client);
      (*reader)->done();
      if (!differing) return fail(differing.error());
      report.differing_pages = std::move(*differing);
      return report;
    }
    (*reader)->done();
    if (root.error().code != ErrorCode::kNotFound) return fail(root.error());
    last = {ErrorCode::kBusy, "the replica stands at " + state->position.to_text() +
                                  ", of which the primary keeps no root any more: let it catch up "
                                  "(walferry replicate ... --once) and verify again"};
  }
  return fail(last);
}

Status detach(const std::filesystem::path& path) {
  auto real = wal::resolve_database_path(path);
  if (!real) return fail(real.error());
  const ReplicaPaths paths(*real);
  auto header = wal::peek_database_header(*real);
  if (!header) return fail(header.error());
  if ((*header)[wal::kWriteVersionOffset] != wal::kGuardVersionByte &&
      !wal::identify(paths.side).exists()) {
    return fail(ErrorCode::kInvalidArgument,
                path.string() + " is not a replica: nothing to detach");
  }
  auto side = wal::SlotFile::open(paths.side, wal::kReplicaMagic, true);
  if (!side) return fail(side.error());
  if (Status taken = side->file().take_exclusively(); !taken) return taken;
  {
    auto injector = wal::Injector::attach(*real, {});
    if (!injector) return fail(injector.error());
    if (Status removed = (*injector)->remove_guard(); !removed) return removed;
  }
  std::error_code failed;
  std::filesystem::remove_all(paths.published, failed);
  if (Status removed = wal::remove_file(paths.image); !removed) return removed;
  return wal::remove_file(paths.side);
}

Status copy_database(const std::filesystem::path& from, const std::filesystem::path& out) {
  auto real = wal::resolve_database_path(from);
  if (!real) return fail(real.error());
  if (wal::identify(out).exists()) {
    return fail(ErrorCode::kForeignFile,
                out.string() + " exists already: choose a name that does not");
  }
  const auto& api = wal::sqlite();
  sqlite3* db = nullptr;
  int rc =
      api.open_v2(real->c_str(), &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_PRIVATECACHE, nullptr);
  sqlite3_stmt* statement = nullptr;
  if (rc == SQLITE_OK) {
    api.busy_timeout(db, 10'000);
    rc = api.prepare_v2(db, "VACUUM INTO ?1", -1, &statement, nullptr);
  }
  if (rc == SQLITE_OK) {
    const std::string target = out.string();
    api.bind_text(statement, 1, target.c_str(), -1, SQLITE_TRANSIENT);
    rc = api.step(statement);
  }
  Status result;
  if (rc != SQLITE_DONE) {
    const ErrorCode code = (rc & 0xff) == SQLITE_FULL     ? ErrorCode::kNoSpace
                           : (rc & 0xff) == SQLITE_NOTADB ? ErrorCode::kNotADatabase
                           : (rc & 0xff) == SQLITE_BUSY   ? ErrorCode::kBusy
                                                          : ErrorCode::kIo;
    result = fail(code, "copying " + from.string() + " to " + out.string() + ": " + api.errmsg(db));
  }
  api.finalize(statement);
  api.close_v2(db);
  if (!result) (void)wal::remove_file(out);
  return result;
}

}  // namespace walferry
