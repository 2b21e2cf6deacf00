// The text forms of the public value types.
#include <array>
#include <charconv>

#include "wal/sqlite_api.h"
#include "walferry/error.hpp"
#include "walferry/position.hpp"
#include "walferry/replica.hpp"

namespace walferry {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kForeignFile:
      return "foreign_file";
    case ErrorCode::kNotADatabase:
      return "not_a_database";
    case ErrorCode::kBusy:
      return "busy";
    case ErrorCode::kReadOnly:
      return "read_only";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kNoSpace:
      return "no_space";
    case ErrorCode::kNetwork:
      return "network";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kProtocol:
      return "protocol";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kHistoryChanged:
      return "history_changed";
    case ErrorCode::kRefused:
      return "refused";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kDiffers:
      return "differs";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

std::string_view to_string(ReplicaState state) noexcept {
  switch (state) {
    case ReplicaState::kOpening:
      return "opening";
    case ReplicaState::kBootstrapping:
      return "bootstrapping";
    case ReplicaState::kReconciling:
      return "reconciling";
    case ReplicaState::kCatchingUp:
      return "catching up";
    case ReplicaState::kLive:
      return "live";
    case ReplicaState::kStalled:
      return "stalled";
    case ReplicaState::kStopped:
      return "stopped";
  }
  return "stopped";
}

namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

void append_hex(std::string& text, std::uint8_t byte) {
  text += kDigits[byte >> 4];
  text += kDigits[byte & 15];
}

/// Lower-case hexadecimal digits, as many as `digits` has.
bool parse_hex(std::string_view digits, std::uint64_t& value) {
  value = 0;
  for (const char digit : digits) {
    const auto nibble = kDigits.find(digit);
    if (nibble == std::string_view::npos) return false;
    value = (value << 4) | nibble;
  }
  return true;
}

/// A decimal number as to_string() writes it.
bool parse_decimal(std::string_view digits, std::uint64_t& value) {
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  return error == std::errc{} && stop == end && (digits.size() == 1 || digits[0] != '0');
}

std::unexpected<Error> not_a(const char* what, std::string_view text) {
  return fail(ErrorCode::kInvalidArgument, "\"" + std::string(text) + "\" is not a " + what);
}

}  // namespace

std::string LogId::to_text() const {
  std::string text;
  for (const std::uint8_t byte : bytes) append_hex(text, byte);
  return text;
}

Result<LogId> LogId::parse(std::string_view text) {
  LogId id;
  constexpr const char* kWhat = "log id (32 lower-case hexadecimal digits)";
  if (text.size() != 2 * id.bytes.size()) return not_a(kWhat, text);
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    std::uint64_t byte = 0;
    if (!parse_hex(text.substr(2 * i, 2), byte)) return not_a(kWhat, text);
    id.bytes[i] = static_cast<std::uint8_t>(byte);
  }
  return id;
}

LogId LogId::random() {
  LogId id;
  do {
    wal::sqlite().randomness(static_cast<int>(id.bytes.size()), id.bytes.data());
  } while (id.is_nil());
  return id;
}

std::string Position::to_text() const {
  std::string text =
      log.to_text() + '.' + std::to_string(generation) + '.' + std::to_string(frame) + '.';
  for (int shift = 56; shift >= 0; shift -= 8)
    append_hex(text, static_cast<std::uint8_t>(checksum >> shift));
  return text;
}

Result<Position> Position::parse(std::string_view text) {
  constexpr const char* kWhat = "position (LOG.GENERATION.FRAME.CHECKSUM)";
  std::array<std::string_view, 4> parts;
  std::string_view rest = text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t dot = i + 1 < parts.size() ? rest.find('.') : rest.size();
    if (dot == std::string_view::npos) return not_a(kWhat, text);
    parts[i] = rest.substr(0, dot);
    rest = rest.substr(std::min(dot + 1, rest.size()));
  }
  auto log = LogId::parse(parts[0]);
  if (!log) return not_a(kWhat, text);
  Position position{*log, 0, 0, 0};
  if (!parse_decimal(parts[1], position.generation) || !parse_decimal(parts[2], position.frame) ||
      parts[3].size() != 16 || !parse_hex(parts[3], position.checksum)) {
    return not_a(kWhat, text);
  }
  return position;
}

}  // namespace walferry
