#include "net/json_text.h"

#include <charconv>
#include <cmath>

#include "net/utf8_text.h"

namespace walferry::net {

namespace {

void append_escaped(std::string& out, char c) {
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  const auto code = static_cast<unsigned char>(c);
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      const char escape[] = {'\\', 'u', '0', '0', kHexDigits[code >> 4], kHexDigits[code & 15]};
      out.append(escape, sizeof escape);
  }
}

template <class Integer>
void append_integer(std::string& out, Integer value) {
  char digits[24];
  const auto written = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, static_cast<std::size_t>(written.ptr - digits));
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  // What needs no change is gathered in `run` and appended at once: in most texts, all of it.
  std::size_t run = 0;
  const auto flush = [&] {
    out.append(text.data(), run);
    text.remove_prefix(run);
    run = 0;
  };
  for (;;) {
    run += plain_prefix_size(text.substr(run));
    if (run == text.size()) break;
    if (static_cast<unsigned char>(text[run]) < 0x80) {
      flush();
      append_escaped(out, text.front());
      text.remove_prefix(1);
      continue;
    }
    if (const std::size_t size = multibyte_prefix_size(text.substr(run)); size > 0) {
      run += size;
      continue;
    }
    flush();
    out += kReplacementCharacter;
    text.remove_prefix(first_utf8_sequence(text).size);
  }
  flush();
  out += '"';
}

void append_json_integer(std::string& out, std::int64_t value) { append_integer(out, value); }
void append_json_integer(std::string& out, std::uint64_t value) { append_integer(out, value); }

void append_json_float(std::string& out, double value) {
  if (std::isinf(value)) {
    out += value < 0 ? "-1e999" : "1e999";
    return;
  }
  char digits[32];
  const auto written = std::to_chars(digits, digits + sizeof digits, value);
  const std::string_view number(digits, static_cast<std::size_t>(written.ptr - digits));
  out += number;
  if (number.find_first_of(".e") == std::string_view::npos) out += ".0";
}

}  // namespace walferry::net
