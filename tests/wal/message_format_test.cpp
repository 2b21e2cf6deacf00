#include "wal/message_format.h"

#include <gtest/gtest.h>

#include <vector>

namespace walferry::wal {
namespace {

using Payload = std::vector<std::byte>;

/// A header of fixed size is decoded from exactly its size, and from nothing shorter or longer.
template <class Header>
void expect_only_its_size(const Payload& payload) {
  ASSERT_TRUE(Header::decode(payload));
  for (std::size_t size = 0; size < payload.size(); ++size) {
    EXPECT_FALSE(Header::decode(std::span(payload).first(size))) << size;
  }
  Payload longer = payload;
  longer.resize(payload.size() + 1);
  EXPECT_FALSE(Header::decode(longer));
}

/// Every bit of the encoding matters: what is decoded and encoded again is what was there.
template <class Header>
void expect_round_trip(const Payload& payload) {
  const auto decoded = Header::decode(payload);
  ASSERT_TRUE(decoded);
  Payload again(payload.size());
  decoded->encode(again.data());
  EXPECT_EQ(again, payload);
}

template <class Header>
Payload encoded(const Header& header) {
  Payload payload(Header::kSize);
  header.encode(payload.data());
  return payload;
}

template <class Header>
void expect_page_size_is_checked(Header header) {
  for (const std::uint32_t size : {0u, 256u, 1000u, 131072u, 0xffffffffu}) {
    header.page_size = size;
    EXPECT_FALSE(Header::decode(encoded(header))) << size;
  }
}

TEST(DeltaBegin, RoundTripsAndRefusesWrongSizes) {
  DeltaBegin begin;
  begin.generation = 0x0102030405060708;
  begin.page_size = 8192;
  begin.pages = 0x21222324;
  begin.flags = DeltaBegin::kBridged;
  const Payload payload = encoded(begin);
  EXPECT_EQ(payload[0], std::byte{8});  // little-endian
  expect_round_trip<DeltaBegin>(payload);
  Payload other = payload;
  other[9] = std::byte{1};
  EXPECT_FALSE(DeltaBegin::decode(other)) << "there is no frame from which a delta could start";
  expect_only_its_size<DeltaBegin>(payload);
  expect_page_size_is_checked(begin);
}

TEST(DeltaEnd, RoundTripsAndRefusesWrongSizes) {
  DeltaEnd end;
  end.generation = 1;
  end.start_frame = 2;
  end.start_checksum = 3;
  end.base_frame = 4;
  end.root_low = 5;
  end.root_high = 6;
  end.page_size = 65536;
  end.page_count = 7;
  const Payload payload = encoded(end);
  for (std::size_t field = 0; field < 6; ++field) {
    EXPECT_EQ(payload[field * 8], static_cast<std::byte>(field + 1));
  }
  EXPECT_EQ(payload[52], std::byte{7});
  expect_round_trip<DeltaEnd>(payload);
  expect_only_its_size<DeltaEnd>(payload);
  expect_page_size_is_checked(end);
}

TEST(Tail, RoundTripsAndRefusesWrongSizes) {
  Tail tail;
  for (std::size_t i = 0; i < tail.log.size(); ++i) tail.log[i] = static_cast<std::uint8_t>(i + 1);
  tail.generation = 21;
  tail.frame = 22;
  tail.checksum = 23;
  tail.page_size = 512;
  tail.page_count = 24;
  tail.frames_behind = 25;
  const Payload payload = encoded(tail);
  EXPECT_EQ(payload[15], std::byte{16});
  EXPECT_EQ(payload[16], std::byte{21});
  EXPECT_EQ(payload[48], std::byte{25});
  expect_round_trip<Tail>(payload);
  expect_only_its_size<Tail>(payload);
  expect_page_size_is_checked(tail);
}

TEST(HashesHeader, RoundTripsAndRefusesWrongSizes) {
  for (const std::uint32_t count : {0u, 1u, 256u}) {
    Payload payload(HashesHeader::kSize + count * std::size_t{16});
    HashesHeader{2, 512, count}.encode(payload.data());
    const auto decoded = HashesHeader::decode(payload);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->level, 2u);
    EXPECT_EQ(decoded->first, 512u);
    EXPECT_EQ(decoded->count, count);
    expect_only_its_size<HashesHeader>(payload);
  }
  // A count whose size in 32 bits would be that of none.
  Payload payload(HashesHeader::kSize);
  HashesHeader{0, 0, 0x10000000}.encode(payload.data());
  EXPECT_FALSE(HashesHeader::decode(payload));
}

TEST(PagesHeader, EachPageIsFoundAtItsPlace) {
  constexpr std::uint32_t kPageSize = 512;
  for (const std::uint32_t count : {0u, 1u, 2u, 3u}) {
    Payload payload(PagesHeader::kSize + PagesHeader::numbers_size(count) +
                    std::size_t{count} * kPageSize);
    PagesHeader{kPageSize, count}.encode(payload.data());
    for (std::uint32_t i = 0; i < count; ++i) {
      store_le(payload.data() + PagesHeader::kSize + std::size_t{4} * i, 1000 + i);
      payload[payload.size() - std::size_t{count - i} * kPageSize] = static_cast<std::byte>(40 + i);
    }
    const auto header = PagesHeader::decode(payload);
    ASSERT_TRUE(header);
    const PagesView pages(*header, payload);
    ASSERT_EQ(pages.count(), count);
    for (std::uint32_t i = 0; i < count; ++i) {
      EXPECT_EQ(pages.number(i), 1000 + i);
      ASSERT_EQ(pages.page(i).size(), kPageSize);
      EXPECT_EQ(pages.page(i)[0], static_cast<std::byte>(40 + i));
    }
    expect_only_its_size<PagesHeader>(payload);
  }
}

TEST(PagesHeader, CountsWhoseSizeOverflowsAreRefused) {
  Payload payload(PagesHeader::kSize);
  for (const std::uint32_t page_size : {512u, 65536u}) {
    for (const std::uint32_t count : {0x00800000u, 0x40000000u, 0x80000000u, 0xffffffffu}) {
      PagesHeader{page_size, count}.encode(payload.data());
      EXPECT_FALSE(PagesHeader::decode(payload)) << page_size << " " << count;
    }
  }
}

TEST(BatchHeader, CountsWhoseSizeOverflowsAreRefused) {
  BatchHeader header;
  header.generation = 1;
  header.first_frame = 1;
  header.page_size = 65536;
  header.page_count = 1;
  header.flags = BatchHeader::kEndsOnCommit;
  Payload payload(BatchHeader::kSize);
  for (const std::uint32_t count : {0x10000u, 0x80000000u, 0xffffffffu}) {
    header.frame_count = count;
    header.encode(payload.data());
    EXPECT_FALSE(BatchHeader::decode(payload)) << count;
  }
}

}  // namespace
}  // namespace walferry::wal
