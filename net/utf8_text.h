/// UTF-8 as JSON and Protobuf demand it. SQLite keeps whatever bytes it was given as text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace walferry::net {

/// U+FFFD, which stands for what is not UTF-8.
inline constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";

/// The sequence at the beginning of a text that is not empty.
struct Utf8Sequence {
  std::size_t size;  ///< if it is not valid: of what one U+FFFD replaces, at least 1
  bool valid;        ///< one character; no surrogate, nothing overlong, none beyond U+10FFFF
};
Utf8Sequence first_utf8_sequence(std::string_view text);

bool is_utf8(std::string_view text);
/// The text with U+FFFD for every sequence that is none.
std::string repaired_utf8(std::string_view text);

/// How many bytes at the beginning are valid sequences of more than one byte.
std::size_t multibyte_prefix_size(std::string_view text);

/// How many bytes at the beginning are printable ASCII other than `"` and `\`: what JSON takes as
/// it is. Reads eight bytes at a time.
std::size_t plain_prefix_size(std::string_view text);

}  // namespace walferry::net
