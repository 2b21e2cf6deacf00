#include "engine/daemon/quantity_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <limits>
#include <optional>
#include <span>
#include <system_error>

namespace walferry::daemon {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array kSizeUnits = {
    Unit{"", 1},
    Unit{"B", 1},
    Unit{"K", 1ULL << 10},
    Unit{"KiB", 1ULL << 10},
    Unit{"M", 1ULL << 20},
    Unit{"MiB", 1ULL << 20},
    Unit{"G", 1ULL << 30},
    Unit{"GiB", 1ULL << 30},
    Unit{"T", 1ULL << 40},
    Unit{"TiB", 1ULL << 40},
    Unit{"KB", 1'000},
    Unit{"MB", 1'000'000},
    Unit{"GB", 1'000'000'000},
    Unit{"TB", 1'000'000'000'000},
};

// In milliseconds.
constexpr std::array kDurationUnits = {
    Unit{"", 1'000},     Unit{"ms", 1},        Unit{"s", 1'000},      Unit{"m", 60'000},
    Unit{"min", 60'000}, Unit{"h", 3'600'000}, Unit{"d", 86'400'000},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::optional<std::uint64_t> parse_whole(std::string_view text, int base = 10) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

// NUMBER[ ]UNIT in multiples of the unit table's base; nullopt when it is not, or too large.
std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  const std::size_t number_length = text.find_first_not_of("0123456789.");
  const std::string_view number = text.substr(0, number_length);
  std::string_view name = number_length == std::string_view::npos ? "" : text.substr(number_length);
  if (name.starts_with(' ')) name.remove_prefix(1);
  for (const Unit& unit : units) {
    if (!equal_ignoring_case(unit.name, name)) continue;
    if (const auto whole = parse_whole(number)) {
      if (*whole > std::numeric_limits<std::uint64_t>::max() / unit.factor) return std::nullopt;
      return *whole * unit.factor;
    }
    double fraction = 0;
    const char* end = number.data() + number.size();
    const auto [stop, error] =
        std::from_chars(number.data(), end, fraction, std::chars_format::fixed);
    const double product = fraction * static_cast<double>(unit.factor);
    if (error != std::errc{} || stop != end || product >= 0x1p63) return std::nullopt;
    return static_cast<std::uint64_t>(std::llround(product));
  }
  return std::nullopt;
}

std::unexpected<Error> not_a(std::string_view text, std::string_view kind_and_example) {
  return fail(ErrorCode::kInvalidArgument,
              "'" + std::string(text) + "' is not " + std::string(kind_and_example));
}

std::string two_digits(std::uint64_t value) {
  return (value < 10 ? "0" : "") + std::to_string(value);
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  const auto bytes = parse_with_unit(text, kSizeUnits);
  if (!bytes) return not_a(text, "a size; write for example 16M, 64MiB or 1G");
  return *bytes;
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto ms = parse_with_unit(text, kDurationUnits);
  // A century is more than anybody means, and far from what arithmetic on clocks can bear.
  constexpr std::uint64_t kLongestMs = 100ULL * 366 * 86'400'000;
  if (!ms || *ms > kLongestMs) {
    return not_a(text, "a duration; write for example 500ms, 30s, 5m or 2h");
  }
  return std::chrono::milliseconds(static_cast<std::int64_t>(*ms));
}

Result<unsigned> parse_count(std::string_view text, unsigned low, unsigned high) {
  const auto value = parse_whole(text);
  if (!value || *value < low || *value > high) {
    return not_a(text,
                 "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return static_cast<unsigned>(*value);
}

Result<std::uint32_t> parse_mode(std::string_view text) {
  const auto bits = parse_whole(text, 8);
  if (!bits || *bits > 0777) return not_a(text, "a file mode in octal; write for example 0660");
  return static_cast<std::uint32_t>(*bits);
}

Result<ListenAddress> parse_listen_address(std::string_view text) {
  constexpr std::string_view kKind =
      "an ADDRESS:PORT; write for example 127.0.0.1:7070 or [::1]:7070";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return not_a(text, kKind);
  std::string_view address = text.substr(0, colon);
  const bool bracketed = address.size() > 2 && address.front() == '[' && address.back() == ']';
  if (bracketed) address = address.substr(1, address.size() - 2);
  // A colon without brackets would leave open where an IPv6 address ends.
  const bool has_colon = address.find(':') != std::string_view::npos;
  const bool has_bracket = address.find_first_of("[]") != std::string_view::npos;
  const auto port = parse_whole(text.substr(colon + 1));
  if (address.empty() || has_bracket || has_colon != bracketed || !port || *port > 65'535) {
    return not_a(text, kKind);
  }
  return ListenAddress{std::string(address), static_cast<std::uint16_t>(*port)};
}

std::string http_root(std::string_view address, std::uint16_t port) {
  const bool is_ipv6 = address.find(':') != std::string_view::npos;
  const std::string host = is_ipv6 ? "[" + std::string(address) + "]" : std::string(address);
  return "http://" + host + ":" + std::to_string(port);
}

std::string percent_encode(std::string_view name) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : name) {
    const bool is_letter = lower(c) >= 'a' && lower(c) <= 'z';
    const bool is_digit = c >= '0' && c <= '9';
    if (is_letter || is_digit || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    }
  }
  return out;
}

std::string format_decimal(double value) {
  std::array<char, 64> text{};
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): std::format is not in g++ 12's library.
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

std::string format_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  constexpr std::array<std::string_view, 4> kNames = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t index = 0;
  while (value >= 1024 && index + 1 < kNames.size()) {
    value /= 1024;
    ++index;
  }
  return format_decimal(value) + " " + std::string(kNames.at(index));
}

std::string format_seconds(double seconds) {
  if (seconds < 10) return format_decimal(seconds) + " s";
  const auto whole = static_cast<std::uint64_t>(seconds);
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + two_digits(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + two_digits(whole % 3600 / 60) + " min";
}

std::string format_unix_time(double unix_seconds) {
  const auto time = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

}  // namespace walferry::daemon
