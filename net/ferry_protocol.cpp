#include "net/ferry_protocol.h"

#include <boost/json.hpp>
#include <charconv>

#include "wal/wal_format.h"

namespace walferry::net {

namespace json = boost::json;

namespace {

/// Four levels of 256 children lead to every page number there is.
constexpr std::uint32_t kMaxManifestHeight = 4;

constexpr std::pair<ErrorCode, unsigned> kStatusOfCode[] = {
    {ErrorCode::kInvalidArgument, 400},
    {ErrorCode::kNotFound, 404},
    {ErrorCode::kHistoryChanged, 409},
    {ErrorCode::kRefused, 403},
    {ErrorCode::kBusy, 503},
    {ErrorCode::kUnsupported, 426},
};

json::object position_fields(const Position& position) {
  return {{"text", position.to_text()},
          {"log", position.log.to_text()},
          {"generation", position.generation},
          {"frame", position.frame}};
}

/// Reads members of an object by name; the first that is missing or of another type is
/// remembered and everything after it yields defaults.
class Reader {
 public:
  explicit Reader(std::string_view text) {
    boost::system::error_code failed;
    value_ = json::parse(json::string_view(text.data(), text.size()), failed);
    if (failed || !value_.is_object()) problem_ = "not a JSON object";
  }
  explicit Reader(const json::value& value) : value_(value) {
    if (!value_.is_object()) problem_ = "not a JSON object";
  }
  std::uint64_t number(const char* name) {
    const json::value* member = find(name);
    if (member == nullptr) return 0;
    boost::system::error_code failed;
    const auto number = member->to_number<std::uint64_t>(failed);
    if (failed) return missing(name), 0;
    return number;
  }
  std::uint32_t number32(const char* name) {
    const std::uint64_t value = number(name);
    if (value > UINT32_MAX) missing(name);
    return static_cast<std::uint32_t>(value);
  }
  std::uint16_t number16(const char* name) {
    const std::uint64_t value = number(name);
    if (value > UINT16_MAX) missing(name);
    return static_cast<std::uint16_t>(value);
  }
  double real(const char* name) {
    const json::value* member = find(name);
    if (member == nullptr) return 0;
    boost::system::error_code failed;
    const auto number = member->to_number<double>(failed);
    if (failed) return missing(name), 0;
    return number;
  }
  std::string text(const char* name) {
    const json::value* member = find(name);
    if (member == nullptr) return {};
    if (!member->is_string()) return missing(name), std::string();
    return std::string(member->get_string());
  }
  const json::array* array(const char* name) {
    const json::value* member = find(name);
    if (member == nullptr) return nullptr;
    if (!member->is_array()) return missing(name), nullptr;
    return &member->get_array();
  }
  Position position(const char* name) {
    const json::value* member = find(name);
    if (member == nullptr) return {};
    Reader inner(*member);
    auto parsed = Position::parse(inner.text("text"));
    if (!parsed) return missing(name), Position();
    return *parsed;
  }
  void refuse_unless(bool possible, const char* name) {
    if (!possible) missing(name);
  }
  const json::value* find(const char* name) {
    if (!problem_.empty()) return nullptr;
    const json::value* member = value_.get_object().if_contains(name);
    if (member == nullptr) missing(name);
    return member;
  }
  [[nodiscard]] bool has(const char* name) const {
    return problem_.empty() && value_.get_object().contains(name);
  }
  [[nodiscard]] Status done(std::string_view what) const {
    if (problem_.empty()) return {};
    return fail(ErrorCode::kProtocol, std::string(what) + " is not what walferry sends: " +
                                          problem_ + " (is this a walferry server?)");
  }

 private:
  void missing(const char* name) {
    if (problem_.empty()) problem_ = "\"" + std::string(name) + "\" is missing or wrong";
  }
  json::value value_;
  std::string problem_;
};

}  // namespace

std::string to_json(const Info& info) {
  const json::object object{
      {"protocol", {{"oldest", info.oldest_protocol}, {"newest", info.newest_protocol}}},
      {"server_version", info.server_version},
      {"position", position_fields(info.position)},
      {"generation_start", position_fields(info.generation_start)},
      {"page_size", info.page_size},
      {"page_count", info.page_count},
      {"snapshot_page_count", info.snapshot_page_count},
      {"manifest_height", info.manifest_height},
      {"root", info.root}};
  return json::serialize(object);
}

Result<Info> parse_info(std::string_view text) {
  Reader reader(text);
  Info info;
  if (const json::value* protocol = reader.find("protocol")) {
    Reader inner(*protocol);
    info.oldest_protocol = inner.number32("oldest");
    info.newest_protocol = inner.number32("newest");
    if (Status read = inner.done("the answer"); !read) return fail(read.error());
  }
  info.server_version = reader.text("server_version");
  info.position = reader.position("position");
  info.generation_start = reader.position("generation_start");
  info.page_size = reader.number32("page_size");
  info.page_count = reader.number32("page_count");
  info.snapshot_page_count = reader.number32("snapshot_page_count");
  info.manifest_height = reader.number32("manifest_height");
  info.root = reader.text("root");
  reader.refuse_unless(wal::is_valid_page_size(info.page_size), "page_size");
  reader.refuse_unless(info.page_count <= wal::kMaxPageCount, "page_count");
  reader.refuse_unless(info.snapshot_page_count <= wal::kMaxPageCount, "snapshot_page_count");
  reader.refuse_unless(info.manifest_height <= kMaxManifestHeight, "manifest_height");
  if (Status read = reader.done("the answer"); !read) return fail(read.error());
  if (info.oldest_protocol > kNewestProtocol || info.newest_protocol < kOldestProtocol) {
    return fail(ErrorCode::kUnsupported,
                "the server speaks protocol versions " + std::to_string(info.oldest_protocol) +
                    " to " + std::to_string(info.newest_protocol) + ", this walferry " +
                    std::to_string(kOldestProtocol) + " to " + std::to_string(kNewestProtocol) +
                    ": upgrade the older side");
  }
  return info;
}

std::string to_json(const RootAnswer& answer) {
  return json::serialize(json::object{{"root", answer.root}});
}

Result<RootAnswer> parse_root(std::string_view text) {
  Reader reader(text);
  RootAnswer answer{reader.text("root")};
  if (Status read = reader.done("the answer"); !read) return fail(read.error());
  return answer;
}

std::string to_json(const ServerStatus& status) {
  json::array databases;
  for (const DatabaseStatus& d : status.databases) {
    databases.push_back(json::object{{"name", d.name},
                                     {"path", d.path.string()},
                                     {"position", position_fields(d.position)},
                                     {"page_size", d.page_size},
                                     {"page_count", d.page_count},
                                     {"wal_bytes", d.wal_bytes},
                                     {"generations_ended", d.generations_ended},
                                     {"commits", d.commits},
                                     {"frames", d.frames},
                                     {"bridges", d.bridges},
                                     {"header_repairs", d.header_repairs},
                                     {"writer_hold_last_us", d.writer_hold_last_us},
                                     {"writer_hold_max_us", d.writer_hold_max_us},
                                     {"writer_hold_p99_us", d.writer_hold_p99_us},
                                     {"oldest_reader_seconds", d.oldest_reader_seconds},
                                     {"followers", d.followers},
                                     {"error", d.error}});
  }
  return json::serialize(
      json::object{{"address", status.address}, {"port", status.port}, {"databases", databases}});
}

Result<ServerStatus> parse_server_status(std::string_view text) {
  Reader reader(text);
  ServerStatus status;
  status.address = reader.text("address");
  status.port = reader.number16("port");
  if (const json::array* databases = reader.array("databases")) {
    for (const json::value& value : *databases) {
      Reader inner(value);
      DatabaseStatus d;
      d.name = inner.text("name");
      d.path = inner.text("path");
      d.position = inner.position("position");
      d.page_size = inner.number32("page_size");
      d.page_count = inner.number32("page_count");
      d.wal_bytes = inner.number("wal_bytes");
      d.generations_ended = inner.number("generations_ended");
      d.commits = inner.number("commits");
      d.frames = inner.number("frames");
      d.bridges = inner.number("bridges");
      d.header_repairs = inner.number("header_repairs");
      d.writer_hold_last_us = inner.number("writer_hold_last_us");
      d.writer_hold_max_us = inner.number("writer_hold_max_us");
      d.writer_hold_p99_us = inner.number("writer_hold_p99_us");
      d.oldest_reader_seconds = inner.real("oldest_reader_seconds");
      d.followers = inner.number32("followers");
      d.error = inner.text("error");
      if (Status read = inner.done("the answer"); !read) return fail(read.error());
      status.databases.push_back(std::move(d));
    }
  }
  if (Status read = reader.done("the answer"); !read) return fail(read.error());
  return status;
}

std::string to_json(const ReplicaStatus& s) {
  json::object object{{"state", std::string(to_string(s.state))},
                      {"url", s.url},
                      {"path", s.path.string()},
                      {"lag_frames", s.lag_frames},
                      {"lag_seconds", s.lag_seconds},
                      {"last_success_unix", s.last_success_unix},
                      {"last_error", s.last_error},
                      {"bytes_received", s.bytes_received},
                      {"snapshot_bytes_received", s.snapshot_bytes_received},
                      {"batches_applied", s.batches_applied},
                      {"pages_applied", s.pages_applied},
                      {"reconciles", s.reconciles},
                      {"wal_bytes", s.wal_bytes},
                      {"oldest_reader_seconds", s.oldest_reader_seconds},
                      {"apply_lag_seconds", s.apply_lag_seconds}};
  if (s.position) object["position"] = position_fields(*s.position);
  return json::serialize(object);
}

Result<ReplicaStatus> parse_replica_status(std::string_view text) {
  Reader reader(text);
  ReplicaStatus s;
  const std::string state = reader.text("state");
  s.state = ReplicaState::kStopped;
  for (int i = 0; i <= static_cast<int>(ReplicaState::kStopped); ++i) {
    if (state == to_string(static_cast<ReplicaState>(i))) s.state = static_cast<ReplicaState>(i);
  }
  s.url = reader.text("url");
  s.path = reader.text("path");
  s.lag_frames = reader.number("lag_frames");
  s.lag_seconds = reader.real("lag_seconds");
  s.last_success_unix = reader.real("last_success_unix");
  s.last_error = reader.text("last_error");
  s.bytes_received = reader.number("bytes_received");
  s.snapshot_bytes_received = reader.number("snapshot_bytes_received");
  s.batches_applied = reader.number("batches_applied");
  s.pages_applied = reader.number("pages_applied");
  s.reconciles = reader.number("reconciles");
  s.wal_bytes = reader.number("wal_bytes");
  s.oldest_reader_seconds = reader.real("oldest_reader_seconds");
  s.apply_lag_seconds = reader.real("apply_lag_seconds");
  if (reader.has("position")) s.position = reader.position("position");
  if (Status read = reader.done("the status of a replica"); !read) return fail(read.error());
  return s;
}

unsigned http_status_of(ErrorCode code) noexcept {
  for (const auto& [known, status] : kStatusOfCode) {
    if (known == code) return status;
  }
  return 500;
}

std::string error_json(const Error& error) {
  return json::serialize(json::object{
      {"error", {{"code", std::string(to_string(error.code))}, {"message", error.message}}}});
}

Error error_of_answer(long status, std::string_view body, const std::string& url) {
  ErrorCode code = status >= 500 ? ErrorCode::kNetwork : ErrorCode::kProtocol;
  for (const auto& [known, number] : kStatusOfCode) {
    if (static_cast<long>(number) == status) code = known;
  }
  std::string message;
  boost::system::error_code failed;
  const json::value parsed = json::parse(json::string_view(body.data(), body.size()), failed);
  if (!failed && parsed.is_object()) {
    const json::value* error = parsed.get_object().if_contains("error");
    if (error != nullptr && error->is_object()) {
      const json::value* text = error->get_object().if_contains("message");
      if (text != nullptr && text->is_string()) message = std::string(text->get_string());
    }
  }
  if (message.empty()) message = "no explanation; is a walferry server there?";
  return Error{code, url + " answers " + std::to_string(status) + ": " + message};
}

std::string ferry_url(std::string_view base, std::string_view rest) {
  while (base.ends_with('/')) base.remove_suffix(1);
  return std::string(base) + "/ferry/" + std::string(rest);
}

Result<std::vector<std::uint32_t>> parse_number_list(std::string_view text, std::size_t limit) {
  const auto malformed = [&] {
    return fail(ErrorCode::kInvalidArgument, "not a list of at most " + std::to_string(limit) +
                                                 " ascending numbers like 1,4,9-12");
  };
  std::vector<std::uint32_t> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto parse = [end](const char* from, std::uint32_t& number) {
    const auto parsed = std::from_chars(from, end, number);
    const bool leading_zero = parsed.ptr - from > 1 && *from == '0';
    return parsed.ec == std::errc{} && !leading_zero ? parsed.ptr : nullptr;
  };
  while (at != end) {
    std::uint32_t first = 0;
    const char* parsed = parse(at, first);
    if (parsed == nullptr || (!numbers.empty() && first <= numbers.back())) return malformed();
    std::uint32_t last = first;
    if (parsed != end && *parsed == '-') {
      parsed = parse(parsed + 1, last);
      if (parsed == nullptr || last < first) return malformed();
    }
    if (last - first >= limit || numbers.size() + (last - first) >= limit) return malformed();
    for (std::uint32_t number = first;; ++number) {
      numbers.push_back(number);
      if (number == last) break;
    }
    at = parsed;
    if (at == end) break;
    if (*at != ',') return malformed();
    ++at;
    if (at == end) return malformed();
  }
  return numbers;
}

std::string number_list(const std::vector<std::uint32_t>& ascending) {
  std::string text;
  for (std::size_t i = 0; i < ascending.size();) {
    std::size_t last = i;
    while (last + 1 < ascending.size() && ascending[last + 1] == ascending[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(ascending[i]);
    if (last > i) text += '-' + std::to_string(ascending[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace walferry::net
