// The text forms of positions and of number lists.
#include <gtest/gtest.h>

#include "net/ferry_protocol.h"
#include "walferry/position.hpp"

namespace walferry {
namespace {

TEST(PositionText, RoundTrips) {
  const Position position{LogId{{0, 1, 0xfe, 0xff, 16}}, UINT64_MAX, 0, 0x0123456789abcdef};
  const std::string text = position.to_text();
  EXPECT_EQ(text, "0001feff100000000000000000000000.18446744073709551615.0.0123456789abcdef");
  const auto parsed = Position::parse(text);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, position);
}

TEST(PositionText, EverythingElseIsRefused) {
  const std::string log = "0001feff100000000000000000000000";
  for (const std::string& text :
       {std::string(), log, log + ".1.2", log + ".1.2.0123456789abcde",
        log + ".1.2.0123456789abcdef0", log + ".1.2.0123456789abcdeg",
        log + ".-1.2.0123456789abcdef", log + ".+1.2.0123456789abcdef",
        log + ".1..0123456789abcdef", log + ". 1.2.0123456789abcdef",
        log + ".1.2.0123456789abcdef.", log + ".18446744073709551616.2.0123456789abcdef",
        log.substr(1) + ".1.2.0123456789abcdef", log + "0.1.2.0123456789abcdef",
        "g" + log.substr(1) + ".1.2.0123456789abcdef",
        "-" + log.substr(1) + ".1.2.0123456789abcdef", log + ".1.2.0x23456789abcdef",
        log + ".1.2.-123456789abcdef", log + ".0x1.2.0123456789abcdef"}) {
    const auto parsed = Position::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(LogIdText, RandomIdsDiffer) {
  EXPECT_NE(LogId::random(), LogId::random());
  EXPECT_FALSE(LogId::random().is_nil());
}

TEST(NumberList, RoundTripsWithRanges) {
  using Numbers = std::vector<std::uint32_t>;
  for (const Numbers& numbers : {Numbers{}, Numbers{0}, Numbers{1, 4, 9, 10, 11, 12}, Numbers{1, 2},
                                 Numbers{0xfffffffe, 0xffffffff}, Numbers{1, 3, 5, 6, 7}}) {
    const std::string text = net::number_list(numbers);
    if (numbers.empty()) {
      EXPECT_EQ(text, "");
      continue;
    }
    const auto parsed = net::parse_number_list(text, 100);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, numbers) << text;
  }
  EXPECT_EQ(net::number_list({1, 4, 9, 10, 11, 12}), "1,4,9-12");
}

TEST(NumberList, AbsurdListsAreRefusedBeforeTheyGrow) {
  for (const char* text : {"1,", ",1", "a", "1-", "-1", "3-1", "1--2", "1-2-3", "4294967296",
                           "1 ,2", "1;2", "0-4294967295", "1-1000", "99999999999999999999"}) {
    EXPECT_FALSE(net::parse_number_list(text, 100)) << text;
  }
  EXPECT_TRUE(net::parse_number_list("1-100", 100));
  EXPECT_FALSE(net::parse_number_list("1-101", 100));
  EXPECT_FALSE(net::parse_number_list("1-60,100-160", 100));
}

}  // namespace
}  // namespace walferry
