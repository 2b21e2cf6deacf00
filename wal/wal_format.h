/// SQLite's write-ahead log on disk (https://sqlite.org/fileformat2.html#walformat).
///
///     offset  size  WAL header (all fields big-endian)
///          0     4  magic 0x377f0682, or 0x377f0683 when checksums read big-endian words
///          4     4  format version, 3007000
///          8     4  page size
///         12     4  checkpoint sequence number
///         16     8  salt 1, salt 2
///         24     8  checksum of bytes 0..23
///
///     offset  size  frame header, followed by one page
///          0     4  page number
///          4     4  size of the database in pages after a commit; 0 in every other frame
///          8     8  salts, equal to the WAL header's
///         16     8  cumulative checksum up to and including this frame's page
///
/// A frame is valid if and only if its salts equal the header's and its checksum equals the one
/// computed over the header's first 24 bytes, then the first 8 bytes and the page of every frame
/// up to it. The checksum of a log therefore proves all of the log before it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "wal/byte_order.h"

namespace walferry::wal {

inline constexpr std::size_t kWalHeaderSize = 32;
inline constexpr std::size_t kFrameHeaderSize = 24;
inline constexpr std::uint32_t kWalMagic = 0x377f0682;
inline constexpr std::uint32_t kWalVersion = 3007000;
inline constexpr std::uint32_t kMinPageSize = 512;
inline constexpr std::uint32_t kMaxPageSize = 65536;
/// The most pages a database may have, whatever their size (https://sqlite.org/limits.html).
inline constexpr std::uint32_t kMaxPageCount = 0xfffffffe;

/// SQLite's running checksum: two 32-bit sums.
struct Checksum {
  std::uint32_t first = 0;
  std::uint32_t second = 0;

  friend bool operator==(const Checksum&, const Checksum&) = default;
  [[nodiscard]] std::uint64_t packed() const noexcept {
    return (std::uint64_t{first} << 32) | second;
  }
  static Checksum unpack(std::uint64_t packed) noexcept {
    return {static_cast<std::uint32_t>(packed >> 32), static_cast<std::uint32_t>(packed)};
  }
};

/// Extends `sum` over `bytes` (a multiple of 8 of them), read as words of the given byte order.
[[nodiscard]] Checksum extend_checksum(Checksum sum, std::span<const std::byte> bytes,
                                       bool big_endian_words) noexcept;

/// The eight salt bytes as they stand in files and in the wal-index.
using Salts = std::array<std::byte, 8>;

struct WalHeader {
  bool big_endian_words = false;
  std::uint32_t page_size = 0;
  std::uint32_t sequence = 0;
  Salts salts{};
  Checksum checksum;  ///< of the header itself: the seed of the chain

  /// Nothing when magic, version, page size or checksum is wrong.
  static std::optional<WalHeader> decode(std::span<const std::byte, kWalHeaderSize> bytes) noexcept;
  /// Writes the header and computes `checksum`.
  void encode(std::span<std::byte, kWalHeaderSize> bytes) noexcept;
};

struct FrameHeader {
  std::uint32_t page_number = 0;
  std::uint32_t commit_page_count = 0;  ///< 0: not the last frame of a transaction
  Salts salts{};
  Checksum checksum;

  static FrameHeader decode(const std::byte* bytes) noexcept;
  void encode(std::byte* bytes) const noexcept;
};

[[nodiscard]] inline bool is_valid_page_size(std::uint32_t size) noexcept {
  return size >= kMinPageSize && size <= kMaxPageSize && std::has_single_bit(size);
}

[[nodiscard]] constexpr std::uint64_t frame_size(std::uint32_t page_size) noexcept {
  return kFrameHeaderSize + std::uint64_t{page_size};
}

/// Where physical frame `number` (1-based) begins in the WAL.
[[nodiscard]] constexpr std::uint64_t frame_offset(std::uint32_t number,
                                                   std::uint32_t page_size) noexcept {
  return kWalHeaderSize + std::uint64_t{number - 1} * frame_size(page_size);
}

/// The page that holds SQLite's lock bytes (at 1 GiB). It is never written, sent or hashed.
[[nodiscard]] constexpr std::uint32_t lock_byte_page(std::uint32_t page_size) noexcept {
  return 0x40000000u / page_size + 1;
}

}  // namespace walferry::wal
