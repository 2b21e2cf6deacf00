#include "wal/page_hash.h"

#include <xxhash.h>

#include <array>
#include <cstdio>
#include <cstring>

#include "wal/wal_format.h"

namespace walferry::wal {

std::string Hash128::to_text() const {
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(high),
                static_cast<unsigned long long>(low));
  return text.data();
}

void undisguise_page_one(std::span<std::byte> page, const PageOneDisguise& disguise) noexcept {
  page[kWriteVersionOffset] = kWalVersionByte;
  page[kReadVersionOffset] = kWalVersionByte;
  std::byte* cookie = page.data() + kSchemaCookieOffset;
  if (disguise.cookie_replaced && load_be<std::uint32_t>(cookie) == disguise.local_cookie) {
    store_be(cookie, disguise.origin_cookie);
  }
}

Hash128 hash_page(std::uint32_t page_number, std::span<const std::byte> page,
                  const PageOneDisguise& disguise) noexcept {
  XXH128_hash_t hash;
  if (page_number == 1) {
    std::array<std::byte, kMaxPageSize> copy;
    std::memcpy(copy.data(), page.data(), page.size());
    undisguise_page_one(std::span(copy).first(page.size()), disguise);
    hash = XXH3_128bits_withSeed(copy.data(), page.size(), page_number);
  } else {
    hash = XXH3_128bits_withSeed(page.data(), page.size(), page_number);
  }
  return {hash.low64, hash.high64};
}

std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace walferry::wal
