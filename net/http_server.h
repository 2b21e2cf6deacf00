/// An HTTP/1.1 server: requests in, answers out, bodies streamed at the reader's pace.
///
/// The handler is called on one of the server's threads, concurrently for different connections. It
/// must not block: what takes time is answered later, from elsewhere.
/// A body is either a string or a BodySource, from which the connection draws piece by piece as
/// the peer takes it: a slow peer costs one piece of memory and delays nobody. Sole user of
/// Boost.Beast.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "walferry/error.hpp"
#include "walferry/log_sink.hpp"

namespace walferry::net {

struct HttpRequest {
  std::string method;  ///< "GET", "POST", ... (HEAD arrives as GET: the server drops the body)
  std::string path;    ///< percent-decoded, without the query
  std::vector<std::pair<std::string, std::string>> query;    ///< decoded, in order
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
  std::string body;
  std::string peer;  ///< "ADDRESS:PORT"

  [[nodiscard]] std::optional<std::string_view> query_value(std::string_view name) const;
  [[nodiscard]] std::optional<std::string_view> header(std::string_view lower_case_name) const;
};

/// A piece of a body: bytes, and whatever keeps them alive.
struct BodyPiece {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

enum class PullState {
  kReady,    ///< `piece` was filled (never empty)
  kPending,  ///< nothing yet: the source calls its waker when there is
  kEnd,      ///< the body is complete
  kFailed,   ///< the body cannot be completed: the connection is cut, so that the peer notices
};

class BodySource {
 public:
  virtual ~BodySource() = default;
  /// Called by one thread at a time, never again after kEnd or kFailed. May block briefly on disk.
  virtual PullState pull(BodyPiece& piece) = 0;
  /// Given before the first pull. May be called from any thread, also spuriously, also after the
  /// connection is gone (then it does nothing).
  virtual void set_waker(std::function<void()> waker) = 0;
};

struct HttpResponse;

/// Takes the answer to a request. To be called once, from any thread; does nothing once the
/// connection is gone.
using HttpResponder = std::function<void(HttpResponse)>;

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::unique_ptr<BodySource> stream;          ///< when set, `body` is ignored and chunked is used
  std::optional<std::uint64_t> stream_length;  ///< when set, Content-Length instead of chunked
  /// When set, all else is ignored: the answer takes time. Called at once, and not to block; when
  /// the responder goes without having been called, the peer gets 500.
  std::function<void(HttpResponder)> later;
};

using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

struct HttpServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  unsigned threads = 2;
  std::size_t max_header_bytes = std::size_t{16} * 1024;
  std::size_t max_body_bytes = std::size_t{16} << 20;
  unsigned max_connections = 10'000;  ///< past it a connection gets 503 and is closed
  std::chrono::milliseconds header_timeout{
      10'000};  ///< from the first byte of a request to its end
  std::chrono::milliseconds keep_alive_timeout{75'000};
  std::chrono::milliseconds write_stall_timeout{60'000};  ///< a peer that takes nothing for so long
  LogSink log;
};

class HttpServer {
 public:
  /// Binds and serves. An address in use, or one that cannot be bound, is an error that names it.
  static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options, HttpHandler handler);

  virtual ~HttpServer() = default;
  [[nodiscard]] virtual std::uint16_t port() const = 0;
  [[nodiscard]] virtual unsigned connections() const = 0;
  /// Closes the listener and every connection; returns when no handler or source runs any more.
  virtual void stop() = 0;
};

/// True for addresses of this machine alone: 127.0.0.0/8, ::1, "localhost".
bool is_loopback_address(std::string_view address);

}  // namespace walferry::net
