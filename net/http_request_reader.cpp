#include "net/http_request_reader.h"

#include <algorithm>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cassert>
#include <limits>
#include <optional>
#include <utility>

namespace walferry::net {
namespace {

namespace http = boost::beast::http;
using ErrorCode = boost::beast::error_code;
using Fields = http::fields;

std::string_view view_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

constexpr HttpProblem kHeadersTooLarge{431, "headers_too_large", "the request head is too large"};
constexpr HttpProblem kBodyTooLarge{413, "body_too_large", "the request body is too large"};
constexpr HttpProblem kMalformed{400, "bad_request", "the request is not well-formed HTTP/1.1"};
constexpr HttpProblem kBadFraming{400, "bad_request",
                                  "the length of the request body is ambiguous or not understood"};
constexpr HttpProblem kBadHost{400, "bad_request", "the request needs exactly one Host header"};
constexpr HttpProblem kBadTarget{400, "bad_request", "the request target is not well-formed"};
constexpr HttpProblem kBadVersion{505, "version_not_supported", "only HTTP/1.0 and 1.1 are spoken"};
constexpr HttpProblem kBadExpectation{417, "expectation_failed",
                                      "only the expectation 100-continue is understood"};

HttpProblem problem_of(const ErrorCode& error) {
  if (error == http::error::header_limit) return kHeadersTooLarge;
  if (error == http::error::body_limit || error == http::error::buffer_overflow) {
    return kBodyTooLarge;
  }
  if (error == http::error::bad_version) return kBadVersion;
  if (error == http::error::bad_content_length || error == http::error::multiple_content_length ||
      error == http::error::bad_transfer_encoding) {
    return kBadFraming;
  }
  return kMalformed;
}

}  // namespace

class HttpRequestReader::Impl {
 public:
  Impl(std::size_t max_header_bytes, std::size_t max_body_bytes)
      : max_header_bytes_(max_header_bytes), max_body_bytes_(max_body_bytes) {
    restart();
  }

  void restart() {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(
        std::min<std::size_t>(max_header_bytes_, std::numeric_limits<std::uint32_t>::max())));
    parser_->body_limit(max_body_bytes_);
    request_ = HttpRequest{};
    head_seen_ = false;
    is_head_ = false;
    expects_continue_ = false;
  }

  Step feed(std::string_view input, std::size_t& consumed) {
    consumed = 0;
    if (input.empty()) return Step::kNeedMore;
    parser_->eager(head_seen_);  // the head first: what it says decides whether a body is read
    ErrorCode error;
    consumed = parser_->put(boost::asio::buffer(input.data(), input.size()), error);
    if (error == http::error::need_more) {
      // What is left is one element that does not fit: a chunk header or a trailer.
      if (input.size() - consumed > max_header_bytes_) return reject(kHeadersTooLarge);
      return Step::kNeedMore;
    }
    if (error) return reject(problem_of(error));
    const bool head_is_new = !head_seen_ && parser_->is_header_done();
    if (head_is_new) {
      head_seen_ = true;
      if (const auto problem = read_head()) return reject(*problem);
    }
    if (parser_->is_done()) return Step::kComplete;
    return head_is_new ? Step::kBodyFollows : Step::kNeedMore;
  }

  HttpRequest take() {
    assert(parser_->is_done());
    request_.body = std::move(parser_->get().body());
    return std::move(request_);
  }

  [[nodiscard]] const HttpProblem& problem() const { return problem_; }
  [[nodiscard]] bool expects_continue() const { return expects_continue_; }
  [[nodiscard]] bool is_head() const { return is_head_; }
  [[nodiscard]] bool is_http_1_0() const { return parser_->get().version() < 11; }
  [[nodiscard]] bool keep_alive() const { return parser_->get().keep_alive(); }

 private:
  Step reject(const HttpProblem& problem) {
    problem_ = problem;
    return Step::kRejected;
  }

  /// Copies the head while it is only the head: trailers, which a chunked body may bring, end up
  /// among the parser's fields, and must not pass for headers.
  std::optional<HttpProblem> read_head() {
    const auto& message = parser_->get();
    if (message.version() != 10 && message.version() != 11) return kBadVersion;
    if (!framing_is_clear(message)) return kBadFraming;
    const auto host_count = message.count(http::field::host);
    if (host_count > 1 || (host_count == 0 && !is_http_1_0())) return kBadHost;

    request_.method = view_of(message.method_string());
    is_head_ = request_.method == "HEAD";
    if (is_head_) request_.method = "GET";
    if (!parse_target(view_of(message.target()), request_)) return kBadTarget;
    for (const auto& field : message) {
      auto& [name, value] =
          request_.headers.emplace_back(view_of(field.name_string()), view_of(field.value()));
      std::ranges::transform(name, name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      });
    }
    if (const auto expect = request_.header("expect"); expect && !is_http_1_0()) {
      if (!equal_ignoring_case(*expect, "100-continue")) return kBadExpectation;
      expects_continue_ = true;
    }
    return std::nullopt;
  }

  /// Beast refuses the contradictions; this refuses what it would silently read as "no body".
  [[nodiscard]] bool framing_is_clear(const Fields& fields) const {
    const auto codings = fields.count(http::field::transfer_encoding);
    if (codings == 0) return true;
    return codings == 1 && !is_http_1_0() && fields.count(http::field::content_length) == 0 &&
           equal_ignoring_case(view_of(fields[http::field::transfer_encoding]), "chunked");
  }

  const std::size_t max_header_bytes_;
  const std::size_t max_body_bytes_;
  std::optional<http::request_parser<http::string_body>> parser_;
  HttpRequest request_;
  HttpProblem problem_;
  bool head_seen_ = false;
  bool is_head_ = false;
  bool expects_continue_ = false;
};

HttpRequestReader::HttpRequestReader(std::size_t max_header_bytes, std::size_t max_body_bytes)
    : impl_(std::make_unique<Impl>(max_header_bytes, max_body_bytes)) {}
HttpRequestReader::~HttpRequestReader() = default;

void HttpRequestReader::restart() { impl_->restart(); }
HttpRequestReader::Step HttpRequestReader::feed(std::string_view input, std::size_t& consumed) {
  return impl_->feed(input, consumed);
}
const HttpProblem& HttpRequestReader::problem() const { return impl_->problem(); }
bool HttpRequestReader::expects_continue() const { return impl_->expects_continue(); }
bool HttpRequestReader::is_head() const { return impl_->is_head(); }
bool HttpRequestReader::is_http_1_0() const { return impl_->is_http_1_0(); }
bool HttpRequestReader::keep_alive() const { return impl_->keep_alive(); }
HttpRequest HttpRequestReader::take() { return impl_->take(); }

}  // namespace walferry::net
