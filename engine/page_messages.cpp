#include "engine/page_messages.h"

#include "wal/byte_order.h"

namespace walferry::engine {

Result<wal::Bytes> encode_pages(PageSource& source, std::uint32_t page_size,
                                const std::vector<std::uint32_t>& numbers,
                                wal::Compression compression) {
  const auto count = static_cast<std::uint32_t>(numbers.size());
  const std::size_t pages_at = wal::PagesHeader::kSize + wal::PagesHeader::numbers_size(count);
  wal::Bytes payload(pages_at + std::size_t{count} * page_size);
  wal::PagesHeader{page_size, count}.encode(payload.data());
  for (std::uint32_t i = 0; i < count; ++i) {
    wal::store_le(payload.data() + wal::PagesHeader::kSize + std::size_t{4} * i, numbers[i]);
  }
  // Neighbours are read at once.
  for (std::uint32_t i = 0; i < count;) {
    std::uint32_t last = i;
    while (last + 1 < count && numbers[last + 1] == numbers[last] + 1) ++last;
    const std::uint32_t run = last - i + 1;
    const auto bytes = std::span(payload).subspan(pages_at + std::size_t{i} * page_size,
                                                  std::size_t{run} * page_size);
    if (Status read = source.read_pages(numbers[i], run, bytes); !read) return fail(read.error());
    i = last + 1;
  }
  return wal::encode_message(wal::MessageType::kPages, payload, compression);
}

}  // namespace walferry::engine
