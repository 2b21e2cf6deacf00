/// A place in the history of a published database.
///
/// A position names a committed state: the log (one history of one database, a random id), the
/// generation (from one complete backfill of the primary's WAL to the next), the frame (1-based
/// within the generation; 0 is its start) and SQLite's cumulative checksum at that frame. The
/// checksum is what makes a position provable: after a power cut a primary can use the same frame
/// number again for other content, never the same checksum.
///
/// Text form: LOG.GENERATION.FRAME.CHECKSUM, with the log as 32 and the checksum as 16 lower-case
/// hexadecimal digits and the two numbers in decimal, without leading zeros: each position has one
/// spelling only.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "walferry/error.hpp"

namespace walferry {

struct LogId {
  std::array<std::uint8_t, 16> bytes{};

  friend bool operator==(const LogId&, const LogId&) = default;
  [[nodiscard]] bool is_nil() const noexcept { return bytes == std::array<std::uint8_t, 16>{}; }
  [[nodiscard]] std::string to_text() const;
  static Result<LogId> parse(std::string_view text);
  /// A fresh id from the operating system's random source.
  static LogId random();
};

struct Position {
  LogId log;
  std::uint64_t generation = 0;
  std::uint64_t frame = 0;
  std::uint64_t checksum = 0;

  friend bool operator==(const Position&, const Position&) = default;
  [[nodiscard]] std::string to_text() const;
  static Result<Position> parse(std::string_view text);
};

}  // namespace walferry
