#include "engine/replica_engine.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/bootstrap.h"
#include "engine/file_owner.h"
#include "engine/reconciler.h"

namespace walferry::engine {

using namespace std::chrono_literals;

namespace {

constexpr auto kTick = 1s;
constexpr auto kMaintenanceRetry = 20ms;
constexpr auto kStatusInterval = 1s;
constexpr auto kOnwardHeartbeat = 5s;  // streams that are idle send one when they are woken
constexpr auto kReaderWarning = 10s;
constexpr auto kReaderWarningAgain = 60s;
/// An adopted copy shares at least this part of its pages with the primary; of a foreign database
/// hardly a page matches.
constexpr double kAdoptionShare = 0.25;
constexpr std::uint32_t kHashPages = 64;
constexpr std::size_t kShownError = 1000;  // bytes of the last error that the status file has
constexpr int kReconcilesAtOnce = 2;

/// Ends a stream that was to catch up and has; never seen outside.
constexpr const char* kCaughtUp = "caught up";

double unix_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

bool is_final(ErrorCode code) {
  return code == ErrorCode::kForeignFile || code == ErrorCode::kUnsupported ||
         code == ErrorCode::kNotADatabase || code == ErrorCode::kInvalidArgument ||
         code == ErrorCode::kRefused;
}

}  // namespace

ReplicaEngine::ReplicaEngine(ReplicaOptions options)
    : options_(std::move(options)),
      progress_(options_.progress),
      retries_(options_.retry_min, options_.retry_max) {
  status_.url = options_.url;
  status_.path = options_.path;
  not_live_since_ = Clock::now();
}

ReplicaEngine::~ReplicaEngine() { stop(); }

void ReplicaEngine::log(LogLevel level, const std::string& message) const {
  if (options_.log) options_.log(level, options_.path.filename().string() + ": " + message);
}

Status ReplicaEngine::prepare() {
  if (!options_.url.starts_with("http://") && !options_.url.starts_with("https://")) {
    return fail(
        ErrorCode::kInvalidArgument,
        "\"" + options_.url + "\" is not a URL like http://HOST:PORT or http://HOST:PORT/db/NAME");
  }
  std::error_code failed;
  if (std::filesystem::is_symlink(options_.path, failed) ||
      std::filesystem::exists(options_.path, failed)) {
    auto real = std::filesystem::weakly_canonical(options_.path, failed);
    if (!failed) options_.path = real;
  } else {
    options_.path = std::filesystem::absolute(options_.path, failed);
  }
  const auto directory = options_.path.parent_path();
  if (!std::filesystem::is_directory(directory, failed)) {
    return fail(ErrorCode::kNotFound,
                "the directory " + directory.string() + " does not exist: create it first");
  }
  if (std::filesystem::is_directory(options_.path, failed)) {
    return fail(ErrorCode::kInvalidArgument,
                options_.path.string() + " is a directory: name the file to keep the replica in");
  }
  if (Status supported = wal::check_file_system(directory); !supported) return supported;
  auto client = FerryClient::create(options_);
  if (!client) return fail(client.error());
  client_ = std::move(*client);
  auto local = LocalReplica::open(options_);
  if (!local) return fail(local.error());
  local_ = std::move(*local);
  remember_last_success();
  if (!options_.listen_address.empty()) {
    if (Status listening = listen(); !listening) return listening;
  }
  write_status();
  return {};
}

/// What an earlier process knew of this primary holds until we know better.
void ReplicaEngine::remember_last_success() {
  const auto text = local_->read_status();
  if (!text || !*text) return;
  const auto earlier = net::parse_replica_status(**text);
  if (earlier && earlier->url == options_.url)
    status_.last_success_unix = earlier->last_success_unix;
}

Status ReplicaEngine::listen() {
  if (!net::is_loopback_address(options_.listen_address)) {
    return fail(ErrorCode::kRefused,
                "refusing to listen on " + options_.listen_address +
                    ": without access tokens only loopback addresses are served");
  }
  auto publication = Publication::open(local_->paths().published, {});
  if (!publication) return fail(publication.error());
  publication_ = std::move(*publication);
  const std::string name = options_.path.filename();
  service_ = std::make_unique<FerryService>([this, name] {
    ServerStatus server;
    server.address = options_.listen_address;
    server.port = listen_port();
    DatabaseStatus database;
    database.name = name;
    database.path = options_.path;
    const wal::LogTail tail = publication_->log().tail();
    database.position = tail.position;
    database.page_size = tail.page_size;
    database.page_count = tail.page_count;
    database.followers = publication_->followers();
    server.databases.push_back(std::move(database));
    return server;
  });
  service_->add(name, publication_);
  net::HttpServerOptions http;
  http.address = options_.listen_address;
  http.port = options_.listen_port;
  http.log = options_.log;
  auto server = net::HttpServer::start(
      http, [this](const net::HttpRequest& request) { return service_->handle(request); });
  if (!server) return fail(server.error());
  const std::lock_guard lock(mutex_);
  server_ = std::move(*server);
  return {};
}

std::uint16_t ReplicaEngine::listen_port() const {
  const std::lock_guard lock(mutex_);
  return server_ ? server_->port() : 0;
}

Status ReplicaEngine::start() {
  if (thread_.joinable())
    return fail(ErrorCode::kInvalidArgument, "this replica was started already");
  thread_ = std::thread([this] { run(); });
  return {};
}

Result<Position> ReplicaEngine::sync_once() {
  if (thread_.joinable())
    return fail(ErrorCode::kInvalidArgument, "this replica follows in the background already");
  Status followed = follow(true);
  for (int again = 0; again < kReconcilesAtOnce && !followed && !position_ && local_->attached();
       ++again) {
    // The history is another, or the file is not what its position says: to be compared at once.
    const ErrorCode code = followed.error().code;
    if (code != ErrorCode::kHistoryChanged && code != ErrorCode::kCorrupt) break;
    followed = follow(true);
  }
  if (!followed) {
    {
      const std::lock_guard lock(mutex_);
      status_.last_error = followed.error().message;
    }
    set_state(ReplicaState::kStalled);
    write_status();
    return fail(followed.error());
  }
  note_success();
  write_status();
  return *position_;
}

void ReplicaEngine::stop() {
  if (stopping_.exchange(true)) {
    if (thread_.joinable()) thread_.join();
    return;
  }
  if (client_) client_->stop();
  {
    const std::lock_guard lock(mutex_);
    rest_over_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  if (server_) server_->stop();
  let_go(true);
  set_state(ReplicaState::kStopped);
  if (local_) {
    write_status();
    local_->discard_unused_side_file();
  }
  local_.reset();
}

Status ReplicaEngine::check_stop() const {
  if (!stopping_) return {};
  return fail(ErrorCode::kCancelled, "stopped on request");
}

/// Sleeps; false when it is time to stop.
bool ReplicaEngine::rest(std::chrono::milliseconds pause) {
  const auto until = Clock::now() + pause;
  while (!stopping_ && Clock::now() < until) {
    {
      std::unique_lock lock(mutex_);
      rest_over_.wait_until(lock, std::min(until, Clock::now() + kTick),
                            [this] { return stopping_.load(); });
    }
    if (stopping_) break;
    if (local_->attached()) {
      auto done = local_->maintain(false);
      if (!done) {
        log(LogLevel::kWarning,
            "the local WAL cannot be moved into the file: " + done.error().message);
      }
    }
    write_status();
    wake_followers(Clock::now());
  }
  return !stopping_;
}

void ReplicaEngine::run() {
  std::minstd_rand random(std::random_device{}());
  const bool live = options_.interval.count() == 0;
  while (!stopping_) {
    const auto begun = Clock::now();
    Status followed = follow(!live);
    if (stopping_) break;
    if (followed) {
      note_success();
      const auto spent =
          std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun);
      if (!rest(std::max(options_.interval - spent, std::chrono::milliseconds(1)))) break;
      continue;
    }
    if (is_final(followed.error().code) && !ever_live_) return stop_because(followed.error());
    note_error(followed.error());
    auto pause = retries_.next(random());
    if (is_final(followed.error().code)) pause = options_.retry_max;  // it needs a hand first
    if (!rest(pause)) break;
  }
}

Status ReplicaEngine::follow(bool until_caught_up) {
  if (Status go_on = check_stop(); !go_on) return go_on;
  if (local_->attached()) {
    if (Status same = check_files(); !same) {
      log(LogLevel::kWarning, same.error().message + ": looking at it anew");
      let_go(false);
    }
  }
  if (!local_->attached()) {
    if (Status restored = restore_own_files(); !restored) return restored;
  }
  if (!local_->attached() && local_->database_exists()) {
    if (Status opened = open_local(); !opened) return opened;
  }
  if (!local_->database_exists() && !local_->attached()) {
    if (Status fetched = bootstrap(); !fetched) return fetched;
    if (Status opened = open_local(); !opened) return opened;
    if (!position_) return fail(ErrorCode::kInternal, "the first copy cannot be proven");
  }
  Position from;
  const bool image = !position_;
  if (image) {
    auto begun = reconcile();
    if (!begun) {
      if (local_->attached()) local_->rollback();
      return fail(begun.error());
    }
    from = *begun;
  } else {
    from = *position_;
    if (Status serving = begin_serving_onward(); !serving) return serving;
  }
  Status streamed = stream(from, image, until_caught_up);
  if (local_->attached()) local_->rollback();
  return streamed;
}

/// All files that we have open are still those under their names.
Status ReplicaEngine::check_files() const {
  if (Status same = local_->check_files(); !same) return same;
  if (publication_ && !publication_->log().is_in_place())
    return fail(ErrorCode::kBusy, local_->paths().published.string() + " was removed");
  return {};
}

/// What we keep beside the local file may be gone with its directory: there is nothing to go on
/// with in files that have no name any more.
Status ReplicaEngine::restore_own_files() {
  const auto directory = options_.path.parent_path();
  std::error_code failed;
  if (!std::filesystem::is_directory(directory, failed)) {
    return fail(ErrorCode::kNotFound, "the directory " + directory.string() +
                                          " is gone: put it back or make a new one, the replica "
                                          "goes on by itself then");
  }
  if (Status restored = local_->restore_side_file(); !restored) return restored;
  return publication_ ? publication_->restore_directory() : Status{};
}

Status ReplicaEngine::open_local() {
  set_state(ReplicaState::kOpening);
  auto guarded = local_->is_guarded();
  if (!guarded) {
    if (guarded.error().code != ErrorCode::kNotADatabase) return fail(guarded.error());
    return fail(ErrorCode::kForeignFile, options_.path.string() +
                                             " exists and is not a SQLite database: it is left "
                                             "untouched; move it away or choose another path");
  }
  // An unguarded file may be anybody's: it is looked at before it is touched (see reconcile()).
  if (!*guarded) {
    surely_ours_ = false;
    return {};
  }
  auto proven = local_->attach([this] { return check_stop(); });
  if (!proven) return fail(proven.error());
  position_ = *proven;
  surely_ours_ = position_.has_value();
  if (position_) {
    const std::lock_guard lock(mutex_);
    status_.position = position_;
  } else {
    log(LogLevel::kWarning,
        "the position of the local file cannot be proven: comparing it with the primary");
  }
  return {};
}

Status ReplicaEngine::bootstrap() {
  set_state(ReplicaState::kBootstrapping);
  auto info = client_->info();
  if (!info) return fail(info.error());
  Bootstrap bootstrap(options_, *local_, *client_, progress_);
  Status done = bootstrap.run(*info);
  const std::lock_guard lock(mutex_);
  status_.bytes_received = client_->bytes_received();
  status_.snapshot_bytes_received += bootstrap.snapshot_bytes();
  return done;
}

/// Whether a local file that does not carry our guard, or whose record is lost, is a copy of the
/// database at all.
Status ReplicaEngine::check_adoption(const net::Info& info) {
  if (options_.adopt_any) return {};
  auto peek = wal::DatabasePeek::open(options_.path);
  if (!peek) return fail(peek.error());
  auto size = peek->size();
  if (!size) return fail(size.error());
  if (*size == 0) return {};
  const auto foreign = [&](const std::string& why) {
    return fail(ErrorCode::kForeignFile,
                options_.path.string() + " is left untouched, it does not look like a copy of " +
                    options_.url + " (" + why +
                    "): move it away, choose another path, or say --adopt to have it replaced page "
                    "by page");
  };
  std::vector<std::byte> header(wal::kDatabaseHeaderSize);
  if (Status read = peek->read(header, 0); !read) return read;
  std::uint32_t page_size = (std::to_integer<std::uint32_t>(header[16]) << 8) |
                            std::to_integer<std::uint32_t>(header[17]);
  if (page_size == 1) page_size = 65536;
  if (page_size != info.page_size) {
    return foreign("its pages have " + std::to_string(page_size) + " bytes, not " +
                   std::to_string(info.page_size));
  }
  const auto count = static_cast<std::uint32_t>(*size / page_size);
  const std::uint32_t lock_page = wal::lock_byte_page(page_size);
  std::vector<wal::Hash128> sums((count + wal::kTreeFanout - 1) / wal::kTreeFanout);
  std::vector<std::byte> page(page_size);
  const auto hash_of = [&](std::uint32_t number) -> Result<wal::Hash128> {
    if (number == lock_page) return wal::Hash128{};
    if (Status read = peek->read(page, std::uint64_t{number - 1} * page_size); !read)
      return fail(read.error());
    return wal::hash_page(number, page);
  };
  for (std::uint32_t number = 1; number <= count; ++number) {
    if (number % kHashPages == 0) {
      if (Status go_on = check_stop(); !go_on) return go_on;
    }
    auto hash = hash_of(number);
    if (!hash) return fail(hash.error());
    sums[(number - 1) / wal::kTreeFanout] += *hash;
  }
  const LocalTree tree(std::move(sums), count, hash_of);
  auto differing = find_differing_pages(*client_, info, tree, [this] { return check_stop(); });
  if (!differing) return fail(differing.error());
  const auto both = std::min(count, info.page_count);
  const auto differ = static_cast<std::uint32_t>(
      std::ranges::count_if(*differing, [&](std::uint32_t p) { return p <= both; }));
  if (both == 0 || static_cast<double>(both - differ) < kAdoptionShare * both) {
    return foreign(std::to_string(differ) + " of " + std::to_string(both) + " pages differ");
  }
  return {};
}

/// Whether the local file carries our guard and its record names this log: whatever was done to it
/// since, an older backup put in its place for one, it is a replica and nothing else.
bool ReplicaEngine::is_replica_of(const LogId& log) const {
  const auto& record = local_->record();
  return local_->attached() && record && record->kind == wal::ReplicaRecord::Kind::kReplica &&
         !record->points.empty() && record->points.front().position.log == log;
}

Result<Position> ReplicaEngine::reconcile() {
  set_state(ReplicaState::kReconciling);
  auto info = client_->info();
  if (!info) return fail(info.error());
  if (!surely_ours_) {
    const bool attached = local_->attached();
    if (!is_replica_of(info->position.log)) {
      if (Status looked = check_adoption(*info); !looked) {
        if (attached) let_go(false);
        return fail(looked.error());
      }
    }
    if (!attached) {
      auto proven = local_->attach([this] { return check_stop(); });
      if (!proven) return fail(proven.error());
    }
    surely_ours_ = true;
  }
  wal::Injector& injector = local_->injector();
  if (injector.page_size() != info->page_size) {
    log(LogLevel::kInfo, "the primary's pages have " + std::to_string(info->page_size) +
                             " bytes now, not " + std::to_string(injector.page_size()) +
                             ": all of it is replaced");
    if (Status begun = local_->change_page_size(info->page_size); !begun)
      return fail(begun.error());
  }
  const auto& record = local_->record();
  const wal::PageOneDisguise disguise =
      record && !record->points.empty() ? record->points.front().disguise : wal::PageOneDisguise{};
  std::vector<wal::Hash128> sums;
  auto root = injector.hash_all(disguise, injector.page_count(), &sums,
                                [this](std::uint32_t) { return check_stop(); });
  if (!root) return fail(root.error());
  injector.set_state(*root, disguise, injector.page_count());
  std::vector<std::byte> page(injector.page_size());
  const LocalTree tree(std::move(sums), injector.page_count(),
                       [&](std::uint32_t number) -> Result<wal::Hash128> {
                         if (number == wal::lock_byte_page(injector.page_size()))
                           return wal::Hash128{};
                         if (Status read = injector.read_page(number, page); !read)
                           return fail(read.error());
                         return wal::hash_page(number, page, disguise);
                       });
  auto differing = find_differing_pages(*client_, *info, tree, [this] { return check_stop(); });
  if (!differing) return fail(differing.error());
  log(LogLevel::kInfo, std::to_string(differing->size()) + " of " +
                           std::to_string(info->page_count) +
                           " pages differ from the primary: fetching them");
  if (Status fetched = fetch_pages(*client_, *info, *differing, *local_, progress_); !fetched)
    return fail(fetched.error());
  const std::lock_guard lock(mutex_);
  ++status_.reconciles;
  return info->generation_start;
}

Status ReplicaEngine::stream(const Position& from, bool image, bool until_caught_up) {
  if (!image) set_state(ReplicaState::kCatchingUp);
  StreamFollower follower(*local_, from, image, image);
  counted_commits_ = counted_pages_ = 0;
  Status streamed = client_->stream(
      from, image,
      [&](wal::MessageType type, std::span<const std::byte> payload) {
        return follower.take(type, payload);
      },
      [&] { return after_messages(follower, until_caught_up); }, [&] { return tick(follower); });
  if (streamed || streamed.error().message == kCaughtUp) return {};
  if (streamed.error().code == ErrorCode::kHistoryChanged || follower.diverged()) {
    log(LogLevel::kWarning,
        streamed.error().message + ": comparing the local file with the primary");
    position_.reset();
    if (!follower.diverged()) {
      // Expected after a restore on the primary: reconcile at once, it is no failure.
      retries_.succeed();
    }
  }
  return streamed;
}

Status ReplicaEngine::after_messages(StreamFollower& follower, bool until_caught_up) {
  if (Status flushed = follower.flush(); !flushed) return flushed;
  if (position_ != follower.committed() && (position_ || follower.commits() > 0)) {
    const bool first = !position_;
    position_ = follower.committed();
    // The start of a generation is reached without a commit, which would have recorded it.
    if (local_->record()->points.front().position != *position_) {
      if (Status moved = local_->move_to(*position_); !moved) return moved;
    }
    if (first) {
      if (Status serving = begin_serving_onward(); !serving) return serving;
    }
  }
  const bool caught_up = follower.caught_up();
  {
    const std::lock_guard lock(mutex_);
    status_.position = position_;
    status_.lag_frames = follower.lag_frames();
    status_.bytes_received = client_->bytes_received();
    status_.batches_applied += follower.commits() - counted_commits_;
    status_.pages_applied += follower.pages() - counted_pages_;
    counted_commits_ = follower.commits();
    counted_pages_ = follower.pages();
    if (follower.last_captured_us() != 0) {
      status_.apply_lag_seconds =
          std::max(0.0, unix_now() - static_cast<double>(follower.last_captured_us()) / 1e6);
    }
  }
  if (caught_up) {
    note_success();
    set_state(ReplicaState::kLive);
    if (until_caught_up) return fail(ErrorCode::kCancelled, kCaughtUp);
  }
  return maintain_if_due(Clock::now());
}

/// Moves the local WAL into the file when it is time: again after a while, or when much has come
/// meanwhile, as while catching up.
Status ReplicaEngine::maintain_if_due(Clock::time_point now) {
  if (now < next_maintenance_ && local_->injector().log_bytes() < next_maintenance_bytes_)
    return {};
  auto done = local_->maintain(false);
  if (!done) return fail(done.error());
  if (!done->due || done->restarted) {
    reader_since_ = {};
    return {};
  }
  next_maintenance_ = Clock::now() + kMaintenanceRetry;
  next_maintenance_bytes_ = local_->injector().log_bytes() + options_.wal_limit_bytes / 8;
  if (reader_since_ == Clock::time_point{}) reader_since_ = now;
  return {};
}

Result<std::chrono::milliseconds> ReplicaEngine::tick(StreamFollower& follower) {
  if (Status go_on = check_stop(); !go_on) return fail(go_on.error());
  const auto now = Clock::now();
  if (now - last_file_check_ >= kTick) {
    last_file_check_ = now;
    if (Status same = check_files(); !same) return fail(same.error());
  }
  if (Status maintained = maintain_if_due(now); !maintained) return fail(maintained.error());
  if (reader_since_ != Clock::time_point{} && now - reader_since_ >= kReaderWarning &&
      now - reader_warned_ >= kReaderWarningAgain) {
    reader_warned_ = now;
    log(LogLevel::kWarning,
        "a local reader has kept the WAL from shrinking for " +
            std::to_string(
                std::lround(std::chrono::duration<double>(now - reader_since_).count())) +
            " s; it has grown to " + std::to_string(local_->injector().wal_bytes() >> 20) +
            " MiB: end that program's read transaction");
  }
  {
    const std::lock_guard lock(mutex_);
    status_.lag_frames = follower.lag_frames();
    status_.wal_bytes = local_->injector().wal_bytes();
    status_.oldest_reader_seconds =
        reader_since_ == Clock::time_point{}
            ? 0
            : std::chrono::duration<double>(now - reader_since_).count();
  }
  if (now - last_status_ >= kStatusInterval) write_status();
  wake_followers(now);
  return reader_since_ == Clock::time_point{}
             ? std::chrono::duration_cast<std::chrono::milliseconds>(kTick)
             : kMaintenanceRetry;
}

void ReplicaEngine::wake_followers(Clock::time_point now) {
  if (!publication_ || now - last_heartbeat_ < kOnwardHeartbeat) return;
  last_heartbeat_ = now;
  publication_->wake_all();
}

Status ReplicaEngine::begin_serving_onward() {
  if (!publication_ || publication_->source()) return {};
  return local_->serve_onward(publication_, [this] { return check_stop(); });
}

/// Lets go of the local file. `settle`: everything goes into the file first, so that the next
/// opening proves its position by the file alone.
void ReplicaEngine::let_go(bool settle) {
  if (!local_ || !local_->attached()) return;
  local_->rollback();
  if (settle && position_) {
    if (auto done = local_->maintain(true); !done)
      log(LogLevel::kWarning, "settling the local file: " + done.error().message);
    if (Status synced = local_->close_record(); !synced)
      log(LogLevel::kWarning, synced.error().message);
  }
  local_->detach();
  position_.reset();
}

void ReplicaEngine::set_state(ReplicaState state) {
  {
    const std::lock_guard lock(mutex_);
    if (status_.state == state) return;
    if (status_.state == ReplicaState::kLive) not_live_since_ = Clock::now();
    status_.state = state;
  }
  log(LogLevel::kInfo, std::string(to_string(state)));
  if (local_) write_status();
}

void ReplicaEngine::note_error(const Error& error) {
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    changed = status_.last_error != error.message;
    status_.last_error = error.message;
  }
  if (changed) log(LogLevel::kError, error.message);
  set_state(ReplicaState::kStalled);
}

/// Ends the engine by itself; the one who waits for it reports the error.
void ReplicaEngine::stop_because(const Error& error) {
  let_go(false);
  {
    const std::lock_guard lock(mutex_);
    status_.last_error = error.message;
    status_.stopped_because = error.code;
  }
  set_state(ReplicaState::kStopped);
}

void ReplicaEngine::note_success() {
  ever_live_ = true;
  retries_.succeed();
  const std::lock_guard lock(mutex_);
  status_.last_success_unix = unix_now();
  status_.last_error.clear();
  not_live_since_ = Clock::now();
}

ReplicaStatus ReplicaEngine::status() const {
  const std::lock_guard lock(mutex_);
  ReplicaStatus status = status_;
  if (status.state != ReplicaState::kLive) {
    status.lag_seconds = std::chrono::duration<double>(Clock::now() - not_live_since_).count();
  }
  return status;
}

void ReplicaEngine::write_status() {
  last_status_ = Clock::now();
  ReplicaStatus shown = status();
  // The server may have said anything, but it has to fit; a character is not cut in two.
  if (shown.last_error.size() > kShownError) {
    std::size_t end = kShownError;
    while (end > 0 && (static_cast<unsigned char>(shown.last_error[end]) & 0xc0) == 0x80) --end;
    shown.last_error.replace(end, std::string::npos, "...");
  }
  if (Status written = local_->write_status(net::to_json(shown)); !written) {
    log(LogLevel::kDebug, "the status cannot be written: " + written.error().message);
  }
}

}  // namespace walferry::engine

namespace walferry {

Result<std::unique_ptr<Replica>> Replica::open(ReplicaOptions options) {
  auto engine = std::make_unique<engine::ReplicaEngine>(std::move(options));
  if (Status prepared = engine->prepare(); !prepared) return fail(prepared.error());
  return engine;
}

}  // namespace walferry
