#include "wal/wal_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "tests/fault/stock_access.h"
#include "wal/database_handle.h"

namespace walferry::wal {
namespace {

using test::Image;
using test::StockDatabase;
using test::TempDirectory;

constexpr std::uint32_t kPageSize = 512;

class WalIndexTest : public testing::Test {
 protected:
  void write_many_frames() {
    StockDatabase database(path_);
    database.query(
        "PRAGMA page_size=512; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
    attach();
    for (int i = 0; i < 45; ++i) {
      database.query(
          "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 900)"
          "INSERT OR REPLACE INTO t SELECT abs(random()) % 3000, randomblob(120) FROM s");
    }
    image_ = database.image();
    wal_ = test::read_file(path_.string() + "-wal");
  }
  void attach() {
    auto opened = DatabaseHandle::open(path_, {});
    ASSERT_TRUE(opened) << opened.error().message;
    handle_ = std::move(*opened);
  }
  [[nodiscard]] FrameHeader frame(std::uint32_t number) const {
    return FrameHeader::decode(wal_.data() + frame_offset(number, kPageSize));
  }

  TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "app.db";
  std::unique_ptr<DatabaseHandle> handle_;
  Image image_;
  Image wal_;
};

TEST_F(WalIndexTest, FindsTheFramesThatSqliteReadsInALogOfMoreThanTenThousand) {
  write_many_frames();
  WalIndex& index = handle_->index();
  const auto header = index.read_header();
  ASSERT_TRUE(header);
  ASSERT_GT(header->max_frame, 10'000U);
  EXPECT_EQ(header->page_size(), kPageSize);
  EXPECT_EQ(header->page_count, image_.size() / kPageSize);

  std::map<std::uint32_t, std::uint32_t> newest;
  for (std::uint32_t i = 1; i <= header->max_frame; ++i) {
    const std::uint32_t page = frame(i).page_number;
    auto listed = index.page_of_frame(i);
    ASSERT_TRUE(listed);
    ASSERT_EQ(*listed, page) << "frame " << i;
    newest[page] = i;
    if (i % 1013 == 0 || i == 4062 || i == 4063 || i == 4062 + 4096 || i == 4063 + 4096) {
      for (const auto& [known, at] : newest) ASSERT_EQ(index.find_frame(known, i).value(), at);
      ASSERT_EQ(index.find_frame(header->page_count + 7, i).value(), 0U);
    }
  }
  // SQLite's own view of every page is what lies in the frame that was found.
  for (std::uint32_t page = 2; page <= header->page_count; ++page) {
    const std::uint32_t at = index.find_frame(page, header->max_frame).value();
    Image bytes(kPageSize);
    if (at != 0) {
      ASSERT_TRUE(handle_->read_wal(bytes, frame_offset(at, kPageSize) + kFrameHeaderSize));
    } else {
      ASSERT_TRUE(handle_->read_database(bytes, std::uint64_t{page - 1} * kPageSize));
    }
    ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), image_.begin() + (page - 1) * kPageSize))
        << "page " << page;
  }
}

TEST_F(WalIndexTest, EntriesOfOursAreFoundByStockSqlite) {
  write_many_frames();
  WalIndex& index = handle_->index();
  const auto before = index.read_header();
  ASSERT_TRUE(before);
  auto writer = SlotLock::try_take(index, Slot::kWrite);
  ASSERT_TRUE(writer);
  // Every entry beyond some frame is removed and entered anew.
  const std::uint32_t kept = before->max_frame - 3000;
  ASSERT_TRUE(index.clear_beyond(kept));
  for (std::uint32_t i = kept + 1; i <= before->max_frame; ++i) {
    ASSERT_TRUE(index.append(i, frame(i).page_number));
  }
  writer.reset();
  StockDatabase reader(path_);
  EXPECT_EQ(reader.query("PRAGMA integrity_check"), "ok");
  EXPECT_TRUE(reader.image() == image_);
}

TEST_F(WalIndexTest, AFullTableIsAnErrorAndNotAnEndlessSearch) {
  StockDatabase(path_).query("PRAGMA journal_mode=WAL; CREATE TABLE t(a)");
  attach();
  WalIndex& index = handle_->index();
  Status entered;
  int count = 0;
  for (std::uint32_t page = 1; entered && count < 20'000; ++page, ++count)
    entered = index.append(4000, page);
  ASSERT_FALSE(entered);
  EXPECT_LE(count, 8193);
  EXPECT_EQ(entered.error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(index.find_frame(3'000'000, 4001));
  ASSERT_TRUE(index.clear_beyond(1));
  EXPECT_TRUE(index.append(2, 7));
  ASSERT_TRUE(index.clear_beyond(1));
}

TEST_F(WalIndexTest, HeadersAreTakenOnlyWhenBothCopiesAgree) {
  StockDatabase(path_).query("PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES(1)");
  attach();
  WalIndex& index = handle_->index();
  const auto header = index.read_header();
  ASSERT_TRUE(header);
  StockDatabase view(path_);
  view.query("SELECT * FROM t");
  void volatile* region = nullptr;
  ASSERT_EQ(view.file()->pMethods->xShmMap(view.file(), 0, 32768, 0, &region), SQLITE_OK);
  auto* bytes = static_cast<unsigned char volatile*>(region);
  for (std::size_t at = 0; at < 96; ++at) {
    bytes[at] = bytes[at] ^ 1;
    EXPECT_FALSE(index.read_header()) << at;
    const auto intact = index.intact_copy();
    ASSERT_TRUE(intact) << at;
    EXPECT_EQ(std::memcmp(&*intact, &*header, sizeof *header), 0);
    bytes[at] = bytes[at] ^ 1;
  }
  EXPECT_TRUE(index.read_header());
}

TEST(WalIndexHeader, PageSizesHaveTheirCodes) {
  IndexHeader header;
  for (std::uint32_t size = 512; size <= 65536; size *= 2) {
    header.set_page_size(size);
    EXPECT_EQ(header.page_size(), size);
  }
  EXPECT_EQ(header.page_size_code, 1);
}

TEST_F(WalIndexTest, ASlotLockHoldsAndLetsGo) {
  StockDatabase(path_).query("PRAGMA journal_mode=WAL; CREATE TABLE t(a)");
  attach();
  auto other = DatabaseHandle::open(path_, {});
  ASSERT_TRUE(other);
  {
    auto mine = SlotLock::try_take(handle_->index(), Slot::kWrite);
    ASSERT_TRUE(mine);
    EXPECT_FALSE(SlotLock::try_take((*other)->index(), Slot::kWrite));
    SlotLock moved = std::move(*mine);
    mine.reset();
    EXPECT_FALSE(SlotLock::try_take((*other)->index(), Slot::kWrite));
  }
  EXPECT_TRUE(SlotLock::try_take((*other)->index(), Slot::kWrite));
}

}  // namespace
}  // namespace walferry::wal
