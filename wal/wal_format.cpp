#include "wal/wal_format.h"

#include <array>
#include <bit>
#include <cstring>

namespace walferry::wal {

namespace {

// The checksum adds, for each pair of words (a, b) and modulo 2^32,
//     first += a + second;  second += b + first
// which is linear: behind n words x[n-1] .. x[0] (x[0] the last), with Fibonacci's numbers F,
//     first  = F(n-1) * first + F(n) * second   + the sum of F(i) * x[i]
//     second = F(n) * first   + F(n+1) * second + the sum of F(i+1) * x[i]
// So whole blocks are two dot products with fixed weights, which processors do many words at a
// time.
constexpr std::size_t kBlockWords = 128;
constexpr std::size_t kBlockSize = kBlockWords * 4;
static_assert(kMinPageSize % kBlockSize == 0);

/// kWeights[i] is F(kBlockWords + 1 - i).
constexpr auto kWeights = [] {
  std::array<std::uint32_t, kBlockWords + 2> weights{};
  weights[kBlockWords + 1] = 0;
  weights[kBlockWords] = 1;
  for (std::size_t i = kBlockWords; i-- > 0;) weights[i] = weights[i + 1] + weights[i + 2];
  return weights;
}();

template <bool kSwap>
[[gnu::always_inline]] inline Checksum extend_by_block(Checksum sum,
                                                       const std::byte* from) noexcept {
  const std::uint32_t* weights = kWeights.data();
  std::uint32_t first = weights[2] * sum.first + weights[1] * sum.second;
  std::uint32_t second = weights[1] * sum.first + weights[0] * sum.second;
  for (std::size_t i = 0; i < kBlockWords; ++i) {
    auto word = load_native<std::uint32_t>(from + i * 4);
    if constexpr (kSwap) word = std::byteswap(word);
    first += weights[i + 2] * word;
    second += weights[i + 1] * word;
  }
  return {first, second};
}

template <bool kSwap>
[[gnu::always_inline]] inline Checksum extend_inline(Checksum sum, const std::byte* from,
                                                     std::size_t size) noexcept {
  for (; size >= kBlockSize; from += kBlockSize, size -= kBlockSize)
    sum = extend_by_block<kSwap>(sum, from);
  std::uint32_t first = sum.first;
  std::uint32_t second = sum.second;
  for (const std::byte* end = from + size; from < end; from += 8) {
    auto a = load_native<std::uint32_t>(from);
    auto b = load_native<std::uint32_t>(from + 4);
    if constexpr (kSwap) {
      a = std::byteswap(a);
      b = std::byteswap(b);
    }
    first += a + second;
    second += b + first;
  }
  return {first, second};
}

template <bool kSwap>
Checksum extend_portably(Checksum sum, const std::byte* from, std::size_t size) noexcept {
  return extend_inline<kSwap>(sum, from, size);
}

#if defined(__x86_64__)
// Every x86-64 that lacks it still runs the other.
template <bool kSwap>
[[gnu::target("avx2")]] Checksum extend_with_avx2(Checksum sum, const std::byte* from,
                                                  std::size_t size) noexcept {
  return extend_inline<kSwap>(sum, from, size);
}
#endif

template <bool kSwap>
Checksum extend(Checksum sum, const std::byte* from, std::size_t size) noexcept {
#if defined(__x86_64__)
  static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  if (has_avx2) return extend_with_avx2<kSwap>(sum, from, size);
#endif
  return extend_portably<kSwap>(sum, from, size);
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
