#include "engine/ferry_client.h"

namespace walferry::engine {

namespace {

bool is_success(long status) { return status >= 200 && status < 300; }

std::string versioned(const std::string& rest) {
  return std::to_string(net::kNewestProtocol) + "/" + rest;
}

}  // namespace

Result<std::unique_ptr<FerryClient>> FerryClient::create(const ReplicaOptions& options) {
  std::unique_ptr<FerryClient> client(new FerryClient(options));
  auto http = net::HttpClient::create();
  if (!http) return fail(http.error());
  client->client_ = std::move(*http);
  return client;
}

net::HttpCall FerryClient::call_for(const std::string& rest) const {
  net::HttpCall call;
  call.url = net::ferry_url(url_, rest);
  call.connect_timeout = options_.connect_timeout;
  call.idle_timeout = options_.idle_timeout;
  call.total_timeout = options_.total_timeout;
  call.limit_rate = options_.limit_rate;
  return call;
}

Result<std::string> FerryClient::fetch_text(const net::HttpCall& call) {
  auto reply = client_->perform(call);
  if (!reply) return fail(reply.error());
  bytes_received_ += reply->bytes_received;
  if (!is_success(reply->status))
    return fail(net::error_of_answer(reply->status, reply->body, call.url));
  return std::move(reply->body);
}

Status FerryClient::fetch_messages(const net::HttpCall& call,
                                   const wal::MessageParser::Receiver& receive,
                                   const std::function<Status()>& at_hand_done,
                                   const net::Tick& tick) {
  wal::MessageParser parser;
  const auto sink = [&](std::span<const std::byte> bytes) -> Status {
    bytes_received_ += bytes.size();
    if (Status fed = parser.feed(bytes, receive); !fed) return fed;
    return at_hand_done ? at_hand_done() : Status{};
  };
  auto reply = client_->perform(call, sink, tick);
  if (!reply) {
    return fail(reply.error().code == ErrorCode::kCorrupt ? reply.error().while_doing(call.url)
                                                          : reply.error());
  }
  if (!is_success(reply->status))
    return fail(net::error_of_answer(reply->status, reply->body, call.url));
  Status whole = parser.finish();
  return whole ? whole : Status(fail(whole.error().while_doing(call.url)));
}

Result<net::Info> FerryClient::info() {
  const net::HttpCall call = call_for("info");
  auto text = fetch_text(call);
  if (!text) return fail(text.error());
  auto info = net::parse_info(*text);
  if (!info) return fail(info.error().while_doing(call.url));
  return info;
}

Status FerryClient::snapshot(const Position& from, std::uint32_t block, std::uint32_t skip,
                             const wal::MessageParser::Receiver& receive) {
  std::string rest = "snapshot/" + from.log.to_text() + "/" + std::to_string(from.generation) +
                     "/" + std::to_string(block);
  if (skip != 0) rest += "?skip=" + std::to_string(skip);
  return fetch_messages(call_for(versioned(rest)), receive, {}, {});
}

Status FerryClient::manifest(const LogId& log, std::uint32_t level,
                             const std::vector<std::uint32_t>& nodes,
                             const wal::MessageParser::Receiver& receive) {
  const std::string rest = "manifest/" + log.to_text() + "/" + std::to_string(level) +
                           "?nodes=" + net::number_list(nodes);
  return fetch_messages(call_for(versioned(rest)), receive, {}, {});
}

Status FerryClient::pages(const LogId& log, const std::vector<std::uint32_t>& numbers,
                          const wal::MessageParser::Receiver& receive) {
  net::HttpCall call = call_for(versioned("pages/" + log.to_text()));
  call.method = "POST";
  call.body.resize(numbers.size() * 4);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    wal::store_le(reinterpret_cast<std::byte*>(call.body.data()) + i * 4, numbers[i]);
  }
  return fetch_messages(call, receive, {}, {});
}

Status FerryClient::stream(const Position& from, bool image,
                           const wal::MessageParser::Receiver& receive,
                           const std::function<Status()>& at_hand_done, const net::Tick& tick) {
  net::HttpCall call =
      call_for(versioned("stream?from=" + from.to_text() + (image ? "&image=1" : "")));
  call.total_timeout = std::chrono::milliseconds{0};
  Status ended = fetch_messages(call, receive, at_hand_done, tick);
  if (!ended) return ended;
  return fail(ErrorCode::kNetwork, call.url + ": the server ended the stream");
}

Result<std::string> FerryClient::root(const Position& position) {
  const net::HttpCall call = call_for(versioned("root?position=" + position.to_text()));
  auto text = fetch_text(call);
  if (!text) return fail(text.error());
  auto answer = net::parse_root(*text);
  if (!answer) return fail(answer.error().while_doing(call.url));
  return answer->root;
}

}  // namespace walferry::engine
