#include "net/http_server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "net/http_connection.h"

namespace walferry::net {
namespace {

namespace asio = boost::asio;
using boost::asio::ip::tcp;
using BoostError = boost::system::error_code;

/// After an accept that failed for want of something, such as file descriptors.
constexpr std::chrono::milliseconds kAcceptPause{100};
/// How many connections beyond the limit are told so; further ones are closed without a word.
constexpr unsigned kMaxRefusing = 64;

std::string shown(const HttpServerOptions& options) {
  const bool bare_v6 = options.address.find(':') != std::string::npos && options.address[0] != '[';
  return (bare_v6 ? "[" + options.address + "]" : options.address) + ":" +
         std::to_string(options.port);
}

Result<tcp::endpoint> find_endpoint(asio::io_context& io, const HttpServerOptions& options) {
  std::string host = options.address;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "listening: the address is empty: give one such as 127.0.0.1, or 0.0.0.0 for all");
  }
  BoostError error;
  const auto address = asio::ip::make_address(host, error);
  if (!error) return tcp::endpoint(address, options.port);
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(host, std::to_string(options.port), asio::ip::resolver_base::passive, error);
  if (error || found.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "listening on " + shown(options) +
                    ": this is no IP address and no name that resolves to one");
  }
  return found.begin()->endpoint();
}

Error bind_error(const HttpServerOptions& options, const BoostError& error) {
  const std::string where = "listening on " + shown(options) + ": ";
  if (error == asio::error::address_in_use) {
    return {ErrorCode::kBusy, where +
                                  "the address is in use: stop the process that listens there, or "
                                  "choose another port (0 takes a free one)"};
  }
  if (error == boost::system::errc::address_not_available) {
    return {ErrorCode::kInvalidArgument,
            where + "this machine does not have that address: choose one of its own, or 0.0.0.0"};
  }
  if (error == asio::error::access_denied || error == asio::error::no_permission) {
    return {ErrorCode::kRefused,
            where + "the system forbids it: choose a port from 1024 on, or grant the privilege"};
  }
  if (error == asio::error::address_family_not_supported) {
    return {ErrorCode::kUnsupported, where + "this machine does not speak that kind of address"};
  }
  return {ErrorCode::kIo, where + error.message()};
}

class Server final : public HttpServer {
 public:
  Server(HttpServerOptions options, HttpHandler handler)
      : service_{.options = std::move(options), .handler = std::move(handler)},
        io_(std::make_unique<asio::io_context>(static_cast<int>(thread_count()))),
        acceptor_(std::make_unique<Acceptor>(*io_)),
        pause_(std::make_unique<Timer>(*io_)) {}
  ~Server() override { stop(); }

  Status listen();
  void run();

  [[nodiscard]] std::uint16_t port() const override { return port_; }
  [[nodiscard]] unsigned connections() const override { return service_.served_count; }
  void stop() override;

 private:
  using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;
  using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                           asio::wait_traits<std::chrono::steady_clock>,
                                           asio::io_context::executor_type>;

  [[nodiscard]] unsigned thread_count() const { return std::max(1U, service_.options.threads); }
  void work();
  void accept_next();
  void accepted(ConnectionSocket socket);
  void accept_failed(const BoostError& error);

  HttpService service_;
  std::unique_ptr<asio::io_context> io_;
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<Timer> pause_;
  std::uint16_t port_ = 0;
  bool accept_trouble_told_ = false;
  std::vector<std::thread> threads_;
  std::mutex stop_mutex_;
  bool stopped_ = false;
};

Status Server::listen() {
  const auto endpoint = find_endpoint(*io_, service_.options);
  if (!endpoint) return fail(endpoint.error());
  BoostError error;
  const auto check = [&]() -> Status {
    if (error) return fail(bind_error(service_.options, error));
    return {};
  };
  acceptor_->open(endpoint->protocol(), error);
  if (const Status opened = check(); !opened) return opened;
  BoostError ignored;
  acceptor_->set_option(asio::socket_base::reuse_address(true), ignored);
  if (endpoint->address().is_v6() && endpoint->address().is_unspecified()) {
    acceptor_->set_option(asio::ip::v6_only(false), ignored);  // "::" means all addresses
  }
  acceptor_->bind(*endpoint, error);
  if (const Status bound = check(); !bound) return bound;
  acceptor_->listen(asio::socket_base::max_listen_connections, error);
  if (const Status listening = check(); !listening) return listening;
  port_ = acceptor_->local_endpoint(error).port();
  return check();
}

void Server::run() {
  accept_next();
  threads_.reserve(thread_count());
  for (unsigned count = thread_count(); count > 0; --count) {
    threads_.emplace_back([this] { work(); });
  }
}

void Server::work() {
  for (;;) {
    try {
      io_->run();
      return;
    } catch (const std::exception& failure) {
      service_.log(LogLevel::kError, std::string("HTTP server thread: ") + failure.what());
    } catch (...) {
      service_.log(LogLevel::kError, "HTTP server thread: unknown exception");
    }
  }
}

void Server::accept_next() {
  acceptor_->async_accept(asio::make_strand(*io_),
                          [this](BoostError error, ConnectionSocket socket) {
                            if (error) return accept_failed(error);
                            // The next accept first: whatever becomes of this connection, the
                            // server goes on.
                            accept_trouble_told_ = false;
                            accept_next();
                            accepted(std::move(socket));
                          });
}

void Server::accepted(ConnectionSocket socket) {
  if (service_.served_count < service_.options.max_connections) {
    run_connection(service_, std::move(socket), Admission::kServe);
  } else if (service_.refused_count < kMaxRefusing) {
    run_connection(service_, std::move(socket), Admission::kRefuse);
  }
}

void Server::accept_failed(const BoostError& error) {
  if (error == asio::error::operation_aborted) return;
  if (!accept_trouble_told_) {
    accept_trouble_told_ = true;
    service_.log(LogLevel::kWarning, "accepting connections on " + shown(service_.options) + ": " +
                                         error.message() + ": trying again until it works");
  }
  pause_->expires_after(kAcceptPause);
  pause_->async_wait([this](BoostError wait_error) {
    if (!wait_error) accept_next();
  });
}

/// The order matters: with the threads gone nothing runs on the strands, so the connections can be
/// closed from here; with the connections closed no waker reaches into the io_context any more, so
/// that it can go, and takes the handlers that never ran with it.
void Server::stop() {
  const std::lock_guard lock(stop_mutex_);
  if (stopped_) return;
  stopped_ = true;
  io_->stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  for (const auto& connection : service_.open.take_all()) connection->close();
  pause_.reset();
  acceptor_.reset();
  io_.reset();
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options,
                                                      HttpHandler handler) {
  if (!handler) return fail(ErrorCode::kInvalidArgument, "starting a server: no handler given");
  try {
    auto server = std::make_unique<Server>(std::move(options), std::move(handler));
    if (const Status listening = server->listen(); !listening) return fail(listening.error());
    server->run();
    return server;
  } catch (const std::exception& failure) {
    return fail(ErrorCode::kIo, std::string("starting a server: ") + failure.what());
  }
}

}  // namespace walferry::net
