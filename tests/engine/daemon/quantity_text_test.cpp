#include "engine/daemon/quantity_text.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace walferry::daemon {
namespace {

using std::chrono::milliseconds;

TEST(ParseSize, TakesBinaryAndDecimalUnits) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("512"), 512U);
  EXPECT_EQ(parse_size("16M"), 16U << 20);
  EXPECT_EQ(parse_size("16m"), 16U << 20);
  EXPECT_EQ(parse_size("64MiB"), 64U << 20);
  EXPECT_EQ(parse_size("64 MiB"), 64U << 20);
  EXPECT_EQ(parse_size("64MB"), 64'000'000U);
  EXPECT_EQ(parse_size("1G"), 1U << 30);
  EXPECT_EQ(parse_size("1.5K"), 1536U);
  EXPECT_EQ(parse_size("18446744073709551615"), ~0ULL);
}

TEST(ParseSize, RefusesWhatIsNoSize) {
  for (const char* text : {"", "M", "-1", "+1", "1X", "1 2", "1.2.3", "16M ", "0x10", "1e3", ".",
                           "18446744073709551616", "99999999999T", "1.5e300G"}) {
    const auto size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(size.error().message.find("write for example 16M"), std::string::npos);
  }
}

TEST(ParseDuration, TakesUnitsAndBareSeconds) {
  EXPECT_EQ(parse_duration("500ms"), milliseconds(500));
  EXPECT_EQ(parse_duration("10"), milliseconds(10'000));
  EXPECT_EQ(parse_duration("1.5s"), milliseconds(1'500));
  EXPECT_EQ(parse_duration("5m"), milliseconds(300'000));
  EXPECT_EQ(parse_duration("2h"), milliseconds(7'200'000));
  EXPECT_EQ(parse_duration("1d"), milliseconds(86'400'000));
}

TEST(ParseDuration, RefusesWhatIsNoDuration) {
  for (const char* text : {"", "s", "-5s", "5x", "10 000", "9999999999d"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(ParseCount, KeepsItsLimits) {
  EXPECT_EQ(parse_count("1", 1, 256), 1U);
  EXPECT_EQ(parse_count("256", 1, 256), 256U);
  for (const char* text : {"0", "257", "-1", "2.0", "", "99999999999999999999"}) {
    EXPECT_FALSE(parse_count(text, 1, 256)) << text;
  }
}

TEST(ParseMode, IsOctal) {
  EXPECT_EQ(parse_mode("0660"), 0660U);
  EXPECT_EQ(parse_mode("660"), 0660U);
  for (const char* text : {"", "8", "rw", "1777", "0o660"}) EXPECT_FALSE(parse_mode(text)) << text;
}

TEST(ParseListenAddress, TakesBothFamilies) {
  const auto v4 = parse_listen_address("127.0.0.1:7070");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->address, "127.0.0.1");
  EXPECT_EQ(v4->port, 7070);
  const auto v6 = parse_listen_address("[::1]:0");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->address, "::1");
  EXPECT_EQ(v6->port, 0);
  EXPECT_TRUE(parse_listen_address("localhost:80"));
}

TEST(ParseListenAddress, RefusesWhatIsNoAddress) {
  for (const char* text : {"", "7070", ":7070", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70707",
                           "::1:7070", "[::1]", "[]:1", "[127.0.0.1]:1", "a:b"}) {
    EXPECT_FALSE(parse_listen_address(text)) << text;
  }
}

TEST(HttpRoot, PutsIpv6InBrackets) {
  EXPECT_EQ(http_root("127.0.0.1", 7070), "http://127.0.0.1:7070");
  EXPECT_EQ(http_root("::1", 80), "http://[::1]:80");
}

TEST(PercentEncode, LeavesOnlyUnreservedCharacters) {
  EXPECT_EQ(percent_encode("app-1_b.db~"), "app-1_b.db~");
  EXPECT_EQ(percent_encode("a b%c/\xC3\xBC"), "a%20b%25c%2F%C3%BC");
}

TEST(Format, IsReadable) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(5ULL << 30), "5.0 GiB");
  EXPECT_EQ(format_bytes(5000ULL << 40), "5000.0 TiB");
  EXPECT_EQ(format_seconds(0.25), "0.2 s");
  EXPECT_EQ(format_seconds(42.9), "42 s");
  EXPECT_EQ(format_seconds(187), "3 min 07 s");
  EXPECT_EQ(format_seconds(7500), "2 h 05 min");
  EXPECT_EQ(format_unix_time(0), "1970-01-01T00:00:00Z");
}

}  // namespace
}  // namespace walferry::daemon
