#include "wal/slot_file.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/temporary_directory.h"

namespace walferry::wal {
namespace {

using tests::content_of;
using tests::TemporaryDirectory;
using tests::write_content;

constexpr std::uint64_t kMagic = 0x7465737473746f6c;
constexpr std::size_t kSlotHeader = 32;

class SlotFileContent : public testing::Test {
 protected:
  void write(const std::string& record) {
    auto slots = SlotFile::open(path_, kMagic, true);
    ASSERT_TRUE(slots) << slots.error().message;
    ASSERT_TRUE(slots->write(std::as_bytes(std::span(record))));
  }
  std::string read() {
    auto slots = SlotFile::open_to_read(path_, kMagic);
    if (!slots) return slots.error().message;
    const auto record = slots->read();
    if (!record) return record.error().message;
    if (!*record) return "nothing";
    return {reinterpret_cast<const char*>((*record)->data()), (*record)->size()};
  }

  TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_ / "slots";
};
class TornSlot : public SlotFileContent {};
class EmptySlotFile : public SlotFileContent {};

// The new slot is written over an older record, whatever their lengths: however much of it there
// was when the process died, the record before stands, and the next write replaces what is torn.
TEST_F(TornSlot, OverAnOlderRecordLeavesTheOneBefore) {
  for (const std::string newer : {"the third record", "3", "a third one, longer than all before"}) {
    std::filesystem::remove(path_);
    write("the first record");
    write("the second record");
    const std::string before = content_of(path_);
    write(newer);
    const std::string after = content_of(path_);
    const std::size_t slot = SlotFile::kSlotSize;  // records 1 and 3 lie in the second
    const std::size_t size = kSlotHeader + newer.size();
    for (std::size_t written = 0; written < size; ++written) {
      std::string torn = before;
      torn.resize(after.size());
      torn.replace(slot, written, after, slot, written);
      write_content(path_, torn);
      ASSERT_EQ(read(), torn == after ? newer : "the second record") << written << " of " << size;
      write("the record after");
      ASSERT_EQ(read(), "the record after");
    }
  }
}

TEST_F(EmptySlotFile, HasNoRecord) {
  for (const std::size_t size : {0u, 1u, 31u, 4096u, 8192u}) {
    write_content(path_, std::string(size, '\0'));
    EXPECT_EQ(read(), "nothing") << size;
  }
}

TEST_F(EmptySlotFile, IsNotMadeByLooking) {
  EXPECT_FALSE(SlotFile::open_to_read(path_, kMagic));
  const auto opened = SlotFile::open(path_, kMagic, false);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace walferry::wal
