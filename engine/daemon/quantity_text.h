/// Sizes, durations and addresses as people write them, both ways. Every parser takes the whole
/// text or refuses it with a message that shows how it should look.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "walferry/error.hpp"

namespace walferry::daemon {

/// "16M", "64MiB", "1.5G", "512" (bytes). K, M, G, T and KiB.. are powers of 1024; KB.. of 1000.
Result<std::uint64_t> parse_size(std::string_view text);

/// "500ms", "30s", "5m", "2h", "1d"; a bare number is in seconds. Never negative.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

/// A whole number from `low` to `high`.
Result<unsigned> parse_count(std::string_view text, unsigned low, unsigned high);

/// Permission bits in octal, "0660" or "660".
Result<std::uint32_t> parse_mode(std::string_view text);

struct ListenAddress {
  std::string address;
  std::uint16_t port = 0;
};
/// "127.0.0.1:7070", "[::1]:7070"; port 0 lets the system choose.
Result<ListenAddress> parse_listen_address(std::string_view text);

/// "http://127.0.0.1:7070"; an IPv6 address gets its brackets.
std::string http_root(std::string_view address, std::uint16_t port);
/// A name as it stands in a URL path: everything but unreserved characters percent-encoded.
std::string percent_encode(std::string_view name);

std::string format_bytes(std::uint64_t bytes);      ///< "1.4 GiB", "512 B"
std::string format_decimal(double value);           ///< one digit after the point: "0.3"
std::string format_seconds(double seconds);         ///< "0.3 s", "42 s", "3 min 07 s", "2 h 05 min"
std::string format_unix_time(double unix_seconds);  ///< "2026-01-31T12:00:00Z"

}  // namespace walferry::daemon
