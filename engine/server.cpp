// The public Server: primaries, their pumps, and the HTTP service in front of them.
#include "walferry/server.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <map>

#include "engine/ferry_service.h"
#include "engine/primary_pump.h"
#include "engine/sql_service.h"
#include "net/http_server.h"

namespace walferry {

namespace {

using engine::FerryService;
using engine::Primary;
using engine::PrimaryPump;
using engine::Publication;
using engine::SqlService;

constexpr std::size_t kPumps = 2;

/// Files of the directory that begin as SQLite databases do. Nobody of this process has them
/// open yet, so that opening and closing them is harmless.
Result<std::vector<PublishedDatabase>> databases_in(const std::filesystem::path& directory) {
  std::vector<PublishedDatabase> found;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory, failed)) {
    if (!entry.is_regular_file()) continue;
    std::array<char, 16> magic{};
    std::ifstream(entry.path(), std::ios::binary).read(magic.data(), magic.size());
    if (std::string_view(magic.data(), magic.size()) == std::string_view("SQLite format 3\0", 16)) {
      found.push_back({entry.path(), entry.path().filename()});
    }
  }
  if (failed)
    return fail(ErrorCode::kNotFound, "listing " + directory.string() + ": " + failed.message());
  if (found.empty())
    return fail(ErrorCode::kNotFound, directory.string() + " has no SQLite database in it");
  std::ranges::sort(found, {}, &PublishedDatabase::name);
  return found;
}

class RunningServer final : public Server {
 public:
  explicit RunningServer(ServerOptions options) : options_(std::move(options)) {}
  ~RunningServer() override { stop(); }

  Status begin() {
    if (!net::is_loopback_address(options_.address)) {
      return fail(
          ErrorCode::kRefused,
          "refusing to listen on " + options_.address +
              ": this version has no access tokens yet, so only loopback addresses "
              "(127.0.0.1, ::1) are served; put a proxy with its own authentication in front");
    }
    for (const auto& directory : options_.directories) {
      auto found = databases_in(directory);
      if (!found) return fail(found.error());
      options_.databases.insert(options_.databases.end(), found->begin(), found->end());
    }
    if (options_.databases.empty())
      return fail(ErrorCode::kInvalidArgument, "no database to publish was named");
    std::map<std::string, std::filesystem::path> names;
    for (PublishedDatabase& database : options_.databases) {
      if (database.name.empty()) database.name = database.path.filename();
      if (database.name.find('/') != std::string::npos) {
        return fail(ErrorCode::kInvalidArgument,
                    "a database name cannot contain a slash: " + database.name);
      }
      auto [other, inserted] = names.emplace(database.name, database.path);
      if (!inserted) {
        return fail(ErrorCode::kInvalidArgument, other->second.string() + " and " +
                                                     database.path.string() +
                                                     " would have the same name \"" +
                                                     database.name + "\": name one differently");
      }
    }
    if (options_.serve_sql) sql_ = std::make_unique<SqlService>(engine::SqlServiceOptions{});
    std::array<std::vector<std::unique_ptr<Primary>>, kPumps> shares;
    for (std::size_t i = 0; i < options_.databases.size(); ++i) {
      if (Status added = add(options_.databases[i], shares[i % kPumps]); !added) return added;
    }
    net::HttpServerOptions http;
    http.address = options_.address;
    http.port = options_.port;
    http.threads = std::max(1u, options_.http_threads);
    http.log = options_.log;
    auto server = net::HttpServer::start(
        http, [this](const net::HttpRequest& request) { return handle(request); });
    if (!server) return fail(server.error());
    http_ = std::move(*server);
    port_ = http_->port();
    for (auto& share : shares) {
      if (share.empty()) continue;
      auto pump = PrimaryPump::start(std::move(share), options_.log);
      if (!pump) return fail(pump.error());
      pumps_.push_back(std::move(*pump));
    }
    return {};
  }

  std::uint16_t port() const override { return port_; }

  ServerStatus status() const override {
    ServerStatus status;
    status.address = options_.address;
    status.port = port();
    for (const Primary* primary : primaries_) status.databases.push_back(primary->metrics());
    return status;
  }

  void stop() override {
    if (http_) http_->stop();
    if (sql_) sql_->stop();
    for (auto& pump : pumps_) pump->stop();
  }

 private:
  net::HttpResponse handle(const net::HttpRequest& request) {
    constexpr std::string_view kNamed = "/db/";
    const std::string_view path = request.path;
    if (!sql_) return service_.handle(request);
    if (path.starts_with(kNamed)) {
      const std::size_t end = path.find('/', kNamed.size());
      const std::string_view endpoint = end == std::string_view::npos ? "" : path.substr(end + 1);
      if (SqlService::serves(endpoint)) {
        const auto name = path.substr(kNamed.size(), end - kNamed.size());
        return sql_->handle(std::string(name), endpoint, request);
      }
      // From a URL without a slash behind the name: where clients join, the name is left out. The
      // probes ("/db/v2") may be a database's own URL.
      const std::string_view unnamed = path.substr(kNamed.size());
      if (!endpoint.empty() && SqlService::serves(unnamed))
        return sql_->handle("", unnamed, request);
    } else if (path.starts_with("/") && SqlService::serves(path.substr(1))) {
      const bool only_one = options_.databases.size() == 1;
      return sql_->handle(only_one ? options_.databases.front().name : "", path.substr(1), request);
    }
    return service_.handle(request);
  }

  Status add(const PublishedDatabase& database, std::vector<std::unique_ptr<Primary>>& share) {
    auto real = wal::resolve_database_path(database.path);
    if (!real) return fail(real.error());
    // Said before anything else: what stands in the way of publishing a replica is not its engine.
    if (Status own = wal::check_not_a_replica(*real); !own) return own;
    wal::PublishedLogOptions log_options;
    log_options.retention_bytes = options_.retention_bytes;
    log_options.retained_generations = options_.retained_generations;
    auto publication = Publication::open(real->string() + "-walferry-log", log_options);
    if (!publication) return fail(publication.error());
    engine::PrimaryOptions primary_options;
    primary_options.path = *real;
    primary_options.name = database.name;
    primary_options.wal_limit_bytes = options_.wal_limit_bytes;
    primary_options.sync_before_publish = options_.sync_before_publish;
    primary_options.log = options_.log;
    auto primary = Primary::attach(std::move(primary_options), *publication);
    if (!primary) return fail(primary.error());
    primaries_.push_back(primary->get());
    share.push_back(std::move(*primary));
    service_.add(database.name, *publication);
    if (sql_) sql_->add(database.name, *real);
    return {};
  }

  ServerOptions options_;
  FerryService service_{[this] { return status(); }};
  std::unique_ptr<SqlService> sql_;  ///< null: no SQL is served
  std::vector<const Primary*> primaries_;
  std::vector<std::unique_ptr<PrimaryPump>> pumps_;
  std::unique_ptr<net::HttpServer> http_;
  std::atomic<std::uint16_t> port_{0};  ///< asked for by requests that come while we start
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(ServerOptions options) {
  auto server = std::make_unique<RunningServer>(std::move(options));
  if (Status begun = server->begin(); !begun) return fail(begun.error());
  return server;
}

}  // namespace walferry
