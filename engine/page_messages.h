/// Reads pages from a source and packs them into messages. They are smaller than those of frames: a
/// bootstrap that is cut goes on after the last whole message.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/publication.h"
#include "wal/message_codec.h"
#include "walferry/error.hpp"

namespace walferry::engine {

/// How many pages fit into one message.
constexpr std::uint32_t pages_per_message(std::uint32_t page_size) noexcept {
  constexpr std::uint32_t kPagesBytes = 128u << 10;
  return kPagesBytes / page_size;
}

/// One kPages message with the given pages (ascending, at most pages_per_message()).
Result<wal::Bytes> encode_pages(PageSource& source, std::uint32_t page_size,
                                const std::vector<std::uint32_t>& numbers,
                                wal::Compression compression);

}  // namespace walferry::engine
