#include "wal/wal_format.h"

#include <bit>
#include <cstring>

namespace walferry::wal {

namespace {

template <bool kSwap>
Checksum extend(Checksum sum, const std::byte* from, std::size_t size) noexcept {
  std::uint32_t first = sum.first;
  std::uint32_t second = sum.second;
  for (const std::byte* end = from + size; from < end; from += 8) {
    std::uint32_t a = load_native<std::uint32_t>(from);
    std::uint32_t b = load_native<std::uint32_t>(from + 4);
    if constexpr (kSwap) {
      a = std::byteswap(a);
      b = std::byteswap(b);
    }
    first += a + second;
    second += b + first;
  }
  return {first, second};
}

}  // namespace

Checksum extend_checksum(Checksum sum, std::span<const std::byte> bytes,
                         bool big_endian_words) noexcept {
  const bool native_is_big = std::endian::native == std::endian::big;
  return big_endian_words == native_is_big ? extend<false>(sum, bytes.data(), bytes.size())
                                           : extend<true>(sum, bytes.data(), bytes.size());
}

std::optional<WalHeader> WalHeader::decode(
    std::span<const std::byte, kWalHeaderSize> bytes) noexcept {
  const std::byte* raw = bytes.data();
  const auto magic = load_be<std::uint32_t>(raw);
  if ((magic & ~1u) != kWalMagic || load_be<std::uint32_t>(raw + 4) != kWalVersion) return {};
  WalHeader header;
  header.big_endian_words = (magic & 1u) != 0;
  header.page_size = load_be<std::uint32_t>(raw + 8);
  header.sequence = load_be<std::uint32_t>(raw + 12);
  std::memcpy(header.salts.data(), raw + 16, header.salts.size());
  header.checksum = {load_be<std::uint32_t>(raw + 24), load_be<std::uint32_t>(raw + 28)};
  if (!is_valid_page_size(header.page_size)) return {};
  if (extend_checksum({}, bytes.first(24), header.big_endian_words) != header.checksum) return {};
  return header;
}

void WalHeader::encode(std::span<std::byte, kWalHeaderSize> bytes) noexcept {
  std::byte* raw = bytes.data();
  store_be(raw, kWalMagic | (big_endian_words ? 1u : 0u));
  store_be(raw + 4, kWalVersion);
  store_be(raw + 8, page_size);
  store_be(raw + 12, sequence);
  std::memcpy(raw + 16, salts.data(), salts.size());
  checksum = extend_checksum({}, bytes.first(24), big_endian_words);
  store_be(raw + 24, checksum.first);
  store_be(raw + 28, checksum.second);
}

FrameHeader FrameHeader::decode(const std::byte* bytes) noexcept {
  FrameHeader header;
  header.page_number = load_be<std::uint32_t>(bytes);
  header.commit_page_count = load_be<std::uint32_t>(bytes + 4);
  std::memcpy(header.salts.data(), bytes + 8, header.salts.size());
  header.checksum = {load_be<std::uint32_t>(bytes + 16), load_be<std::uint32_t>(bytes + 20)};
  return header;
}

void FrameHeader::encode(std::byte* bytes) const noexcept {
  store_be(bytes, page_number);
  store_be(bytes + 4, commit_page_count);
  std::memcpy(bytes + 8, salts.data(), salts.size());
  store_be(bytes + 16, checksum.first);
  store_be(bytes + 20, checksum.second);
}

}  // namespace walferry::wal
