/// JSON written straight into a string.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace walferry::net {

/// In quotes. Always valid JSON: what is not UTF-8 becomes U+FFFD. NUL is \u0000 and survives.
void append_json_string(std::string& out, std::string_view text);

void append_json_integer(std::string& out, std::int64_t value);
void append_json_integer(std::string& out, std::uint64_t value);

/// The shortest number that reads back as the same double, with a fraction or an exponent even when
/// it is integral (Python keeps 1.0 a float). Infinities are 1e999 and -1e999: valid JSON that
/// JavaScript and Python read as infinities. A NaN must not get here.
void append_json_float(std::string& out, double value);

}  // namespace walferry::net
