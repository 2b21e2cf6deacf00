/// Bytes in, requests out: the parser of one connection, without a socket.
///
/// The connection feeds what it has received; the reader says how much of it was used, and when a
/// request is complete, needs more bytes, or has to be turned down. It is strict where two parties
/// could read a message differently (request smuggling): a message that carries Content-Length
/// and Transfer-Encoding, more than one of either, or a coding other than "chunked" is rejected.
/// Not thread-safe. Sole user of Boost.Beast.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "net/http_message.h"
#include "net/http_server.h"

namespace walferry::net {

class HttpRequestReader {
 public:
  enum class Step {
    kNeedMore,     ///< all that can be used was used
    kBodyFollows,  ///< the head is complete, and a body is announced
    kComplete,     ///< take() the request
    kRejected,     ///< answer with problem() and end the connection
  };

  HttpRequestReader(std::size_t max_header_bytes, std::size_t max_body_bytes);
  ~HttpRequestReader();
  HttpRequestReader(const HttpRequestReader&) = delete;
  HttpRequestReader& operator=(const HttpRequestReader&) = delete;

  /// Forgets the current request: the next byte fed begins a new one.
  void restart();

  /// Uses a prefix of `input`, whose size is put into `consumed`. The rest has to be fed again, in
  /// front of what arrives later.
  Step feed(std::string_view input, std::size_t& consumed);

  /// After kRejected.
  [[nodiscard]] const HttpProblem& problem() const;

  /// The following are known from kBodyFollows or kComplete on.
  [[nodiscard]] bool expects_continue() const;
  [[nodiscard]] bool is_head() const;
  [[nodiscard]] bool is_http_1_0() const;
  [[nodiscard]] bool keep_alive() const;

  /// After kComplete, once: the request, with `peer` left empty.
  HttpRequest take();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace walferry::net
