/// Hashes of pages, and the root that sums them.
///
/// The hash of a page is XXH3-128 of its bytes, seeded with its page number. Page 1 is hashed with
/// its read and write versions (bytes 18 and 19) set to 2: a replica carries 3 in byte 18 as a
/// guard against foreign writers. The root of a database is the sum modulo 2^128 of the hashes of
/// its pages, the lock-byte page left out; it therefore moves by the difference with each page
/// that changes, and the sum over any range of pages is the tree node above them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "wal/byte_order.h"

namespace walferry::wal {

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  friend bool operator==(const Hash128&, const Hash128&) = default;
  Hash128& operator+=(const Hash128& other) noexcept {
    low += other.low;
    high += other.high + (low < other.low ? 1 : 0);
    return *this;
  }
  Hash128& operator-=(const Hash128& other) noexcept {
    high -= other.high + (low < other.low ? 1 : 0);
    low -= other.low;
    return *this;
  }
  [[nodiscard]] std::string to_text() const;

  static constexpr std::size_t kSize = 16;
  static Hash128 load(const std::byte* from) noexcept {
    return {load_le<std::uint64_t>(from), load_le<std::uint64_t>(from + 8)};
  }
  void store(std::byte* to) const noexcept {
    store_le(to, low);
    store_le(to + 8, high);
  }
};

/// How a replica's page 1 differs on purpose from the primary's.
struct PageOneDisguise {
  bool cookie_replaced = false;
  std::uint32_t local_cookie = 0;   ///< the schema cookie that local readers see
  std::uint32_t origin_cookie = 0;  ///< the primary's
};

/// Puts a replica's page 1 back to what the primary has.
void undisguise_page_one(std::span<std::byte> page, const PageOneDisguise& disguise) noexcept;

[[nodiscard]] Hash128 hash_page(std::uint32_t page_number, std::span<const std::byte> page,
                                const PageOneDisguise& disguise = {}) noexcept;

/// XXH3-64, for checksums over messages and records.
[[nodiscard]] std::uint64_t hash64(std::span<const std::byte> bytes,
                                   std::uint64_t seed = 0) noexcept;

// Offsets in page 1 (https://sqlite.org/fileformat2.html#the_database_header).
inline constexpr std::size_t kPageSizeOffset = 16;
inline constexpr std::size_t kWriteVersionOffset = 18;
inline constexpr std::size_t kReadVersionOffset = 19;
inline constexpr std::size_t kReservedBytesOffset = 20;
inline constexpr std::size_t kPageCountOffset = 28;
inline constexpr std::size_t kSchemaCookieOffset = 40;
inline constexpr std::byte kWalVersionByte{2};
inline constexpr std::byte kGuardVersionByte{3};
inline constexpr std::size_t kDatabaseHeaderSize = 100;

}  // namespace walferry::wal
