/// Base64 as Hrana's JSON carries blobs: RFC 4648's standard alphabet, written without padding.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace walferry::net {

void append_base64(std::string& out, std::span<const std::byte> bytes);

/// Takes padding or its absence, and nothing else: no white space, no other alphabet, no padding of
/// the wrong length, no bits beyond the last byte. Such a text was cut or is no base64.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text);

}  // namespace walferry::net
