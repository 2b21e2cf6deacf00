/// Loads and stores of integers at any address, in the byte order the format prescribes: SQLite's
/// formats are big-endian, walferry's own are little-endian.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace walferry::wal {

template <std::unsigned_integral T>
[[nodiscard]] inline T load_native(const std::byte* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <std::unsigned_integral T>
[[nodiscard]] inline T load_be(const std::byte* from) noexcept {
  const T value = load_native<T>(from);
  return std::endian::native == std::endian::big ? value : std::byteswap(value);
}

template <std::unsigned_integral T>
[[nodiscard]] inline T load_le(const std::byte* from) noexcept {
  const T value = load_native<T>(from);
  return std::endian::native == std::endian::little ? value : std::byteswap(value);
}

template <std::unsigned_integral T>
inline void store_be(std::byte* to, T value) noexcept {
  if constexpr (std::endian::native != std::endian::big) value = std::byteswap(value);
  std::memcpy(to, &value, sizeof value);
}

template <std::unsigned_integral T>
inline void store_le(std::byte* to, T value) noexcept {
  if constexpr (std::endian::native != std::endian::little) value = std::byteswap(value);
  std::memcpy(to, &value, sizeof value);
}

}  // namespace walferry::wal
