#include "tests/wal/batch_builder.h"

#include <cstring>
#include <span>

namespace walferry::test {

using wal::BatchHeader;
using wal::Bytes;
using wal::Checksum;
using wal::FrameHeader;

Bytes BatchBuilder::page(std::uint32_t number, std::uint64_t frame) const {
  Bytes bytes(page_size_);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(number * 7 + frame * 13 + position_.generation + i / 16);
  }
  return bytes;
}

BuiltBatch BatchBuilder::frames(const std::vector<std::uint32_t>& pages, std::uint32_t page_count,
                                const wal::Hash128& root) {
  BuiltBatch batch;
  batch.pages = pages;
  BatchHeader& header = batch.header;
  header.generation = position_.generation;
  header.first_frame = position_.frame + 1;
  header.frame_count = static_cast<std::uint32_t>(pages.size());
  header.checksum_before = position_.checksum;
  header.salts = salts_;
  header.root_low = root.low;
  header.root_high = root.high;
  header.page_size = page_size_;
  header.page_count = page_count;
  header.captured_us = 1'000 + position_.frame;
  if (page_count != 0) header.flags |= BatchHeader::kEndsOnCommit;
  if (big_endian_words_) header.flags |= BatchHeader::kBigEndianWords;
  Checksum chain = Checksum::unpack(position_.checksum);
  if (restarted_) {
    header.flags |= BatchHeader::kChainRestarted;
    header.seed = seed_.packed();
    chain = seed_;
    restarted_ = false;
  }
  const std::size_t size = wal::frame_size(page_size_);
  batch.payload.resize(BatchHeader::kSize + pages.size() * size);
  for (std::size_t i = 0; i < pages.size(); ++i) {
    std::byte* raw = batch.payload.data() + BatchHeader::kSize + i * size;
    FrameHeader frame;
    frame.page_number = pages[i];
    frame.commit_page_count = i + 1 == pages.size() ? page_count : 0;
    wal::store_be(frame.salts.data(), salts_);
    frame.encode(raw);
    const Bytes content = page(pages[i], header.first_frame + i);
    std::memcpy(raw + wal::kFrameHeaderSize, content.data(), content.size());
    chain = wal::extend_checksum(chain, std::span<const std::byte>(raw, 8), big_endian_words_);
    chain = wal::extend_checksum(chain, content, big_endian_words_);
    frame.checksum = chain;
    frame.encode(raw);
  }
  header.checksum_after = chain.packed();
  batch.reseal();
  position_.frame = header.last_frame();
  position_.checksum = header.checksum_after;
  return batch;
}

void BatchBuilder::end_generation() {
  ++position_.generation;
  position_.frame = 0;
  restarted_ = true;
  ++salts_;
  seed_ = {static_cast<std::uint32_t>(salts_), 99};
}

void BatchBuilder::bridge_to_next_generation() {
  end_generation();
  position_.checksum ^= 0x5555;
}

}  // namespace walferry::test
