/// The requests of walferry's own protocol, from the replica's side.
/// Thread safety: one thread uses it; stop() and wake() may be called from any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/ferry_protocol.h"
#include "net/http_client.h"
#include "wal/message_codec.h"
#include "walferry/replica.hpp"

namespace walferry::engine {

class FerryClient {
 public:
  static Result<std::unique_ptr<FerryClient>> create(const ReplicaOptions& options);

  Result<net::Info> info();
  /// A block of the snapshot, from its page `skip` on.
  Status snapshot(const Position& from, std::uint32_t block, std::uint32_t skip,
                  const wal::MessageParser::Receiver& receive);
  /// The children of `nodes` (ascending) of a level, one message for each.
  Status manifest(const LogId& log, std::uint32_t level, const std::vector<std::uint32_t>& nodes,
                  const wal::MessageParser::Receiver& receive);
  Status pages(const LogId& log, const std::vector<std::uint32_t>& numbers,
               const wal::MessageParser::Receiver& receive);
  /// Runs the live stream. `at_hand_done` is called whenever all messages at hand were taken.
  Status stream(const Position& from, bool image, const wal::MessageParser::Receiver& receive,
                const std::function<Status()>& at_hand_done, const net::Tick& tick);
  /// The root at a position; kNotFound when the server does not know it.
  Result<std::string> root(const Position& position);

  /// Ends the running request and all later ones with kCancelled.
  void stop() { client_->cancel(); }
  void wake() { client_->wake(); }
  [[nodiscard]] std::uint64_t bytes_received() const noexcept { return bytes_received_; }

 private:
  explicit FerryClient(const ReplicaOptions& options) : options_(options), url_(options.url) {}
  net::HttpCall call_for(const std::string& rest) const;
  Result<std::string> fetch_text(const net::HttpCall& call);
  Status fetch_messages(const net::HttpCall& call, const wal::MessageParser::Receiver& receive,
                        const std::function<Status()>& at_hand_done, const net::Tick& tick);

  ReplicaOptions options_;
  std::string url_;
  std::unique_ptr<net::HttpClient> client_;
  std::atomic<std::uint64_t> bytes_received_{0};
};

}  // namespace walferry::engine
