#include "wal/message_format.h"

#include <cstring>

#include "wal/wal_format.h"

namespace walferry::wal {

namespace {

std::uint64_t u64(const std::byte* from) { return load_le<std::uint64_t>(from); }
std::uint32_t u32(const std::byte* from) { return load_le<std::uint32_t>(from); }

}  // namespace

void BatchHeader::encode(std::byte* to) const noexcept {
  store_le(to, generation);
  store_le(to + 8, first_frame);
  store_le(to + 16, frame_count);
  store_le(to + 20, flags);
  store_le(to + 24, checksum_before);
  store_le(to + 32, checksum_after);
  store_le(to + 40, salts);
  store_le(to + 48, seed);
  store_le(to + 56, root_low);
  store_le(to + 64, root_high);
  store_le(to + 72, page_size);
  store_le(to + 76, page_count);
  store_le(to + 80, captured_us);
  store_le(to + 88, std::uint64_t{0});
}

std::optional<BatchHeader> BatchHeader::decode(std::span<const std::byte> payload) noexcept {
  if (payload.size() < kSize) return {};
  const std::byte* from = payload.data();
  BatchHeader header;
  header.generation = u64(from);
  header.first_frame = u64(from + 8);
  header.frame_count = u32(from + 16);
  header.flags = u32(from + 20);
  header.checksum_before = u64(from + 24);
  header.checksum_after = u64(from + 32);
  header.salts = u64(from + 40);
  header.seed = u64(from + 48);
  header.root_low = u64(from + 56);
  header.root_high = u64(from + 64);
  header.page_size = u32(from + 72);
  header.page_count = u32(from + 76);
  header.captured_us = u64(from + 80);
  if (!is_valid_page_size(header.page_size) || header.frame_count == 0 || header.first_frame == 0 ||
      header.first_frame > (std::uint64_t{1} << 48) ||
      payload.size() - kSize != header.frame_count * frame_size(header.page_size) ||
      (header.ends_on_commit() != (header.page_count != 0))) {
    return {};
  }
  return header;
}

void PagesHeader::encode(std::byte* to) const noexcept {
  store_le(to, page_size);
  store_le(to + 4, count);
}

std::optional<PagesHeader> PagesHeader::decode(std::span<const std::byte> payload) noexcept {
  if (payload.size() < kSize) return {};
  PagesHeader header{u32(payload.data()), u32(payload.data() + 4)};
  if (!is_valid_page_size(header.page_size) || header.count > kMaxPayload / header.page_size ||
      payload.size() !=
          kSize + numbers_size(header.count) + std::size_t{header.count} * header.page_size) {
    return {};
  }
  return header;
}

void DeltaBegin::encode(std::byte* to) const noexcept {
  store_le(to, generation);
  store_le(to + 8, std::uint64_t{0});
  store_le(to + 16, page_size);
  store_le(to + 20, pages);
  store_le(to + 24, flags);
  store_le(to + 28, std::uint32_t{0});
}

std::optional<DeltaBegin> DeltaBegin::decode(std::span<const std::byte> payload) noexcept {
  if (payload.size() != kSize) return {};
  const std::byte* from = payload.data();
  DeltaBegin begin{u64(from), u32(from + 16), u32(from + 20), u32(from + 24)};
  if (!is_valid_page_size(begin.page_size) || u64(from + 8) != 0) return {};
  return begin;
}

void DeltaEnd::encode(std::byte* to) const noexcept {
  store_le(to, generation);
  store_le(to + 8, start_frame);
  store_le(to + 16, start_checksum);
  store_le(to + 24, base_frame);
  store_le(to + 32, root_low);
  store_le(to + 40, root_high);
  store_le(to + 48, page_size);
  store_le(to + 52, page_count);
}

std::optional<DeltaEnd> DeltaEnd::decode(std::span<const std::byte> payload) noexcept {
  if (payload.size() != kSize) return {};
  const std::byte* from = payload.data();
  DeltaEnd end{u64(from),      u64(from + 8),  u64(from + 16), u64(from + 24),
               u64(from + 32), u64(from + 40), u32(from + 48), u32(from + 52)};
  if (!is_valid_page_size(end.page_size)) return {};
  return end;
}

void Tail::encode(std::byte* to) const noexcept {
  std::memcpy(to, log.data(), log.size());
  store_le(to + 16, generation);
  store_le(to + 24, frame);
  store_le(to + 32, checksum);
  store_le(to + 40, page_size);
  store_le(to + 44, page_count);
  store_le(to + 48, frames_behind);
}

std::optional<Tail> Tail::decode(std::span<const std::byte> payload) noexcept {
  if (payload.size() != kSize) return {};
  const std::byte* from = payload.data();
  Tail tail;
  std::memcpy(tail.log.data(), from, tail.log.size());
  tail.generation = u64(from + 16);
  tail.frame = u64(from + 24);
  tail.checksum = u64(from + 32);
  tail.page_size = u32(from + 40);
  tail.page_count = u32(from + 44);
  tail.frames_behind = u64(from + 48);
  if (!is_valid_page_size(tail.page_size)) return {};
  return tail;
}

void HashesHeader::encode(std::byte* to) const noexcept {
  store_le(to, level);
  store_le(to + 4, first);
  store_le(to + 8, count);
  store_le(to + 12, std::uint32_t{0});
}

std::optional<HashesHeader> HashesHeader::decode(std::span<const std::byte> payload) noexcept {
  if (payload.size() < kSize) return {};
  const std::byte* from = payload.data();
  HashesHeader header{u32(from), u32(from + 4), u32(from + 8)};
  if (payload.size() - kSize != std::size_t{header.count} * 16) return {};
  return header;
}

}  // namespace walferry::wal
