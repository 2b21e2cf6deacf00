// The replica's record and the two-slot file it lies in.
#include <gtest/gtest.h>

#include "tests/fault/stock_access.h"
#include "wal/replica_record.h"
#include "wal/slot_file.h"

namespace walferry::wal {
namespace {

constexpr std::uint64_t kMagic = 0x1122334455667788;

Bytes record_of(char c, std::size_t size = 100) { return Bytes(size, static_cast<std::byte>(c)); }

class SlotFileTest : public testing::Test {
 protected:
  SlotFile open() {
    auto file = SlotFile::open(path_, kMagic, true);
    EXPECT_TRUE(file);
    return std::move(*file);
  }
  test::TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "side";
};

TEST_F(SlotFileTest, TheNewestRecordIsTheOneThatIsRead) {
  SlotFile slots = open();
  EXPECT_FALSE(slots.read().value());
  for (char c = 'a'; c < 'j'; ++c) {
    ASSERT_TRUE(slots.write(record_of(c)));
    EXPECT_EQ(*slots.read().value(), record_of(c));
    SlotFile again = open();
    EXPECT_EQ(*again.read().value(), record_of(c));
  }
}

TEST_F(SlotFileTest, ATornSlotGivesTheRecordBefore) {
  {
    SlotFile slots = open();
    ASSERT_TRUE(slots.write(record_of('a', 900)));
    ASSERT_TRUE(slots.write(record_of('b', 900)));
  }
  const test::Image whole = test::read_file(path_);
  // The second record has sequence number 2 and lies in slot 0.
  for (std::size_t at = 0; at < 32 + 900; ++at) {
    if (at >= 20 && at < 24) continue;  // nothing is said there
    test::Image torn = whole;
    torn[at] ^= std::byte{0x10};
    test::write_file(path_, torn);
    SlotFile slots = open();
    ASSERT_EQ(*slots.read().value(), record_of('a', 900)) << "byte " << at;
  }
  // A write that ended anywhere.
  for (std::size_t cut = 0; cut < 932; cut += 31) {
    test::Image torn = whole;
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(cut), torn.begin() + 932, std::byte{0});
    test::write_file(path_, torn);
    SlotFile slots = open();
    ASSERT_EQ(*slots.read().value(), record_of('a', 900)) << "cut at " << cut;
    // And the next write replaces the torn one, not the one that stands.
    ASSERT_TRUE(slots.write(record_of('c')));
    EXPECT_EQ(*slots.read().value(), record_of('c'));
    test::Image now = test::read_file(path_);
    EXPECT_TRUE(std::equal(now.begin() + 4096, now.begin() + 4096 + 932, whole.begin() + 4096));
  }
}

TEST_F(SlotFileTest, AnotherMagicIsAnotherFile) {
  ASSERT_TRUE(open().write(record_of('a')));
  auto other = SlotFile::open(path_, kMagic + 1, true);
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->read().value());
}

TEST_F(SlotFileTest, RecordsThatDoNotFitAreRefused) {
  SlotFile slots = open();
  EXPECT_TRUE(slots.write(record_of('a', SlotFile::kMaxRecord)));
  EXPECT_EQ(*slots.read().value(), record_of('a', SlotFile::kMaxRecord));
  EXPECT_FALSE(slots.write(record_of('b', SlotFile::kMaxRecord + 1)));
  EXPECT_EQ(*slots.read().value(), record_of('a', SlotFile::kMaxRecord));
}

ReplicaRecord full_record() {
  ReplicaRecord record;
  record.page_size = 4096;
  record.bootstrap = {{LogId{{9}}, 1, 2, 3}, 4, 5, 8};
  record.file = {1, 2, 3, -4, 5};
  record.backfilling = true;
  record.boot = {1, 2, 3};
  record.closed = true;
  for (std::uint32_t i = 0; i < ReplicaRecord::kMaxPoints; ++i) {
    ReplicaPoint point;
    point.position = {LogId{{static_cast<std::uint8_t>(i)}}, i, i + 1, i + 2};
    point.root = {i, i + 3};
    point.page_count = i + 4;
    point.disguise = {i % 2 == 1, i + 5, i + 6};
    point.wal = {Salts{std::byte{1}, static_cast<std::byte>(i)}, i + 7, {i + 8, i + 9}};
    point.settled = i % 3 == 0;
    record.points.push_back(point);
  }
  return record;
}

TEST(ReplicaRecord, RoundTripsAndFitsIntoASlot) {
  const ReplicaRecord record = full_record();
  const Bytes bytes = record.encode();
  EXPECT_LE(bytes.size(), SlotFile::kMaxRecord);
  const auto decoded = ReplicaRecord::decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->encode(), bytes);
  EXPECT_EQ(decoded->file, record.file);
  EXPECT_TRUE(decoded->backfilling);
  EXPECT_EQ(decoded->boot, record.boot);
  EXPECT_TRUE(decoded->closed);
  EXPECT_EQ(decoded->points.size(), record.points.size());
  EXPECT_EQ(decoded->points[3].wal, record.points[3].wal);
  EXPECT_EQ(decoded->points[3].position, record.points[3].position);
}

TEST(ReplicaRecord, IsTheNewestWithinABootOrOnceClosed) {
  const BootId now = boot_id();
  EXPECT_NE(now, BootId{});
  EXPECT_EQ(now, boot_id());
  ReplicaRecord record;
  EXPECT_FALSE(record.is_newest(now));
  EXPECT_FALSE(record.is_newest({})) << "nothing is known of either boot";
  record.boot = now;
  EXPECT_TRUE(record.is_newest(now));
  record.boot[3] ^= 1;
  EXPECT_FALSE(record.is_newest(now));
  record.closed = true;
  EXPECT_TRUE(record.is_newest(now));
}

TEST(ReplicaRecord, WhatIsCutOrTooLongOrAbsurdIsNone) {
  Bytes bytes = full_record().encode();
  constexpr std::size_t kSinceTheFirst = 24;  // boot id and whether it was closed
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto decoded = ReplicaRecord::decode(std::span(bytes).first(size));
    ASSERT_EQ(decoded.has_value(), size == bytes.size() - kSinceTheFirst) << size;
    if (decoded) {
      EXPECT_FALSE(decoded->is_newest(boot_id()));
    }
  }
  Bytes longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(ReplicaRecord::decode(longer));
  Bytes kind = bytes;
  store_le(kind.data(), std::uint64_t{3});
  EXPECT_FALSE(ReplicaRecord::decode(kind));
  Bytes page_size = bytes;
  store_le(page_size.data() + 8, std::uint64_t{4097});
  EXPECT_FALSE(ReplicaRecord::decode(page_size));
}

TEST(StatusText, IsReadWholeOrNotAtAll) {
  const test::TempDirectory directory;
  auto file = OwnFile::open(directory / "side", OwnFile::Mode::kCreate);
  ASSERT_TRUE(file);
  EXPECT_EQ(*read_status_text(*file), std::nullopt);
  for (const std::size_t size :
       {std::size_t{3000}, std::size_t{0}, std::size_t{5}, kMaxStatusText}) {
    const std::string text(size, 'x');
    ASSERT_TRUE(write_status_text(*file, text));
    EXPECT_EQ(*read_status_text(*file), text);
  }
  EXPECT_FALSE(write_status_text(*file, std::string(kMaxStatusText + 1, 'x')));
  const std::byte other{'y'};
  ASSERT_TRUE(file->write_at(std::span(&other, 1), kStatusOffset + 700));
  EXPECT_EQ(*read_status_text(*file), std::nullopt);
  ASSERT_TRUE(file->resize(kStatusOffset + 50));
  EXPECT_EQ(*read_status_text(*file), std::nullopt);
}

}  // namespace
}  // namespace walferry::wal
