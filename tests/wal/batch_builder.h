/// The batches of a primary that exists only in a test: frames with the checksum chain that SQLite
/// would give them, and the headers that the protocol puts in front.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "wal/message_codec.h"
#include "wal/message_format.h"
#include "wal/page_hash.h"
#include "wal/wal_format.h"
#include "walferry/position.hpp"

namespace walferry::test {

struct BuiltBatch {
  wal::BatchHeader header;
  wal::Bytes payload;  ///< header and frames
  std::vector<std::uint32_t> pages;

  [[nodiscard]] std::shared_ptr<const wal::Bytes> message(
      wal::Compression compression = wal::Compression::kNever) const {
    return std::make_shared<const wal::Bytes>(
        encode_message(wal::MessageType::kBatch, payload, compression));
  }
  /// The header, changed in place, becomes that of the payload.
  void reseal() { header.encode(payload.data()); }
};

class BatchBuilder {
 public:
  BatchBuilder(std::uint32_t page_size, const Position& from, bool big_endian_words = false)
      : page_size_(page_size), big_endian_words_(big_endian_words), position_(from) {}

  /// Frames of these pages; `page_count` is 0 for a piece of a longer transaction.
  BuiltBatch frames(const std::vector<std::uint32_t>& pages, std::uint32_t page_count,
                    const wal::Hash128& root = {});
  BuiltBatch commit(const std::vector<std::uint32_t>& pages, std::uint32_t page_count = 100) {
    return frames(pages, page_count, next_root());
  }
  BuiltBatch piece(const std::vector<std::uint32_t>& pages) { return frames(pages, 0); }

  /// The next frames are the first of the next generation, in a log that was begun anew.
  void end_generation();
  /// The same, after frames that nobody saw: the position has another checksum.
  void bridge_to_next_generation();
  void stand_at(const Position& position) { position_ = position; }

  [[nodiscard]] const Position& position() const noexcept { return position_; }
  [[nodiscard]] const wal::Hash128& root() const noexcept { return root_; }
  /// What frame `frame` of a page holds.
  [[nodiscard]] wal::Bytes page(std::uint32_t number, std::uint64_t frame) const;

 private:
  wal::Hash128 next_root() {
    root_ += wal::Hash128{0x9e3779b97f4a7c15, 0x0123456789abcdef};
    return root_;
  }

  std::uint32_t page_size_;
  bool big_endian_words_;
  Position position_;
  wal::Hash128 root_;
  bool restarted_ = false;
  std::uint64_t salts_ = 0x1122334455667788;
  wal::Checksum seed_;
};

}  // namespace walferry::test
