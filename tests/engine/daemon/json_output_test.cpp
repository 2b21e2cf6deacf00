#include "engine/daemon/json_output.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace walferry::daemon {
namespace {

using namespace std::string_literals;

TEST(JsonQuote, EscapesWhatJsonDemands) {
  EXPECT_EQ(json_quote(""), R"("")");
  EXPECT_EQ(json_quote("plain / text"), R"("plain / text")");
  EXPECT_EQ(json_quote("\"\\\n\r\t"), R"("\"\\\n\r\t")");
  EXPECT_EQ(json_quote("\0\x01\x1f\x7f"s), R"("\u0000\u0001\u001f\u007f")");
}

TEST(JsonQuote, KeepsValidUtf8) {
  const std::string text = "\xC3\xBC \xE2\x82\xAC \xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF";
  EXPECT_EQ(json_quote(text), "\"" + text + "\"");
}

TEST(JsonQuote, ReplacesInvalidUtf8) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(json_quote("a\xFF"), "\"a" + bad + "\"");
  EXPECT_EQ(json_quote("\xC3"), "\"" + bad + "\"");                      // cut short
  EXPECT_EQ(json_quote("\xC3("), "\"" + bad + "(\"");                    // no continuation
  EXPECT_EQ(json_quote("\xC0\x80"), "\"" + bad + bad + "\"");            // overlong
  EXPECT_EQ(json_quote("\xE0\x80\x80"), "\"" + bad + bad + bad + "\"");  // overlong
  EXPECT_EQ(json_quote("\xED\xA0\x80"), "\"" + bad + bad + bad + "\"");  // surrogate
  EXPECT_EQ(json_quote("\xF4\x90\x80\x80"), "\"" + bad + bad + bad + bad + "\"");  // too large
}

TEST(JsonWriter, PutsCommasAndColons) {
  JsonWriter json;
  json.begin_object()
      .field("a", 1U)
      .field("b", "x{")
      .field("c", true)
      .key("d")
      .begin_array()
      .value(1.5)
      .value("[")
      .begin_object()
      .end_object()
      .null()
      .end_array()
      .key("e")
      .begin_array()
      .end_array()
      .end_object();
  EXPECT_EQ(json.text(), R"({"a":1,"b":"x{","c":true,"d":[1.5,"[",{},null],"e":[]})");
}

TEST(JsonWriter, WritesNumbersThatReadBack) {
  JsonWriter json;
  json.begin_array()
      .value(std::numeric_limits<std::uint64_t>::max())
      .value(0.1)
      .value(std::nan(""))
      .value(std::numeric_limits<double>::infinity())
      .end_array();
  EXPECT_EQ(json.text(), "[18446744073709551615,0.1,null,null]");
}

}  // namespace
}  // namespace walferry::daemon
