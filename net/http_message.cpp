#include "net/http_message.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>

namespace walferry::net {
namespace {

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// Undoes percent-encoding. A NUL is refused: behind us paths meet C strings.
bool percent_decode(std::string_view text, bool plus_is_space, std::string& out) {
  out.clear();
  out.reserve(text.size());
  for (std::size_t index = 0; index < text.size(); ++index) {
    char c = text[index];
    if (c == '%') {
      if (index + 2 >= text.size()) return false;
      const int high = hex_value(text[index + 1]);
      const int low = hex_value(text[index + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      index += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (c == '\0') return false;
    out.push_back(c);
  }
  return true;
}

bool parse_query(std::string_view text, HttpRequest& request) {
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const std::string_view name = pair.substr(0, pair.find('='));
    const std::string_view value =
        name.size() < pair.size() ? pair.substr(name.size() + 1) : std::string_view();
    auto& decoded = request.query.emplace_back();
    if (!percent_decode(name, true, decoded.first)) return false;
    if (!percent_decode(value, true, decoded.second)) return false;
  }
  return true;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string_view without_weak_mark(std::string_view tag) {
  return tag.starts_with("W/") ? tag.substr(2) : tag;
}

std::string_view reason_phrase(unsigned status) {
  struct Row {
    unsigned status;
    std::string_view reason;
  };
  static constexpr std::array kRows{
      Row{200, "OK"},
      Row{201, "Created"},
      Row{202, "Accepted"},
      Row{204, "No Content"},
      Row{206, "Partial Content"},
      Row{301, "Moved Permanently"},
      Row{302, "Found"},
      Row{304, "Not Modified"},
      Row{307, "Temporary Redirect"},
      Row{308, "Permanent Redirect"},
      Row{400, "Bad Request"},
      Row{401, "Unauthorized"},
      Row{403, "Forbidden"},
      Row{404, "Not Found"},
      Row{405, "Method Not Allowed"},
      Row{406, "Not Acceptable"},
      Row{408, "Request Timeout"},
      Row{409, "Conflict"},
      Row{410, "Gone"},
      Row{412, "Precondition Failed"},
      Row{413, "Content Too Large"},
      Row{415, "Unsupported Media Type"},
      Row{416, "Range Not Satisfiable"},
      Row{417, "Expectation Failed"},
      Row{422, "Unprocessable Content"},
      Row{425, "Too Early"},
      Row{429, "Too Many Requests"},
      Row{431, "Request Header Fields Too Large"},
      Row{500, "Internal Server Error"},
      Row{501, "Not Implemented"},
      Row{502, "Bad Gateway"},
      Row{503, "Service Unavailable"},
      Row{504, "Gateway Timeout"},
      Row{505, "HTTP Version Not Supported"},
      Row{507, "Insufficient Storage"},
  };
  const auto* row = std::ranges::find(kRows, status, &Row::status);
  return row == kRows.end() ? std::string_view("Status") : row->reason;
}

bool is_field_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return c > ' ' && c < '\x7f' &&
           std::string_view("\"(),/:;<=>?@[\\]{}").find(c) == std::string_view::npos;
  });
}

bool is_field_value(std::string_view value) {
  return std::ranges::none_of(value, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

bool belongs_to_server(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kNames{"connection", "content-length", "date",
                                                          "server", "transfer-encoding"};
  return std::ranges::any_of(kNames,
                             [&](std::string_view own) { return equal_ignoring_case(own, name); });
}

}  // namespace

bool equal_ignoring_case(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right, {}, to_lower, to_lower);
}

std::optional<std::string_view> find_header(
    const std::vector<std::pair<std::string, std::string>>& headers, std::string_view name) {
  for (const auto& [own, value] : headers) {
    if (equal_ignoring_case(own, name)) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> HttpRequest::query_value(std::string_view name) const {
  for (const auto& [own, value] : query) {
    if (own == name) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> HttpRequest::header(std::string_view lower_case_name) const {
  return find_header(headers, lower_case_name);
}

HttpResponse problem_response(const HttpProblem& problem) {
  HttpResponse response;
  response.status = problem.status;
  response.body.append(R"({"error":{"code":")")
      .append(problem.code)
      .append(R"(","message":")")
      .append(problem.message)
      .append("\"}}\n");
  return response;
}

bool parse_target(std::string_view target, HttpRequest& request) {
  request.path.clear();
  request.query.clear();
  if (target == "*") {
    request.path = "*";
    return true;
  }
  if (!target.starts_with('/')) {
    // The absolute form, which a client uses towards a proxy and every server has to accept.
    const std::size_t scheme_end = target.find("://");
    if (scheme_end == std::string_view::npos) return false;
    const std::string_view scheme = target.substr(0, scheme_end);
    if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https")) return false;
    target.remove_prefix(scheme_end + 3);
    const std::size_t path_at = target.find_first_of("/?");
    if (path_at == 0) return false;
    target.remove_prefix(std::min(path_at, target.size()));
    if (!target.starts_with('/')) request.path = "/";
  }
  if (target.find('#') != std::string_view::npos) return false;
  const std::string_view path = target.substr(0, target.find('?'));
  if (!path.empty() && !percent_decode(path, false, request.path)) return false;
  return path.size() == target.size() || parse_query(target.substr(path.size() + 1), request);
}

bool etag_matches(std::string_view if_none_match, std::string_view etag) {
  std::string_view rest = trim(if_none_match);
  if (rest == "*") return true;
  const std::string_view wanted = without_weak_mark(trim(etag));
  while (!rest.empty()) {
    const std::size_t open = rest.find('"');
    if (open == std::string_view::npos) return false;
    const std::size_t close = rest.find('"', open + 1);
    if (close == std::string_view::npos) return false;
    if (rest.substr(open, close - open + 1) == wanted) return true;
    rest.remove_prefix(close + 1);
  }
  return false;
}

std::string http_date(std::time_t time) {
  static constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm utc{};
  if (gmtime_r(&time, &utc) == nullptr) return "Thu, 01 Jan 1970 00:00:00 GMT";
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                kDays.at(static_cast<std::size_t>(utc.tm_wday)), utc.tm_mday,
                kMonths.at(static_cast<std::size_t>(utc.tm_mon)), utc.tm_year + 1900, utc.tm_hour,
                utc.tm_min, utc.tm_sec);
  return text.data();
}

std::optional<std::string> response_head(const HttpResponse& response,
                                         const ResponseHeadPlan& plan) {
  if (response.status < 200 || response.status > 599) return std::nullopt;
  std::string head;
  head.reserve(256);
  const auto add = [&head](std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
  };
  head.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ");
  head.append(reason_phrase(response.status)).append("\r\n");
  add("Date", http_date(plan.now));
  add("Server", "walferry");
  if (!plan.keep_alive) {
    add("Connection", "close");
  } else if (plan.http_1_0_peer) {
    add("Connection", "keep-alive");
  }
  if (plan.framing == BodyFraming::kLength) add("Content-Length", std::to_string(plan.length));
  if (plan.framing == BodyFraming::kChunked) add("Transfer-Encoding", "chunked");
  if (plan.framing != BodyFraming::kNone && !response.content_type.empty() &&
      !find_header(response.headers, "content-type")) {
    if (!is_field_value(response.content_type)) return std::nullopt;
    add("Content-Type", response.content_type);
  }
  for (const auto& [name, value] : response.headers) {
    if (!is_field_name(name) || !is_field_value(value)) return std::nullopt;
    if (!belongs_to_server(name)) add(name, value);
  }
  head.append("\r\n");
  return head;
}

bool is_loopback_address(std::string_view address) {
  if (equal_ignoring_case(address, "localhost")) return true;
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  const std::string text(address);
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return false;
  const auto bytes = std::bit_cast<std::array<unsigned char, 16>>(v6);
  static constexpr std::array<unsigned char, 16> kLoopback{0, 0, 0, 0, 0, 0, 0, 0,
                                                           0, 0, 0, 0, 0, 0, 0, 1};
  static constexpr std::array<unsigned char, 13> kMapped127{0, 0, 0, 0,    0,    0,  0,
                                                            0, 0, 0, 0xff, 0xff, 127};
  return bytes == kLoopback || std::equal(kMapped127.begin(), kMapped127.end(), bytes.begin());
}

}  // namespace walferry::net
