#include "wal/message_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "wal/page_hash.h"

namespace walferry::wal {
namespace {

using testing::HasSubstr;

struct Received {
  MessageType type;
  Bytes payload;
};

Status feed(MessageParser& parser, std::span<const std::byte> bytes, std::vector<Received>& to) {
  return parser.feed(bytes, [&](MessageType type, std::span<const std::byte> payload) -> Status {
    to.push_back({type, Bytes(payload.begin(), payload.end())});
    return {};
  });
}

Bytes text_bytes(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>("walferry "[i % 9]);
  return bytes;
}

Bytes noise(std::size_t size) {
  std::minstd_rand random(7);
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() >> 8);
  return bytes;
}

TEST(MessageCodec, RoundTripsPayloadsOfEverySize) {
  MessageParser parser;
  for (const std::size_t size :
       {0UL, 1UL, 7UL, 255UL, 256UL, 4096UL, 200'000UL, kTargetPayload, kMaxPayload}) {
    for (const Bytes& payload : {text_bytes(size), noise(size)}) {
      for (const auto compression : {Compression::kNever, Compression::kWhenItPays}) {
        std::vector<Received> received;
        const Bytes message = encode_message(MessageType::kPages, payload, compression);
        ASSERT_TRUE(feed(parser, message, received));
        ASSERT_EQ(received.size(), 1U);
        EXPECT_EQ(received[0].type, MessageType::kPages);
        EXPECT_TRUE(received[0].payload == payload);
        EXPECT_LE(message.size(), payload.size() + kEnvelopeSize);
        EXPECT_TRUE(parser.finish());
      }
    }
  }
  EXPECT_LT(
      encode_message(MessageType::kPages, text_bytes(100'000), Compression::kWhenItPays).size(),
      2'000U);
}

TEST(MessageCodec, Danger22_EveryFlippedBitIsRefused) {
  for (const auto compression : {Compression::kNever, Compression::kWhenItPays}) {
    const Bytes message = encode_message(MessageType::kBatch, text_bytes(400), compression);
    for (std::size_t i = 0; i < message.size(); ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        Bytes damaged = message;
        damaged[i] ^= static_cast<std::byte>(1 << bit);
        damaged.resize(message.size() + 100'000);  // whatever length it claims now, bytes are there
        MessageParser parser;
        std::vector<Received> received;
        const Status fed = feed(parser, damaged, received);
        ASSERT_TRUE(received.empty()) << "byte " << i << " bit " << bit;
        if (fed) {  // it claims to be longer still: the stream may not end there
          ASSERT_FALSE(parser.finish()) << "byte " << i << " bit " << bit;
        } else {
          ASSERT_EQ(fed.error().code, ErrorCode::kCorrupt);
        }
      }
    }
  }
}

TEST(MessageCodec, Danger22_EveryTruncationIsNoticedAtTheEnd) {
  const Bytes message = encode_message(MessageType::kTail, text_bytes(300), Compression::kNever);
  for (std::size_t size = 1; size < message.size(); ++size) {
    MessageParser parser;
    std::vector<Received> received;
    ASSERT_TRUE(feed(parser, std::span(message).first(size), received));
    ASSERT_TRUE(received.empty());
    const Status finished = parser.finish();
    ASSERT_FALSE(finished);
    EXPECT_EQ(finished.error().code, ErrorCode::kCorrupt);
  }
}

TEST(MessageCodec, TwoMessagesSplitAnywhereArriveWhole) {
  Bytes stream = encode_message(MessageType::kBatch, text_bytes(150), Compression::kWhenItPays);
  const Bytes second = encode_message(MessageType::kTail, noise(90), Compression::kNever);
  stream.insert(stream.end(), second.begin(), second.end());
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    MessageParser parser;
    std::vector<Received> received;
    ASSERT_TRUE(feed(parser, std::span(stream).first(cut), received));
    ASSERT_TRUE(feed(parser, std::span(stream).subspan(cut), received));
    ASSERT_EQ(received.size(), 2U) << "cut at " << cut;
    EXPECT_TRUE(received[0].payload == text_bytes(150) && received[1].payload == noise(90));
    ASSERT_TRUE(parser.finish());
  }
}

TEST(MessageCodec, Danger22_AbsurdLengthsAreRefusedBeforeAnythingIsGathered) {
  for (const std::uint32_t size : {3u << 20, 0x7fffffffu, 0xffffffffu}) {
    for (const std::size_t field : {8u, 12u}) {
      Bytes message =
          encode_message(MessageType::kBatch, text_bytes(500), Compression::kWhenItPays);
      store_le(message.data() + field, size);
      store_le(message.data() + 16, hash64(std::span(message).subspan(kEnvelopeSize),
                                           hash64(std::span(message).first(16))));
      MessageParser parser;
      std::vector<Received> received;
      const Status fed = feed(parser, message, received);
      ASSERT_FALSE(fed);
      EXPECT_EQ(fed.error().code, ErrorCode::kCorrupt);
    }
  }
}

TEST(MessageCodec, Danger22_AZstdPayloadMustHaveTheSizeItSays) {
  for (const std::uint32_t size : {0u, 499u, 501u, 2u << 20}) {
    Bytes message = encode_message(MessageType::kBatch, text_bytes(500), Compression::kWhenItPays);
    ASSERT_EQ(message[5], std::byte{1});
    store_le(message.data() + 12, size);
    store_le(message.data() + 16, hash64(std::span(message).subspan(kEnvelopeSize),
                                         hash64(std::span(message).first(16))));
    MessageParser parser;
    std::vector<Received> received;
    EXPECT_FALSE(feed(parser, message, received)) << size;
    EXPECT_TRUE(received.empty());
  }
}

TEST(MessageCodec, ErrorsNameTheOffsetAndReceiversErrorsPassThrough) {
  Bytes stream = encode_message(MessageType::kTail, text_bytes(20), Compression::kNever);
  const std::size_t first = stream.size();
  Bytes second = encode_message(MessageType::kTail, text_bytes(20), Compression::kNever);
  second[30] ^= std::byte{1};
  stream.insert(stream.end(), second.begin(), second.end());
  MessageParser parser;
  std::vector<Received> received;
  const Status fed = feed(parser, stream, received);
  ASSERT_FALSE(fed);
  EXPECT_THAT(fed.error().message, HasSubstr("byte " + std::to_string(first)));
  parser.reset();
  const Status refused =
      parser.feed(std::span(stream).first(first), [](MessageType, std::span<const std::byte>) {
        return Status(fail(ErrorCode::kNoSpace, "full"));
      });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "full");
}

TEST(MessageFormat, HeadersRoundTripAndRefuseWrongSizes) {
  BatchHeader batch;
  batch.generation = 3;
  batch.first_frame = 17;
  batch.frame_count = 2;
  batch.flags = BatchHeader::kEndsOnCommit;
  batch.checksum_before = 4;
  batch.checksum_after = 5;
  batch.salts = 6;
  batch.root_low = 7;
  batch.root_high = 8;
  batch.page_size = 512;
  batch.page_count = 9;
  batch.captured_us = 10;
  Bytes payload(BatchHeader::kSize + 2 * 536);
  batch.encode(payload.data());
  auto decoded = BatchHeader::decode(payload);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::memcmp(&*decoded, &batch, sizeof batch), 0);
  for (std::size_t size = 0; size < payload.size(); size += 13) {
    EXPECT_FALSE(BatchHeader::decode(std::span(payload).first(size)));
  }
  const auto refused = [&](auto change) {
    BatchHeader wrong = batch;
    change(wrong);
    wrong.encode(payload.data());
    return !BatchHeader::decode(payload);
  };
  EXPECT_TRUE(refused([](BatchHeader& h) { h.frame_count = 0; }));
  EXPECT_TRUE(refused([](BatchHeader& h) { h.frame_count = 0xffffffff; }));
  EXPECT_TRUE(refused([](BatchHeader& h) { h.first_frame = 0; }));
  EXPECT_TRUE(refused([](BatchHeader& h) { h.first_frame = UINT64_MAX; }));
  EXPECT_TRUE(refused([](BatchHeader& h) { h.page_size = 513; }));
  EXPECT_TRUE(refused([](BatchHeader& h) { h.page_count = 0; }));
  EXPECT_TRUE(refused([](BatchHeader& h) { h.flags = 0; }));

  Bytes pages(PagesHeader::kSize + PagesHeader::numbers_size(3) + 3 * 512);
  PagesHeader{512, 3}.encode(pages.data());
  EXPECT_TRUE(PagesHeader::decode(pages));
  for (const std::uint32_t count : {0u, 2u, 4u, 0xffffffffu}) {
    PagesHeader{512, count}.encode(pages.data());
    EXPECT_FALSE(PagesHeader::decode(pages)) << count;
  }
  Bytes hashes(HashesHeader::kSize + 2 * 16);
  HashesHeader{1, 0, 2}.encode(hashes.data());
  EXPECT_TRUE(HashesHeader::decode(hashes));
  HashesHeader{1, 0, 0x10000002}.encode(hashes.data());
  EXPECT_FALSE(HashesHeader::decode(hashes));
}

}  // namespace
}  // namespace walferry::wal
