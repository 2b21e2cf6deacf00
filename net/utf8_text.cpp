#include "net/utf8_text.h"

#include <cstdint>
#include <cstring>

namespace walferry::net {

namespace {

constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::uint64_t kHighBits = 0x8080808080808080;

std::uint64_t eight_bytes(const char* from) {
  std::uint64_t word = 0;
  std::memcpy(&word, from, sizeof word);
  return word;
}

/// A high bit is set if some byte is zero. Bytes above the first zero may be reported wrongly; that
/// there is none is always right.
std::uint64_t zero_bytes(std::uint64_t word) { return (word - kOnes) & ~word & kHighBits; }

bool all_plain(std::uint64_t word) {
  const std::uint64_t below_space = (word - kOnes * 0x20) & ~word & kHighBits;
  const std::uint64_t quotes = zero_bytes(word ^ (kOnes * '"'));
  const std::uint64_t backslashes = zero_bytes(word ^ (kOnes * '\\'));
  return ((word & kHighBits) | below_space | quotes | backslashes) == 0;
}

std::size_t ascii_prefix_size(std::string_view text) {
  std::size_t size = 0;
  while (text.size() - size >= 8 && (eight_bytes(text.data() + size) & kHighBits) == 0) size += 8;
  while (size < text.size() && static_cast<unsigned char>(text[size]) < 0x80) ++size;
  return size;
}

/// What a sequence that begins with `lead` looks like: its size (0: none does) and the range of its
/// second byte. Narrower ranges keep out what is overlong, surrogate or too large.
struct Form {
  std::size_t size;
  unsigned char second_from = 0x80;
  unsigned char second_to = 0xbf;
};
Form form_of(unsigned char lead) {
  if (lead < 0x80) return {1};
  if (lead < 0xc2) return {0};
  if (lead < 0xe0) return {2};
  if (lead == 0xe0) return {3, 0xa0};
  if (lead == 0xed) return {3, 0x80, 0x9f};
  if (lead < 0xf0) return {3};
  if (lead == 0xf0) return {4, 0x90};
  if (lead < 0xf4) return {4};
  if (lead == 0xf4) return {4, 0x80, 0x8f};
  return {0};
}

}  // namespace

Utf8Sequence first_utf8_sequence(std::string_view text) {
  const auto byte_at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const Form form = form_of(byte_at(0));
  if (form.size < 2) return {1, form.size == 1};
  for (std::size_t i = 1; i < form.size; ++i) {
    const unsigned char from = i == 1 ? form.second_from : 0x80;
    const unsigned char to = i == 1 ? form.second_to : 0xbf;
    if (i == text.size() || byte_at(i) < from || byte_at(i) > to) return {i, false};
  }
  return {form.size, true};
}

std::size_t multibyte_prefix_size(std::string_view text) {
  const auto byte_at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues_at = [&byte_at](std::size_t i) { return (byte_at(i) & 0xc0) == 0x80; };
  std::size_t size = 0;
  while (size < text.size() && byte_at(size) >= 0x80) {
    const unsigned char lead = byte_at(size);
    const std::size_t left = text.size() - size;
    // Most characters are such; the others have narrower ranges or four bytes.
    if (lead >= 0xc2 && lead < 0xe0 && left >= 2 && continues_at(size + 1)) {
      size += 2;
    } else if (lead > 0xe0 && lead < 0xed && left >= 3 && continues_at(size + 1) &&
               continues_at(size + 2)) {
      size += 3;
    } else {
      const Utf8Sequence sequence = first_utf8_sequence(text.substr(size));
      if (!sequence.valid) break;
      size += sequence.size;
    }
  }
  return size;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    text.remove_prefix(ascii_prefix_size(text));
    const std::size_t size = multibyte_prefix_size(text);
    if (size == 0 && !text.empty()) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string repaired_utf8(std::string_view text) {
  std::string repaired;
  repaired.reserve(text.size() + kReplacementCharacter.size());
  while (!text.empty()) {
    const Utf8Sequence sequence = first_utf8_sequence(text);
    repaired += sequence.valid ? text.substr(0, sequence.size) : kReplacementCharacter;
    text.remove_prefix(sequence.size);
  }
  return repaired;
}

std::size_t plain_prefix_size(std::string_view text) {
  std::size_t size = 0;
  while (text.size() - size >= 8 && all_plain(eight_bytes(text.data() + size))) size += 8;
  for (; size < text.size(); ++size) {
    const auto c = static_cast<unsigned char>(text[size]);
    if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') break;
  }
  return size;
}

}  // namespace walferry::net
