/// walferry's own protocol: names, headers and JSON objects that both sides agree on.
/// docs/protocol.md describes it; wal/message_format.h has the binary messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "walferry/error.hpp"
#include "walferry/position.hpp"
#include "walferry/replica.hpp"
#include "walferry/server.hpp"

namespace walferry::net {

/// Versions of the protocol that this build speaks. A client picks the highest both sides have.
inline constexpr unsigned kOldestProtocol = 1;
inline constexpr unsigned kNewestProtocol = 1;

inline constexpr std::string_view kMessagesType = "application/vnd.walferry.messages";
inline constexpr std::string_view kJsonType = "application/json";

/// Pages of a snapshot block: about 16 MiB of them.
constexpr std::uint32_t snapshot_block_pages(std::uint32_t page_size) noexcept {
  return (16u << 20) / page_size;
}

/// The answer of ferry/info.
struct Info {
  unsigned oldest_protocol = kOldestProtocol;
  unsigned newest_protocol = kNewestProtocol;
  std::string server_version;
  Position position;          ///< the newest published
  Position generation_start;  ///< a follower without a copy begins here
  std::uint32_t page_size = 0;
  std::uint32_t page_count = 0;
  std::uint32_t snapshot_page_count = 0;  ///< pages that the snapshot blocks have
  std::uint32_t manifest_height = 0;
  std::string root;  ///< of the newest published state, as hexadecimal text
};
std::string to_json(const Info& info);
Result<Info> parse_info(std::string_view json);

/// The answer of ferry/1/root.
struct RootAnswer {
  std::string root;
};
std::string to_json(const RootAnswer& answer);
Result<RootAnswer> parse_root(std::string_view json);

std::string to_json(const ServerStatus& status);
Result<ServerStatus> parse_server_status(std::string_view json);

std::string to_json(const ReplicaStatus& status);
Result<ReplicaStatus> parse_replica_status(std::string_view json);

/// {"error":{"code":...,"message":...}}
std::string error_json(const Error& error);
/// The error that a non-2xx answer stands for.
Error error_of_answer(long status, std::string_view body, const std::string& url);
unsigned http_status_of(ErrorCode code) noexcept;

/// `base` without a trailing slash, then "/ferry/" and `rest`.
std::string ferry_url(std::string_view base, std::string_view rest);

/// "1,4,9-12" <-> strictly ascending numbers; at most `limit` of them.
Result<std::vector<std::uint32_t>> parse_number_list(std::string_view text, std::size_t limit);
std::string number_list(const std::vector<std::uint32_t>& ascending);

}  // namespace walferry::net
