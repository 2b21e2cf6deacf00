#include "engine/ferry_service.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "engine/follower_stream.h"
#include "engine/page_messages.h"
#include "net/ferry_protocol.h"
#include "walferry/tools.hpp"

namespace walferry::engine {

using net::HttpRequest;
using net::HttpResponse;

namespace {

constexpr std::size_t kReadSize = std::size_t{256} * 1024;
constexpr std::size_t kMaxNodes = 4096;  // of one manifest request: 16 MiB of hashes
constexpr std::size_t kMaxPages = std::size_t{256} * 1024;  // of one pages request

HttpResponse error_response(const Error& error) {
  HttpResponse response;
  response.status = net::http_status_of(error.code);
  response.body = net::error_json(error);
  response.headers.emplace_back("cache-control", "no-store");
  return response;
}

HttpResponse json_response(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  response.headers.emplace_back("cache-control", "no-store");
  return response;
}

HttpResponse stream_response(std::unique_ptr<net::BodySource> source,
                             const std::string& cache_control) {
  HttpResponse response;
  response.content_type = net::kMessagesType;
  response.headers.emplace_back("cache-control", cache_control);
  response.stream = std::move(source);
  return response;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t slash = text.find('/');
    parts.emplace_back(text.substr(0, slash));
    text = slash == std::string_view::npos ? std::string_view{} : text.substr(slash + 1);
  }
  return parts;
}

template <class Number>
Result<Number> number_of(std::string_view text) {
  Number number{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  // One spelling for each number, or caches in front would keep an object under many names.
  if (error != std::errc{} || stop != text.data() + text.size() ||
      (text.size() > 1 && text[0] == '0')) {
    return fail(ErrorCode::kInvalidArgument,
                "\"" + std::string(text) + "\" is not a number that fits here");
  }
  return number;
}

/// Compressing costs more than it saves where the network is the machine's own memory.
wal::Compression compression_for(const HttpRequest& request) {
  const std::string_view peer = request.peer;
  const bool local =
      peer.starts_with("127.") || peer.starts_with("[::1]") || peer.starts_with("::1");
  const bool relayed =
      request.header("x-forwarded-for").has_value() || request.header("via").has_value();
  return local && !relayed ? wal::Compression::kNever : wal::Compression::kWhenItPays;
}

Status check_log(const Publication& publication, std::string_view text) {
  auto log = LogId::parse(text);
  if (!log) return fail(log.error());
  if (!publication.log().has_log() || publication.log().start().log != *log) {
    return fail(ErrorCode::kHistoryChanged, "this database has another log now: reconcile");
  }
  return {};
}

/// Pages first..last, a message at a time.
class PagesBody : public net::BodySource {
 public:
  PagesBody(std::shared_ptr<PageSource> source, std::uint32_t page_size,
            std::vector<std::uint32_t> numbers, wal::Compression compression)
      : source_(std::move(source)),
        page_size_(page_size),
        numbers_(std::move(numbers)),
        compression_(compression) {}

  net::PullState pull(net::BodyPiece& piece) override {
    if (next_ >= numbers_.size()) return net::PullState::kEnd;
    const std::size_t n =
        std::min<std::size_t>(pages_per_message(page_size_), numbers_.size() - next_);
    const auto begin = numbers_.begin() + static_cast<std::ptrdiff_t>(next_);
    auto message = encode_pages(*source_, page_size_,
                                {begin, begin + static_cast<std::ptrdiff_t>(n)}, compression_);
    if (!message) return net::PullState::kFailed;
    next_ += n;
    auto owner = std::make_shared<const wal::Bytes>(std::move(*message));
    piece.bytes = *owner;
    piece.owner = std::move(owner);
    return net::PullState::kReady;
  }
  void set_waker(std::function<void()>) override {}

 private:
  std::shared_ptr<PageSource> source_;
  std::uint32_t page_size_;
  std::vector<std::uint32_t> numbers_;
  wal::Compression compression_;
  std::size_t next_ = 0;
};

/// The frames of an ended generation, as they were published.
class EndedFramesBody : public net::BodySource {
 public:
  EndedFramesBody(std::shared_ptr<Publication> publication, std::uint64_t generation)
      : publication_(std::move(publication)), generation_(generation) {}

  net::PullState pull(net::BodyPiece& piece) override {
    auto next = publication_->log().read(generation_, offset_, kReadSize);
    if (!next) return net::PullState::kFailed;
    if (!*next) return net::PullState::kEnd;
    offset_ += (*next)->bytes.size();
    piece.owner = std::move((*next)->owner);
    piece.bytes = (*next)->bytes;
    return net::PullState::kReady;
  }
  void set_waker(std::function<void()>) override {}

 private:
  std::shared_ptr<Publication> publication_;
  std::uint64_t generation_;
  std::uint64_t offset_ = 0;
};

HttpResponse info(Publication& publication) {
  if (!publication.log().has_log() || !publication.source()) {
    return error_response(
        {ErrorCode::kBusy, "the database is not attached at the moment: try again"});
  }
  net::Info answer;
  const wal::LogTail tail = publication.log().tail();
  const wal::GenerationStart start = publication.log().start();
  answer.server_version = version();
  answer.position = tail.position;
  answer.generation_start = start.position();
  answer.page_size = tail.page_size;
  answer.page_count = tail.page_count;
  answer.snapshot_page_count = std::max(start.page_count, tail.page_count);
  answer.root = tail.root.to_text();
  const std::shared_lock lock(publication.hashes_mutex());
  answer.manifest_height = publication.hashes().height();
  return json_response(net::to_json(answer));
}

/// ferry/1/stream?from=POSITION[&image=1]
HttpResponse stream(const std::shared_ptr<Publication>& publication, const HttpRequest& request) {
  const auto from = request.query_value("from");
  if (!from) return error_response({ErrorCode::kInvalidArgument, "stream needs from=POSITION"});
  auto position = Position::parse(*from);
  if (!position) return error_response(position.error());
  const bool image = request.query_value("image") == "1";
  auto source = FollowerStream::open(publication, *position, image, compression_for(request));
  if (!source) return error_response(source.error());
  HttpResponse response = stream_response(std::move(*source), "no-store");
  response.headers.emplace_back("x-accel-buffering",
                                "no");  // an nginx in front passes it on at once
  return response;
}

/// ferry/1/snapshot/LOG/GENERATION/BLOCK[?skip=PAGES]
HttpResponse snapshot(Publication& publication, const HttpRequest& request,
                      const std::vector<std::string>& parts) {
  if (Status same = check_log(publication, parts[0]); !same) return error_response(same.error());
  auto generation = number_of<std::uint64_t>(parts[1]);
  auto block = number_of<std::uint32_t>(parts[2]);
  auto skip = number_of<std::uint32_t>(request.query_value("skip").value_or("0"));
  if (!generation) return error_response(generation.error());
  if (!block) return error_response(block.error());
  if (!skip) return error_response(skip.error());
  const wal::GenerationStart start = publication.log().start();
  const auto source = publication.source();
  if (!source)
    return error_response({ErrorCode::kBusy, "the database is being attached anew: try again"});
  if (*generation > start.generation) {
    return error_response(
        {ErrorCode::kHistoryChanged, "generation " + parts[1] + " is in the future"});
  }
  const std::uint32_t in_block = net::snapshot_block_pages(start.page_size);
  const std::uint32_t page_count = std::max(start.page_count, publication.log().tail().page_count);
  std::vector<std::uint32_t> numbers;
  const std::uint64_t begin = std::uint64_t{*block} * in_block + *skip + 1;
  const std::uint64_t end =
      std::min<std::uint64_t>((std::uint64_t{*block} + 1) * in_block, page_count);
  const std::uint32_t lock_page = wal::lock_byte_page(start.page_size);
  for (std::uint64_t page = begin; page <= end; ++page) {
    if (page != lock_page) numbers.push_back(static_cast<std::uint32_t>(page));
  }
  HttpResponse response =
      stream_response(std::make_unique<PagesBody>(source, start.page_size, std::move(numbers),
                                                  compression_for(request)),
                      "public, max-age=86400");
  // Two answers can differ in pages that frames of the generation bring anyway: equivalent, not
  // identical, which is what a weak tag says.
  response.headers.emplace_back("etag", "W/\"" + parts[0] + "-" + parts[1] + "-" + parts[2] + "-" +
                                            std::to_string(*skip) + "\"");
  return response;
}

/// ferry/1/manifest/LOG/LEVEL?nodes=LIST
HttpResponse manifest(Publication& publication, const HttpRequest& request,
                      const std::vector<std::string>& parts) {
  if (Status same = check_log(publication, parts[0]); !same) return error_response(same.error());
  auto level = number_of<std::uint32_t>(parts[1]);
  if (!level) return error_response(level.error());
  auto nodes = net::parse_number_list(request.query_value("nodes").value_or(""), kMaxNodes);
  if (!nodes) return error_response(nodes.error());
  if (*level == 0)
    return error_response({ErrorCode::kInvalidArgument, "pages (level 0) have no children"});
  HttpResponse response;
  response.content_type = net::kMessagesType;
  response.headers.emplace_back("cache-control", "no-store");
  const std::shared_lock lock(publication.hashes_mutex());
  const wal::PageHashes& hashes = publication.hashes();
  for (const std::uint32_t node : *nodes) {
    wal::HashesHeader header;
    header.level = *level - 1;
    const std::uint64_t first = std::uint64_t{node} * wal::kTreeFanout;
    const std::uint32_t known = hashes.node_count(header.level);
    header.first = static_cast<std::uint32_t>(std::min<std::uint64_t>(first, known));
    header.count = std::min(wal::kTreeFanout, known - header.first);
    wal::Bytes payload(wal::HashesHeader::kSize + std::size_t{header.count} * wal::Hash128::kSize);
    header.encode(payload.data());
    for (std::uint32_t i = 0; i < header.count; ++i) {
      hashes.node(header.level, header.first + i)
          .store(payload.data() + wal::HashesHeader::kSize + std::size_t{i} * wal::Hash128::kSize);
    }
    const wal::Bytes message =
        wal::encode_message(wal::MessageType::kHashes, payload, wal::Compression::kNever);
    response.body.append(reinterpret_cast<const char*>(message.data()), message.size());
  }
  return response;
}

/// POST ferry/1/pages/LOG, body: page numbers, 4 bytes each, little-endian.
HttpResponse pages(Publication& publication, const HttpRequest& request,
                   const std::vector<std::string>& parts) {
  if (Status same = check_log(publication, parts[0]); !same) return error_response(same.error());
  const auto source = publication.source();
  if (!source)
    return error_response({ErrorCode::kBusy, "the database is being attached anew: try again"});
  if (request.body.size() % 4 != 0 || request.body.size() / 4 > kMaxPages) {
    return error_response(
        {ErrorCode::kInvalidArgument,
         "pages takes at most " + std::to_string(kMaxPages) + " page numbers of 4 bytes"});
  }
  const auto number_at = [&request](std::size_t at) {
    return wal::load_le<std::uint32_t>(reinterpret_cast<const std::byte*>(request.body.data()) +
                                       at);
  };
  for (std::size_t at = 4; at < request.body.size(); at += 4) {
    if (number_at(at) <= number_at(at - 4))
      return error_response({ErrorCode::kInvalidArgument, "pages takes ascending page numbers"});
  }
  const wal::LogTail tail = publication.log().tail();
  const std::uint32_t page_count = std::max(publication.log().start().page_count, tail.page_count);
  std::vector<std::uint32_t> numbers;
  for (std::size_t at = 0; at < request.body.size(); at += 4) {
    const std::uint32_t number = number_at(at);
    if (number != 0 && number <= page_count && number != wal::lock_byte_page(tail.page_size))
      numbers.push_back(number);
  }
  return stream_response(std::make_unique<PagesBody>(source, tail.page_size, std::move(numbers),
                                                     compression_for(request)),
                         "no-store");
}

/// ferry/1/frames/LOG/GENERATION: immutable.
HttpResponse frames(const std::shared_ptr<Publication>& publication,
                    const std::vector<std::string>& parts) {
  if (Status same = check_log(*publication, parts[0]); !same) return error_response(same.error());
  auto generation = number_of<std::uint64_t>(parts[1]);
  if (!generation) return error_response(generation.error());
  const auto size = publication->log().ended_spool_size(*generation);
  if (!size) {
    return error_response({ErrorCode::kNotFound, "the frames of generation " + parts[1] +
                                                     " have not ended or are not kept any more"});
  }
  HttpResponse response =
      stream_response(std::make_unique<EndedFramesBody>(publication, *generation),
                      "public, max-age=31536000, immutable");
  response.stream_length = size;
  response.headers.emplace_back("etag", "\"" + parts[0] + "-" + parts[1] + "\"");
  return response;
}

/// ferry/1/root?position=POSITION
HttpResponse root(const Publication& publication, const HttpRequest& request) {
  auto position = Position::parse(request.query_value("position").value_or(""));
  if (!position) return error_response(position.error());
  const auto known = publication.log().root_at(*position);
  if (!known) {
    return error_response(
        {ErrorCode::kNotFound, "the root at " + position->to_text() + " is not known here"});
  }
  return json_response(net::to_json(net::RootAnswer{known->to_text()}));
}

}  // namespace

void FerryService::add(const std::string& name, std::shared_ptr<Publication> publication) {
  const std::lock_guard lock(mutex_);
  publications_[name] = std::move(publication);
}

void FerryService::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  publications_.erase(name);
}

Result<std::pair<std::shared_ptr<Publication>, std::string>> FerryService::route(
    const std::string& path) const {
  constexpr std::string_view kNamed = "/db/";
  constexpr std::string_view kFerry = "/ferry/";
  const std::lock_guard lock(mutex_);
  if (path.starts_with(kNamed)) {
    const std::size_t end = path.find(kFerry, kNamed.size());
    if (end != std::string::npos) {
      const std::string name = path.substr(kNamed.size(), end - kNamed.size());
      auto found = publications_.find(name);
      if (found == publications_.end())
        return fail(ErrorCode::kNotFound, "no database \"" + name + "\" is published here");
      return std::pair(found->second, path.substr(end + kFerry.size()));
    }
  } else if (path.starts_with(kFerry)) {
    if (publications_.size() != 1) {
      return fail(ErrorCode::kNotFound,
                  std::to_string(publications_.size()) +
                      " databases are published here: name one with /db/NAME");
    }
    return std::pair(publications_.begin()->second, path.substr(kFerry.size()));
  }
  return fail(ErrorCode::kNotFound, "nothing is served at " + path);
}

HttpResponse FerryService::handle(const HttpRequest& request) {
  if (request.path == "/ferry/status") return json_response(net::to_json(status_()));
  auto routed = route(request.path);
  if (!routed) return error_response(routed.error());
  const auto& [publication, rest] = *routed;
  const bool post = request.method == "POST";
  if (!post && request.method != "GET") {
    HttpResponse response =
        error_response({ErrorCode::kInvalidArgument, request.method + " is not served here"});
    response.status = 405;
    response.headers.emplace_back("allow", "GET, HEAD, POST");
    return response;
  }
  std::vector<std::string> parts = split(rest);
  if (!post && rest == "info") return info(*publication);
  if (!post && rest == "status") return json_response(net::to_json(status_()));
  if (parts.size() < 2 || parts[0] != std::to_string(net::kNewestProtocol)) {
    return error_response({ErrorCode::kNotFound, "nothing is served at " + request.path});
  }
  const std::string what = parts[1];
  parts.erase(parts.begin(), parts.begin() + 2);
  if (!post && what == "stream" && parts.empty()) return stream(publication, request);
  if (!post && what == "snapshot" && parts.size() == 3)
    return snapshot(*publication, request, parts);
  if (!post && what == "manifest" && parts.size() == 2)
    return manifest(*publication, request, parts);
  if (!post && what == "frames" && parts.size() == 2) return frames(publication, parts);
  if (!post && what == "root" && parts.empty()) return root(*publication, request);
  if (post && what == "pages" && parts.size() == 1) return pages(*publication, request, parts);
  return error_response({ErrorCode::kNotFound, "nothing is served at " + request.path});
}

}  // namespace walferry::engine
