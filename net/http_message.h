/// The text of HTTP/1.1 messages: targets, entity tags, dates, heads and small error bodies.
///
/// Pure functions: no socket, no clock but where a parameter says so, no third-party library.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_server.h"

namespace walferry::net {

/// An answer that the server gives by itself, without asking the handler.
struct HttpProblem {
  unsigned status = 400;
  std::string_view code;     ///< of the JSON body; plain ASCII, needs no escaping
  std::string_view message;  ///< likewise
};

/// The JSON answer {"error":{"code":"...","message":"..."}} to `problem`.
HttpResponse problem_response(const HttpProblem& problem);

/// Fills path and query of `request` from a request target ("/a%20b?x=1", "http://host/a", "*").
/// False when the target is not well-formed; then `request` is in an unspecified state.
bool parse_target(std::string_view target, HttpRequest& request);

/// True when an If-None-Match value names `etag` (or is "*"); weak comparison, as RFC 9110 wants.
bool etag_matches(std::string_view if_none_match, std::string_view etag);

/// "Sun, 06 Nov 1994 08:49:37 GMT", independent of the process's locale.
std::string http_date(std::time_t time);

/// How the end of a body is told to the peer.
enum class BodyFraming {
  kNone,        ///< the status allows no body: 204, 304
  kLength,      ///< Content-Length
  kChunked,     ///< Transfer-Encoding: chunked
  kUntilClose,  ///< HTTP/1.0 and no length known: the end of the connection
};

struct ResponseHeadPlan {
  BodyFraming framing = BodyFraming::kLength;
  std::uint64_t length = 0;  ///< with kLength
  bool keep_alive = true;
  bool http_1_0_peer = false;  ///< has to be told when the connection stays
  std::time_t now = 0;
};

/// Status line and header fields, up to and with the empty line. Fields that belong to the server
/// (Connection, Content-Length, Date, Server, Transfer-Encoding) are skipped when the handler sets
/// them. Nothing when a field or the status could break the message apart.
std::optional<std::string> response_head(const HttpResponse& response,
                                         const ResponseHeadPlan& plan);

/// The value of the first header with that name, which is compared without regard to case.
std::optional<std::string_view> find_header(
    const std::vector<std::pair<std::string, std::string>>& headers, std::string_view name);

/// ASCII only, whatever the locale says.
bool equal_ignoring_case(std::string_view left, std::string_view right);

}  // namespace walferry::net
