// The text forms of the public value types.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "walferry/error.hpp"
#include "walferry/position.hpp"
#include "walferry/replica.hpp"

namespace walferry {
namespace {

const std::string kLog = "000102030405060708090a0b0c0d0eff";
const std::string kText = kLog + ".3.17.00ab00cd00ef0123";

TEST(LogId, RoundTripsAsText) {
  const auto id = LogId::parse(kLog);
  ASSERT_TRUE(id);
  EXPECT_EQ(id->bytes[15], 0xff);
  EXPECT_EQ(id->to_text(), kLog);
  EXPECT_EQ(LogId().to_text(), std::string(32, '0'));
  EXPECT_TRUE(LogId().is_nil());
  EXPECT_FALSE(id->is_nil());
}

TEST(LogId, EveryRandomOneIsNew) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const LogId id = LogId::random();
    EXPECT_FALSE(id.is_nil());
    EXPECT_EQ(LogId::parse(id.to_text()), id);
    EXPECT_TRUE(seen.insert(id.to_text()).second);
  }
}

TEST(LogId, RefusesEveryOtherText) {
  for (std::size_t size = 0; size < kLog.size(); ++size) {
    EXPECT_FALSE(LogId::parse(kLog.substr(0, size))) << size;
  }
  EXPECT_FALSE(LogId::parse(kLog + "0"));
  for (const char wrong :
       {'A', 'F', 'g', ' ', '.', '-', '+', 'x', '/', ':', '@', '`', '\0', '\xff'}) {
    for (std::size_t i = 0; i < kLog.size(); ++i) {
      std::string text = kLog;
      text[i] = wrong;
      const auto id = LogId::parse(text);
      ASSERT_FALSE(id) << text;
      EXPECT_EQ(id.error().code, ErrorCode::kInvalidArgument);
    }
  }
}

TEST(Position, RoundTripsAsText) {
  const auto position = Position::parse(kText);
  ASSERT_TRUE(position);
  EXPECT_EQ(position->log.to_text(), kLog);
  EXPECT_EQ(position->generation, 3u);
  EXPECT_EQ(position->frame, 17u);
  EXPECT_EQ(position->checksum, 0x00ab00cd00ef0123u);
  EXPECT_EQ(position->to_text(), kText);
  for (const Position& other :
       {Position{}, Position{LogId{{1}}, UINT64_MAX, UINT64_MAX, UINT64_MAX}}) {
    EXPECT_EQ(Position::parse(other.to_text()), other);
  }
}

TEST(Position, RefusesEveryTextThatIsNotOne) {
  for (std::size_t size = 0; size < kText.size(); ++size) {
    EXPECT_FALSE(Position::parse(kText.substr(0, size))) << size;
  }
  const std::string sum = ".00ab00cd00ef0123";
  for (const std::string& text : {
           kText + "0",
           kText + ".",
           kText + ".0",
           kLog + ".03.17" + sum,  // each position has one spelling
           kLog + ".3.00" + sum,
           kLog + ".3.017" + sum,
           kLog + ".3.17.00AB00cd00ef0123",
           "000102030405060708090A0b0c0d0eff.3.17" + sum,
           kText + " ",
           " " + kText,
           "." + kText,
           kText + '\n',
           kLog + "..17" + sum,    // no generation
           kLog + ".3." + sum,     // no frame
           kLog + ".3" + sum,      // no field for it at all
           kLog + ".-3.17" + sum,  // signs
           kLog + ".+3.17" + sum,
           kLog + ".3.-17" + sum,
           kLog + ".3 .17" + sum,
           kLog + ".3.1 7" + sum,
           kLog + ".0x3.17" + sum,
           kLog + ".3.1e1" + sum,
           kLog + ".3.17.0ab00cd00ef0123",  // 15 and 17 digits
           kLog + ".3.17.000ab00cd00ef0123",
           kLog + ".3.17.0xab00cd00ef0123",
           kLog + ".3.17.-0ab00cd00ef0123",
           kLog + ".3.17.00ab00cd00ef012g",
           kLog + ".18446744073709551616.17" + sum,  // 2^64
           kLog + ".3.18446744073709551616" + sum,
           kLog + ".3.99999999999999999999999" + sum,
       }) {
    const auto position = Position::parse(text);
    ASSERT_FALSE(position) << text;
    EXPECT_EQ(position.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(position.error().message.find("position"), std::string::npos);
  }
}

TEST(Position, DiffersInEachField) {
  const Position position = *Position::parse(kText);
  Position other = position;
  EXPECT_EQ(other, position);
  other.log.bytes[9] ^= 1;
  EXPECT_NE(other, position);
  other = position;
  ++other.generation;
  EXPECT_NE(other, position);
  other = position;
  ++other.frame;
  EXPECT_NE(other, position);
  other = position;
  ++other.checksum;
  EXPECT_NE(other, position);
}

TEST(ErrorCode, EachHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int code = 1; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    EXPECT_TRUE(names.insert(to_string(static_cast<ErrorCode>(code))).second) << code;
  }
}

TEST(ReplicaState, EachHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int state = 0; state <= static_cast<int>(ReplicaState::kStopped); ++state) {
    EXPECT_TRUE(names.insert(to_string(static_cast<ReplicaState>(state))).second) << state;
  }
}

TEST(Error, SaysWhatWasBeingDone) {
  const Error error{ErrorCode::kBusy, "locked"};
  EXPECT_EQ(error.while_doing("opening app.db").message, "opening app.db: locked");
  EXPECT_EQ(error.while_doing("opening app.db").code, ErrorCode::kBusy);
}

}  // namespace
}  // namespace walferry
