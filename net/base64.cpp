#include "net/base64.h"

#include <array>
#include <cstdint>

namespace walferry::net {

namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::uint8_t kNoDigit = 0xff;

/// The value of each character, kNoDigit for the others.
constexpr std::array<std::uint8_t, 256> kDigits = [] {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    digits[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return digits;
}();

std::uint32_t digit(char c) { return kDigits[static_cast<unsigned char>(c)]; }

char character(std::uint32_t bits) { return kAlphabet[bits & 63]; }

std::byte low_byte(std::uint32_t bits) { return static_cast<std::byte>(bits & 0xff); }

}  // namespace

void append_base64(std::string& out, std::span<const std::byte> bytes) {
  const std::size_t rest = bytes.size() % 3;
  const std::size_t start = out.size();
  // Three bytes are four characters; one is two and two are three.
  out.resize(start + bytes.size() / 3 * 4 + (rest == 0 ? 0 : rest + 1));
  char* to = out.data() + start;
  const std::byte* from = bytes.data();
  const auto byte_at = [&from](int i) { return std::to_integer<std::uint32_t>(from[i]); };
  for (std::size_t i = bytes.size() / 3; i > 0; --i, from += 3) {
    const std::uint32_t bits = byte_at(0) << 16 | byte_at(1) << 8 | byte_at(2);
    *to++ = character(bits >> 18);
    *to++ = character(bits >> 12);
    *to++ = character(bits >> 6);
    *to++ = character(bits);
  }
  if (rest == 0) return;
  const std::uint32_t bits = byte_at(0) << 16 | (rest == 2 ? byte_at(1) << 8 : 0);
  *to++ = character(bits >> 18);
  *to++ = character(bits >> 12);
  if (rest == 2) *to++ = character(bits >> 6);
}

std::optional<std::vector<std::byte>> decode_base64(std::string_view text) {
  if (text.ends_with('=')) {
    if (text.size() % 4 != 0) return std::nullopt;
    text.remove_suffix(text[text.size() - 2] == '=' ? 2 : 1);
  }
  const std::size_t rest = text.size() % 4;
  if (rest == 1) return std::nullopt;
  std::vector<std::byte> bytes(text.size() / 4 * 3 + (rest == 0 ? 0 : rest - 1));
  std::byte* to = bytes.data();
  const char* from = text.data();
  for (std::size_t i = text.size() / 4; i > 0; --i, from += 4) {
    const std::uint32_t a = digit(from[0]);
    const std::uint32_t b = digit(from[1]);
    const std::uint32_t c = digit(from[2]);
    const std::uint32_t d = digit(from[3]);
    if ((a | b | c | d) > 63) return std::nullopt;
    const std::uint32_t bits = a << 18 | b << 12 | c << 6 | d;
    *to++ = low_byte(bits >> 16);
    *to++ = low_byte(bits >> 8);
    *to++ = low_byte(bits);
  }
  if (rest == 0) return bytes;
  const std::uint32_t a = digit(from[0]);
  const std::uint32_t b = digit(from[1]);
  const std::uint32_t c = rest == 3 ? digit(from[2]) : 0;
  if ((a | b | c) > 63) return std::nullopt;
  const std::uint32_t bits = a << 18 | b << 12 | c << 6;
  if ((bits & (rest == 3 ? 0xffU : 0xffffU)) != 0) return std::nullopt;
  *to++ = low_byte(bits >> 16);
  if (rest == 3) *to++ = low_byte(bits >> 8);
  return bytes;
}

}  // namespace walferry::net
