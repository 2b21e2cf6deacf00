/// walferry's messages: what travels in streams and lies in spools. docs/protocol.md tells the
/// whole; here are the byte tables. All integers are little-endian.
///
///     offset  size  envelope
///          0     4  magic "WFM1"
///          4     1  type (MessageType)
///          5     1  codec: 0 as it is, 1 zstd
///          6     2  zero
///          8     4  size of the payload as stored
///         12     4  size of the payload decoded
///         16     8  XXH3-64 of the stored payload, seeded with the XXH3-64 of bytes 0..15
///         24        stored payload
///
/// A message is valid if and only if magic, type, codec and sizes are within bounds and the hash
/// is right. Nothing of a message is used before all of it is proven.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "wal/byte_order.h"

namespace walferry::wal {

inline constexpr std::uint32_t kMessageMagic = 0x314d4657;  // "WFM1" as it lies in memory
inline constexpr std::size_t kEnvelopeSize = 24;
/// Payloads aim at kTargetPayload and never exceed kMaxPayload, so that a receiver's memory is
/// bounded whatever the sender says.
inline constexpr std::size_t kTargetPayload = 1u << 20;
inline constexpr std::size_t kMaxPayload = 2u << 20;

enum class MessageType : std::uint8_t {
  kBatch =
      1,  ///< frames as they were written, ending on a commit, or a piece of a long transaction
  kPages = 2,       ///< pages of an image that is complete only at its base
  kDeltaBegin = 3,  ///< the pages that follow replace what changed since the follower's position
  kDeltaEnd = 4,    ///< where frames go on, and the base
  kTail = 5,        ///< how far the log reaches; sent first and as a heartbeat
  kFailure = 6,     ///< UTF-8 text: why the sender ends the stream
  kHashes = 7,      ///< the children of a node of the manifest
};

/// kBatch: this header, then `frame_count` frames (24-byte WAL frame header and page) as they
/// stand in the primary's WAL.
///
///     offset  size
///          0     8  generation
///          8     8  number of the first frame within the generation, from 1
///         16     4  number of frames
///         20     4  flags (BatchFlags)
///         24     8  cumulative checksum before the first frame: the position it fits on
///         32     8  cumulative checksum after the last frame
///         40     8  salts of the frames
///         48     8  seed of the checksum chain, when kChainRestarted
///         56    16  root of the page hashes after the batch; 0 unless kEndsOnCommit
///         72     4  page size
///         76     4  size of the database in pages after the batch; 0 unless kEndsOnCommit
///         80     8  when the primary captured it, microseconds since 1970
///         88     8  zero
struct BatchHeader {
  static constexpr std::size_t kSize = 96;
  enum Flags : std::uint32_t {
    kChainRestarted =
        1,  ///< the log was restarted before the first frame: the chain begins at `seed`
    kEndsOnCommit = 2,  ///< the last frame commits; otherwise more pieces of the transaction follow
    kBigEndianWords = 4,  ///< the byte order of the checksum chain
  };

  std::uint64_t generation = 0;
  std::uint64_t first_frame = 0;
  std::uint32_t frame_count = 0;
  std::uint32_t flags = 0;
  std::uint64_t checksum_before = 0;
  std::uint64_t checksum_after = 0;
  std::uint64_t salts = 0;
  std::uint64_t seed = 0;
  std::uint64_t root_low = 0;
  std::uint64_t root_high = 0;
  std::uint32_t page_size = 0;
  std::uint32_t page_count = 0;
  std::uint64_t captured_us = 0;

  [[nodiscard]] bool ends_on_commit() const noexcept { return (flags & kEndsOnCommit) != 0; }
  [[nodiscard]] std::uint64_t last_frame() const noexcept { return first_frame + frame_count - 1; }
  void encode(std::byte* to) const noexcept;
  /// Nothing when sizes do not fit `payload`.
  static std::optional<BatchHeader> decode(std::span<const std::byte> payload) noexcept;
};

/// kPages: this header, the page numbers (4 bytes each, padded to a multiple of 8), the pages.
///
///     offset  size
///          0     4  page size
///          4     4  number of pages
struct PagesHeader {
  static constexpr std::size_t kSize = 8;
  std::uint32_t page_size = 0;
  std::uint32_t count = 0;

  [[nodiscard]] static constexpr std::size_t numbers_size(std::size_t count) noexcept {
    return (count * 4 + 7) & ~std::size_t{7};
  }
  void encode(std::byte* to) const noexcept;
  static std::optional<PagesHeader> decode(std::span<const std::byte> payload) noexcept;
};

/// The pages of a decoded kPages payload.
class PagesView {
 public:
  PagesView(PagesHeader header, std::span<const std::byte> payload) noexcept
      : header_(header), payload_(payload) {}
  [[nodiscard]] std::uint32_t count() const noexcept { return header_.count; }
  [[nodiscard]] std::uint32_t page_size() const noexcept { return header_.page_size; }
  [[nodiscard]] std::uint32_t number(std::uint32_t i) const noexcept {
    return load_le<std::uint32_t>(payload_.data() + PagesHeader::kSize + std::size_t{4} * i);
  }
  [[nodiscard]] std::span<const std::byte> page(std::uint32_t i) const noexcept {
    return payload_.subspan(PagesHeader::kSize + PagesHeader::numbers_size(header_.count) +
                                std::size_t{header_.page_size} * i,
                            header_.page_size);
  }

 private:
  PagesHeader header_;
  std::span<const std::byte> payload_;
};

/// kDeltaBegin: the generation from whose start on changes are counted, and how many pages there
/// are (an estimate).
///
///     offset  size
///          0     8  generation
///          8     8  zero
///         16     4  page size
///         20     4  pages
///         24     4  flags: 1 when it is not a continuation (a bridge): schema caches must not
///         survive it 28     4  zero
struct DeltaBegin {
  static constexpr std::size_t kSize = 32;
  static constexpr std::uint32_t kBridged = 1;
  std::uint64_t generation = 0;
  std::uint32_t page_size = 0;
  std::uint32_t pages = 0;
  std::uint32_t flags = 0;

  void encode(std::byte* to) const noexcept;
  static std::optional<DeltaBegin> decode(std::span<const std::byte> payload) noexcept;
};

/// kDeltaEnd: with the pages so far, and all frames of `generation` up to `base_frame`, the image
/// is the committed state (generation, base_frame); before that it is none. Frames follow from
/// start_frame + 1 on.
///
///     offset  size
///          0     8  generation
///          8     8  frame at which the sender's log of it begins: 0, but for a replica's
///         16     8  checksum of the position (generation, start frame)
///         24     8  base frame
///         32    16  root at (generation, start frame)
///         48     4  page size
///         52     4  size of the database in pages at (generation, start frame)
struct DeltaEnd {
  static constexpr std::size_t kSize = 56;
  std::uint64_t generation = 0;
  std::uint64_t start_frame = 0;
  std::uint64_t start_checksum = 0;
  std::uint64_t base_frame = 0;
  std::uint64_t root_low = 0;
  std::uint64_t root_high = 0;
  std::uint32_t page_size = 0;
  std::uint32_t page_count = 0;

  void encode(std::byte* to) const noexcept;
  static std::optional<DeltaEnd> decode(std::span<const std::byte> payload) noexcept;
};

/// kTail: how far the sender's log reaches.
///
///     offset  size
///          0    16  log id
///         16     8  generation
///         24     8  frame
///         32     8  checksum
///         40     4  page size
///         44     4  size of the database in pages
///         48     8  frames between the follower's position and the tail; the most when unknown
struct Tail {
  static constexpr std::size_t kSize = 56;
  std::array<std::uint8_t, 16> log{};
  std::uint64_t generation = 0;
  std::uint64_t frame = 0;
  std::uint64_t checksum = 0;
  std::uint32_t page_size = 0;
  std::uint32_t page_count = 0;
  std::uint64_t frames_behind = 0;

  void encode(std::byte* to) const noexcept;
  static std::optional<Tail> decode(std::span<const std::byte> payload) noexcept;
};

/// kHashes: this header, then `count` hashes of 16 bytes.
///
///     offset  size
///          0     4  level of the hashes; 0: of pages
///          4     4  number of the first; on level 0 it stands for page number + 1
///          8     4  how many
///         12     4  zero
struct HashesHeader {
  static constexpr std::size_t kSize = 16;
  std::uint32_t level = 0;
  std::uint32_t first = 0;
  std::uint32_t count = 0;

  void encode(std::byte* to) const noexcept;
  static std::optional<HashesHeader> decode(std::span<const std::byte> payload) noexcept;
};

}  // namespace walferry::wal
