#include "wal/wal_format.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/fault/stock_access.h"

namespace walferry::wal {
namespace {

using test::Image;
using test::StockDatabase;
using test::TempDirectory;

constexpr std::uint32_t kPageSize = 1024;

/// The formula as https://sqlite.org/fileformat2.html#checksum_algorithm has it.
Checksum plain_checksum(Checksum sum, std::span<const std::byte> bytes, bool big) {
  const auto word = [&](std::size_t at) {
    return big ? load_be<std::uint32_t>(bytes.data() + at)
               : load_le<std::uint32_t>(bytes.data() + at);
  };
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    sum.first += word(i) + sum.second;
    sum.second += word(i + 4) + sum.first;
  }
  return sum;
}

class WalFormat : public testing::Test {
 protected:
  WalFormat() : database_(path_) {
    database_.query("PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0");
    for (int i = 0; i < 20; ++i) {
      database_.query(
          "CREATE TABLE IF NOT EXISTS t(a, b); INSERT INTO t VALUES(1, hex(randomblob(900)))");
    }
    wal_ = test::read_file(path_.string() + "-wal");
  }

  [[nodiscard]] std::uint32_t frames() const {
    return static_cast<std::uint32_t>((wal_.size() - kWalHeaderSize) / frame_size(kPageSize));
  }
  [[nodiscard]] WalHeader header() const {
    const auto decoded = WalHeader::decode(std::span(wal_).first<kWalHeaderSize>());
    EXPECT_TRUE(decoded);
    return decoded.value_or(WalHeader{});
  }

  TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "app.db";
  StockDatabase database_;
  Image wal_;
};

TEST(WalChecksum, FollowsTheFormulaInBothByteOrders) {
  Image bytes(8 * 1297);
  std::uint32_t state = 7;
  for (auto& byte : bytes)
    byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
  // Below, at and beyond the blocks that are taken at once, and not aligned to them.
  for (const std::size_t size :
       std::initializer_list<std::size_t>{0, 8, 24, 504, 512, 520, 1024, 4096, 8 * 1297 - 8}) {
    const auto part = std::span(bytes).subspan(8, size);
    for (const bool big : {false, true}) {
      EXPECT_EQ(extend_checksum({0xfffffff3, 9}, part, big),
                plain_checksum({0xfffffff3, 9}, part, big))
          << size;
    }
  }
  EXPECT_NE(extend_checksum({}, bytes, false), extend_checksum({}, bytes, true));
  EXPECT_EQ(Checksum::unpack(Checksum{0x12345678, 0x9abcdef0}.packed()),
            (Checksum{0x12345678, 0x9abcdef0}));
}

TEST_F(WalFormat, ReadsWhatStockSqliteWrote) {
  const WalHeader log = header();
  EXPECT_EQ(log.page_size, kPageSize);
  ASSERT_GE(frames(), 20U);
  Checksum chain = log.checksum;
  int commits = 0;
  for (std::uint32_t i = 1; i <= frames(); ++i) {
    const std::byte* raw = wal_.data() + frame_offset(i, kPageSize);
    const FrameHeader frame = FrameHeader::decode(raw);
    chain = extend_checksum(chain, std::span(raw, 8), log.big_endian_words);
    chain =
        extend_checksum(chain, std::span(raw + kFrameHeaderSize, kPageSize), log.big_endian_words);
    ASSERT_EQ(frame.checksum, chain) << "frame " << i;
    ASSERT_EQ(frame.salts, log.salts);
    commits += frame.commit_page_count != 0 ? 1 : 0;
    std::array<std::byte, kFrameHeaderSize> again{};
    frame.encode(again.data());
    ASSERT_TRUE(std::equal(again.begin(), again.end(), raw));
  }
  EXPECT_EQ(commits, 21);
}

TEST_F(WalFormat, StockSqliteReadsWhatWeWriteInBothByteOrders) {
  for (const bool big : {false, true}) {
    Image rewritten = wal_;
    WalHeader log = header();
    log.big_endian_words = big;
    log.encode(std::span(rewritten).first<kWalHeaderSize>());
    Checksum chain = log.checksum;
    for (std::uint32_t i = 1; i <= frames(); ++i) {
      std::byte* raw = rewritten.data() + frame_offset(i, kPageSize);
      FrameHeader frame = FrameHeader::decode(raw);
      chain = extend_checksum(chain, std::span<const std::byte>(raw, 8), big);
      chain = extend_checksum(chain, std::span<const std::byte>(raw + kFrameHeaderSize, kPageSize),
                              big);
      frame.checksum = chain;
      frame.encode(raw);
    }
    const auto copy = directory_ / "copy.db";
    test::copy_database(path_, copy);
    test::write_file(copy.string() + "-wal", rewritten);
    std::filesystem::remove(copy.string() + "-shm");
    EXPECT_EQ(test::ask(copy, "SELECT count(*) FROM t"), "20");
    EXPECT_EQ(test::ask(copy, "PRAGMA integrity_check"), "ok");
  }
}

TEST_F(WalFormat, RefusesEveryDamagedHeader) {
  for (std::size_t i = 0; i < kWalHeaderSize; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      Image damaged(wal_.begin(), wal_.begin() + kWalHeaderSize);
      damaged[i] ^= static_cast<std::byte>(1 << bit);
      EXPECT_FALSE(WalHeader::decode(std::span(damaged).first<kWalHeaderSize>()))
          << i << "." << bit;
    }
  }
}

TEST(WalGeometry, PageSizesFramesAndTheLockBytePage) {
  for (const std::uint32_t size : {512u, 1024u, 4096u, 65536u})
    EXPECT_TRUE(is_valid_page_size(size));
  for (const std::uint32_t size : {0u, 1u, 256u, 1000u, 131072u})
    EXPECT_FALSE(is_valid_page_size(size));
  EXPECT_EQ(frame_offset(1, 4096), 32U);
  EXPECT_EQ(frame_offset(3, 4096), 32U + 2 * 4120);
  EXPECT_EQ(frame_offset(0xffffffff, 65536), 32 + std::uint64_t{0xfffffffe} * 65560);
  EXPECT_EQ(lock_byte_page(4096), 262145U);
  EXPECT_EQ(lock_byte_page(512), 2097153U);
  EXPECT_EQ(lock_byte_page(65536), 16385U);
}

}  // namespace
}  // namespace walferry::wal
