#include "net/hrana_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "net/base64.h"
#include "net/hrana_writer.h"
#include "tests/net/hrana_request_text.h"

namespace walferry::net::hrana {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace std::string_literals;

template <class T>
std::string text_or_error(const Result<T>& result) {
  return result ? to_text(*result) : result.error().message;
}

std::string pipeline_text(const std::string& requests, int version = 3) {
  const auto read = read_pipeline_json(R"({"requests":[)" + requests + "]}", version);
  EXPECT_TRUE(read.has_value() || read.error().code == ErrorCode::kInvalidArgument);
  return text_or_error(read);
}

std::string statement_text(const std::string& members) {
  return text_or_error(read_execute_v1_json(R"({"stmt":{"sql":"A",)" + members + "}}"));
}

/// The value of the one argument, or what is wrong with it.
std::string value_text(const std::string& value) {
  const auto read = read_execute_v1_json(R"({"stmt":{"sql":"A","args":[)" + value + "]}}");
  return read ? to_text(read->args.at(0)) : read.error().message;
}
std::string integer_text(const std::string& digits) {
  return value_text(R"({"type":"integer","value":)" + digits + "}");
}
double float_value(const std::string& number) {
  const auto read = read_execute_v1_json(R"({"stmt":{"sql":"","args":[{"type":"float","value":)" +
                                         number + "}]}}");
  if (!read) ADD_FAILURE() << number << ": " << read.error().message;
  return read ? std::get<double>(read->args.at(0)) : std::nan("");
}
std::string blob_text(const std::string& base64) {
  return value_text(R"({"type":"blob","base64":")" + base64 + "\"}");
}

std::string message_text(const std::string& text, int version = 3) {
  return text_or_error(read_client_message_json(text, version));
}
std::string socket_text(const std::string& request, int version = 3) {
  return message_text(R"({"type":"request","request_id":-1,"request":)" + request + "}", version);
}

std::string batch_text(const std::string& steps, int version = 3) {
  return pipeline_text(R"({"type":"batch","batch":{"steps":[)" + steps + "]}}", version);
}
/// A batch whose second step has the condition.
std::string condition_text(const std::string& condition, int version = 3) {
  return batch_text(R"({"stmt":{"sql":"A"}},{"stmt":{"sql":"B"},"condition":)" + condition + "}",
                    version);
}

const std::string kEveryRequest = R"(
    {"type":"execute","stmt":{"sql":"SELECT 1","args":[{"type":"null"}],"named_args":[
      {"name":"n","value":{"type":"text","value":"\u0000\ud83d\ude00"}}],"want_rows":false}},
    {"type":"batch","batch":{"steps":[{"stmt":{"sql":"A","args":null}},
      {"condition":null,"stmt":{"sql_id":4,"sql":null}}]}},
    {"type":"sequence","sql":"B;C"},{"type":"describe","sql_id":-2147483648},
    {"type":"store_sql","sql_id":2147483647,"sql":""},{"type":"close_sql","sql_id":0},
    {"type":"close"})";

TEST(HranaJsonReader, ReadsEveryRequestOfAPipeline) {
  const std::string expected =
      "baton none\n"
      "execute [SELECT 1](null n='\0\U0001F600' ) no rows\n"
      "batch {[A](); #4(); }\n"
      "sequence [B;C]\n"
      "describe #-2147483648\n"
      "store_sql 2147483647 []\n"
      "close_sql 0\n"
      "close\n"s;
  EXPECT_EQ(pipeline_text(kEveryRequest, 2), expected);
  EXPECT_EQ(pipeline_text(kEveryRequest + R"(,{"type":"get_autocommit"})"),
            expected + "get_autocommit\n");
  const auto with_baton = read_pipeline_json(R"( {"baton":"b","requests":[ ] } )", 2);
  ASSERT_TRUE(with_baton.has_value());
  EXPECT_EQ(with_baton->baton, "b");
}

TEST(HranaJsonReader, ReadsTheOtherBodies) {
  EXPECT_EQ(text_or_error(read_cursor_json(R"({"baton":null,"batch":{"steps":[]}})")),
            "baton none {}");
  EXPECT_EQ(text_or_error(read_execute_v1_json(R"({"stmt":{"sql":"A","want_rows":true}})")),
            "[A]()");
  EXPECT_EQ(text_or_error(read_batch_v1_json(R"({"batch":{"steps":[{"stmt":{"sql":"A"}}]}})")),
            "{[A](); }");
}

TEST(HranaJsonReader, ReadsEveryMessageOfASocket) {
  EXPECT_EQ(message_text(R"({"type":"hello","jwt":"t"})"), "hello t");
  EXPECT_EQ(message_text(R"({"type":"hello","jwt":null})", 1), "hello none");
  EXPECT_EQ(message_text(R"({"type":"hello"})"), "hello none");
  EXPECT_EQ(socket_text(R"({"type":"open_stream","stream_id":3})", 1), "-1: open_stream 3");
  EXPECT_EQ(socket_text(R"({"type":"close_stream","stream_id":-3})", 1), "-1: close_stream -3");
  EXPECT_EQ(socket_text(R"({"type":"execute","stream_id":3,"stmt":{"sql":"A"}})", 1),
            "-1: on 3 execute [A]()");
  EXPECT_EQ(socket_text(R"({"type":"batch","stream_id":3,"batch":{"steps":[]}})", 1),
            "-1: on 3 batch {}");
  EXPECT_EQ(
      socket_text(R"({"type":"open_cursor","stream_id":3,"cursor_id":4,"batch":{"steps":[]}})"),
      "-1: open_cursor 3 4 {}");
  EXPECT_EQ(socket_text(R"({"type":"close_cursor","cursor_id":4})"), "-1: close_cursor 4");
  EXPECT_EQ(socket_text(R"({"type":"fetch_cursor","cursor_id":4,"max_count":4294967295})"),
            "-1: fetch_cursor 4 4294967295");
  EXPECT_EQ(socket_text(R"({"type":"sequence","stream_id":3,"sql":"A"})", 2),
            "-1: on 3 sequence [A]");
  EXPECT_EQ(socket_text(R"({"type":"describe","stream_id":3,"sql_id":1})", 2),
            "-1: on 3 describe #1");
  EXPECT_EQ(socket_text(R"({"type":"store_sql","sql_id":1,"sql":"A"})", 2), "-1: store_sql 1 [A]");
  EXPECT_EQ(socket_text(R"({"type":"close_sql","sql_id":1})", 2), "-1: close_sql 1");
  EXPECT_EQ(socket_text(R"({"type":"get_autocommit","stream_id":3})"), "-1: on 3 get_autocommit");
}

TEST(HranaJsonReader, IgnoresUnknownFields) {
  EXPECT_EQ(pipeline_text(R"({"type":"execute","new":[{}],"stmt":{"sql":"A","later":1,
                "replication_index":"7","args":[{"type":"null","x":{}}]}})"),
            "baton none\nexecute [A](null )\n");
}

TEST(HranaJsonReader, RefusesWhatOnlyALaterVersionHas) {
  EXPECT_EQ(pipeline_text(R"({"type":"get_autocommit"})", 2),
            "requests[0].type: get_autocommit needs Hrana 3");
  EXPECT_EQ(condition_text(R"({"type":"is_autocommit"})", 2),
            "requests[0].batch.steps[1].condition.type: is_autocommit needs Hrana 3");
  for (const char* type : {"sequence", "describe", "store_sql", "close_sql"}) {
    EXPECT_EQ(socket_text(R"({"type":")"s + type + "\"}", 1),
              "request.type: "s + type + " needs Hrana 2");
  }
  for (const char* type : {"open_cursor", "close_cursor", "fetch_cursor", "get_autocommit"}) {
    EXPECT_EQ(socket_text(R"({"type":")"s + type + "\"}", 2),
              "request.type: "s + type + " needs Hrana 3");
  }
  EXPECT_EQ(socket_text(R"({"type":"execute","stream_id":1,"stmt":{"sql_id":1}})", 1),
            "request.stmt.sql_id: needs Hrana 2");
}

TEST(HranaJsonReader, NamesThePlaceOfWhatIsWrong) {
  EXPECT_EQ(text_or_error(read_pipeline_json("[]", 3)), "the request is not an object");
  EXPECT_EQ(text_or_error(read_pipeline_json("{}", 3)), "requests: is missing");
  EXPECT_EQ(text_or_error(read_pipeline_json(R"({"requests":{}})", 3)),
            "requests: is not an array");
  EXPECT_EQ(text_or_error(read_pipeline_json(R"({"baton":1,"requests":[]})", 3)),
            "baton: is not a string");
  EXPECT_EQ(pipeline_text("1"), "requests[0]: is not an object");
  EXPECT_EQ(pipeline_text("{}"), "requests[0].type: is missing");
  EXPECT_EQ(pipeline_text(R"({"type":"exceute"})"),
            "requests[0].type: \"exceute\" is no type of request");
  EXPECT_EQ(pipeline_text(R"({"type":"open_stream"})"),
            "requests[0].type: \"open_stream\" is no type of request");
  EXPECT_EQ(pipeline_text(R"({"type":"execute"})"), "requests[0].stmt: is missing");
  EXPECT_EQ(pipeline_text(R"({"type":"execute","stmt":"A"})"),
            "requests[0].stmt: is not an object");
  EXPECT_EQ(pipeline_text(R"({"type":"close"},{"type":"execute","stmt":{}})"),
            "requests[1].stmt: exactly one of sql and sql_id is needed");
  EXPECT_EQ(pipeline_text(R"({"type":"sequence","sql":"","sql_id":1})"),
            "requests[0]: exactly one of sql and sql_id is needed");
  EXPECT_EQ(pipeline_text(R"({"type":"close_sql","sql_id":2147483648})"),
            "requests[0].sql_id: is not a 32-bit integer");
  EXPECT_EQ(pipeline_text(R"({"type":"close_sql","sql_id":1.0})"),
            "requests[0].sql_id: is not a 32-bit integer");
  EXPECT_EQ(statement_text(R"("want_rows":0)"), "stmt.want_rows: is not true or false");
  EXPECT_EQ(statement_text(R"("args":[{"type":"null"},{"type":"int"}])"),
            "stmt.args[1].type: \"int\" is no type of value");
  EXPECT_EQ(statement_text(R"("args":[5])"), "stmt.args[0]: is not an object");
  EXPECT_EQ(statement_text(R"("named_args":[{"value":{"type":"null"}}])"),
            "stmt.named_args[0].name: is missing");
  EXPECT_EQ(statement_text(R"("named_args":[{"name":"a"}])"),
            "stmt.named_args[0].value: is missing");
  EXPECT_EQ(batch_text(R"({"condition":{"type":"ok","step":0}})"),
            "requests[0].batch.steps[0].condition.step: is not an earlier step");
  EXPECT_EQ(message_text(R"({"type":"hallo"})"), "type: is neither hello nor request");
  EXPECT_EQ(message_text(R"({"type":"request","request":{"type":"close_sql","sql_id":1}})"),
            "request_id: is missing");
  EXPECT_EQ(socket_text(R"({"type":"close"})"), "request.type: \"close\" is no type of request");
  EXPECT_EQ(socket_text(R"({"type":"fetch_cursor","cursor_id":1,"max_count":-1})"),
            "request.max_count: is not an unsigned 32-bit integer");
}

TEST(HranaJsonReader, ReadsIntegersExactly) {
  EXPECT_EQ(integer_text(R"("9223372036854775807")"), "9223372036854775807");
  EXPECT_EQ(integer_text(R"("-9223372036854775808")"), "-9223372036854775808");
  EXPECT_EQ(integer_text(R"("0")"), "0");
  EXPECT_EQ(integer_text(R"("-0")"), "0");
  for (const std::string wrong : {"1e3", " 1", "1 ", "+1", "9223372036854775808", "1.0", "0x1", "",
                                  "-", "-9223372036854775809"}) {
    EXPECT_EQ(integer_text('"' + wrong + '"'),
              "stmt.args[0].value: \"" + wrong + "\" is not a 64-bit integer");
  }
  EXPECT_EQ(integer_text("1"), "stmt.args[0].value: is not a string");
  EXPECT_EQ(integer_text("\"" + std::string(1000, '1') + "\"").size(), 109U);
}

TEST(HranaJsonReader, ReadsFloatsExactly) {
  EXPECT_EQ(float_value("1"), 1.0);
  EXPECT_EQ(float_value("-1.5e3"), -1500.0);
  EXPECT_EQ(float_value("9007199254740993"), 9007199254740992.0);
  EXPECT_EQ(float_value("18446744073709551615"), 18446744073709551616.0);
  EXPECT_EQ(float_value("123456789012345678901234567890"), 123456789012345678901234567890.0);
  EXPECT_EQ(float_value("1e999"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(float_value("-1e999"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(float_value("1e-999"), 0.0);
  EXPECT_EQ(float_value("5e-324"), 5e-324);
  EXPECT_TRUE(std::signbit(float_value("-0")));
  EXPECT_TRUE(std::signbit(float_value("-0.0")));
  EXPECT_EQ(value_text(R"({"type":"float","value":"1"})"), "stmt.args[0].value: is not a number");
  EXPECT_EQ(value_text(R"({"type":"float","value":null})"), "stmt.args[0].value: is not a number");
  EXPECT_EQ(value_text(R"({"type":"float"})"), "stmt.args[0].value: is missing");
}

TEST(HranaJsonReader, ReadsBlobs) {
  EXPECT_EQ(blob_text(""), "x");
  EXPECT_EQ(blob_text("AA=="), "x00");
  EXPECT_EQ(blob_text("AA"), "x00");
  EXPECT_EQ(blob_text("AP8="), "x00ff");
  EXPECT_EQ(blob_text("AP8"), "x00ff");
  EXPECT_EQ(blob_text("AP/+"), "x00fffe");
  for (const std::string wrong : {"A", "AA=", "AA===", "=", "==", "====", "AP8==", "AB", "AP9",
                                  "AP_-", "AP/+ ", "A\\n==", "AA==AA==", "A===", "\\u00e9A"}) {
    EXPECT_EQ(blob_text(wrong), "stmt.args[0].base64: is not base64") << wrong;
  }
  EXPECT_EQ(value_text(R"({"type":"blob","value":"AA"})"), "stmt.args[0].base64: is missing");
}

TEST(HranaJsonReader, RefusesInvalidText) {
  EXPECT_THAT(value_text("{\"type\":\"text\",\"value\":\"\xff\"}"),
              StartsWith("not JSON, at byte"));
  EXPECT_THAT(value_text(R"({"type":"text","value":"\ud800"})"), StartsWith("not JSON, at byte"));
}

TEST(HranaJsonReader, ReadsConditions) {
  EXPECT_EQ(
      condition_text(R"({"type":"and","conds":[{"type":"ok","step":0},{"type":"not","cond":
                {"type":"error","step":0}},{"type":"or","conds":[]},{"type":"is_autocommit"}]})"),
      "baton none\nbatch {[A](); if and(ok(0) not(error(0) ) or() is_autocommit ) [B](); }\n");
  const std::string at = "requests[0].batch.steps[1].condition";
  EXPECT_EQ(condition_text(R"({"type":"ok","step":1})"), at + ".step: is not an earlier step");
  EXPECT_EQ(condition_text(R"({"type":"ok","step":-1})"),
            at + ".step: is not an unsigned 32-bit integer");
  EXPECT_EQ(condition_text(R"({"type":"not"})"), at + ".cond: is missing");
  EXPECT_EQ(condition_text(R"({"type":"or","conds":[{"type":"xor"}]})"),
            at + ".conds[0].type: \"xor\" is no type of condition");
}

/// `depth` conditions in each other.
std::string nested_conditions(std::size_t depth) {
  std::string before;
  std::string after;
  for (; depth > 1; --depth) {
    before += R"({"type":"and","conds":[)";
    after += "]}";
  }
  return before + R"({"type":"ok","step":0})" + after;
}

TEST(HranaJsonReader, BoundsNesting) {
  EXPECT_THAT(condition_text(nested_conditions(kMaxConditionDepth)), StartsWith("baton"));
  EXPECT_THAT(condition_text(nested_conditions(kMaxConditionDepth + 1)),
              HasSubstr(".conds[0]: is too deep"));
  EXPECT_THAT(condition_text(nested_conditions(100'000)), HasSubstr("not JSON"));
  EXPECT_THAT(text_or_error(read_pipeline_json(std::string(1'000'000, '['), 3)),
              HasSubstr("not JSON"));
}

TEST(HranaJsonReader, SurvivesTruncationAndDamage) {
  std::minstd_rand random(42);
  const std::string whole = R"({"requests":[)" + kEveryRequest + "]}";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto read = read_pipeline_json(std::string(whole.substr(0, size)), 3);
    ASSERT_FALSE(read.has_value());
    EXPECT_THAT(read.error().message, StartsWith("not JSON, at byte"));
  }
  EXPECT_FALSE(read_pipeline_json(whole + "x", 3).has_value());
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = whole;
    for (int n = 0; n < 2; ++n) damaged[random() % damaged.size()] = static_cast<char>(random());
    (void)read_pipeline_json(damaged, 3);
  }
}

// What the writer makes.

class HranaJsonWriter : public testing::Test {
 protected:
  std::string row(const SqlValueView& value) { return writer_->row_entry(std::span(&value, 1)); }
  /// The value as it stands in a row.
  std::string value(const SqlValueView& value) {
    const std::string entry = row(value);
    constexpr std::string_view kBefore = R"({"type":"row","row":[)";
    EXPECT_THAT(entry, StartsWith(std::string(kBefore)));
    return entry.substr(kBefore.size(), entry.size() - kBefore.size() - 2);
  }
  std::string text(std::string_view text) { return value(SqlValueView(text)); }

  std::unique_ptr<Writer> writer_ = json_writer(3);
  const Encoded error_ = writer_->error({"m\"", "C"});
};

TEST_F(HranaJsonWriter, WritesResults) {
  const std::vector<SqlColumn> columns = {{"a\n", "INTEGER"}, {"b", ""}};
  const std::vector<SqlValueView> row = {SqlNull{}, std::int64_t{-1}};
  const StatementEnd end = {.affected_rows = UINT64_MAX,
                            .last_insert_rowid = INT64_MIN,
                            .replication_index = UINT64_MAX,
                            .rows_read = 2,
                            .rows_written = 1,
                            .duration_ms = 0.25};
  const auto result = [&](Writer& writer) {
    writer.begin_result(columns);
    writer.add_row(row);
    writer.add_row({});
    EXPECT_GT(writer.result_size(), 90U);
    return writer.end_result(end);
  };
  EXPECT_EQ(result(*writer_),
            R"({"cols":[{"name":"a\n","decltype":"INTEGER"},{"name":"b","decltype":null}],)"
            R"("rows":[[{"type":"null"},{"type":"integer","value":"-1"}],[]],)"
            R"("affected_row_count":18446744073709551615,)"
            R"("last_insert_rowid":"-9223372036854775808",)"
            R"("replication_index":"18446744073709551615",)"
            R"("rows_read":2,"rows_written":1,"query_duration_ms":0.25})");
  EXPECT_EQ(writer_->result_size(), 0U);
  EXPECT_EQ(result(*json_writer(1)),
            R"({"cols":[{"name":"a\n"},{"name":"b"}],)"
            R"("rows":[[{"type":"null"},{"type":"integer","value":"-1"}],[]],)"
            R"("affected_row_count":18446744073709551615,)"
            R"("last_insert_rowid":"-9223372036854775808"})");
  EXPECT_EQ(json_v1_body("{}"), R"({"result":{}})");
}

TEST_F(HranaJsonWriter, ForgetsADroppedResult) {
  writer_->begin_result(std::vector<SqlColumn>{{"a", ""}});
  writer_->drop_result();
  EXPECT_EQ(writer_->result_size(), 0U);
  writer_->begin_result({});
  EXPECT_THAT(writer_->end_result({}),
              StartsWith(R"({"cols":[],"rows":[],"affected_row_count":0,)"));
}

TEST_F(HranaJsonWriter, WritesValuesExactly) {
  EXPECT_EQ(value(SqlNull{}), R"({"type":"null"})");
  EXPECT_EQ(value(std::numeric_limits<std::int64_t>::min()),
            R"({"type":"integer","value":"-9223372036854775808"})");
  EXPECT_EQ(value(std::numeric_limits<std::int64_t>::max()),
            R"({"type":"integer","value":"9223372036854775807"})");
  EXPECT_EQ(value(1.0), R"({"type":"float","value":1.0})");
  EXPECT_EQ(value(-0.0), R"({"type":"float","value":-0.0})");
  EXPECT_EQ(value(0.1), R"({"type":"float","value":0.1})");
  EXPECT_EQ(value(1e300), R"({"type":"float","value":1e+300})");
  EXPECT_EQ(value(std::numeric_limits<double>::infinity()), R"({"type":"float","value":1e999})");
  EXPECT_EQ(value(-std::numeric_limits<double>::infinity()), R"({"type":"float","value":-1e999})");
  EXPECT_EQ(value(std::nan("")), R"({"type":"null"})");
  EXPECT_EQ(value(std::span<const std::byte>()), R"({"type":"blob","base64":""})");
  const std::byte blob[] = {std::byte{0}, std::byte{255}, std::byte{254}, std::byte{1}};
  EXPECT_EQ(value(std::span(blob).first(1)), R"({"type":"blob","base64":"AA"})");
  EXPECT_EQ(value(std::span(blob).first(2)), R"({"type":"blob","base64":"AP8"})");
  EXPECT_EQ(value(std::span(blob).first(3)), R"({"type":"blob","base64":"AP/+"})");
  EXPECT_EQ(value(std::span<const std::byte>(blob)), R"({"type":"blob","base64":"AP/+AQ"})");
}

TEST_F(HranaJsonWriter, EscapesText) {
  EXPECT_EQ(text(""), R"({"type":"text","value":""})");
  EXPECT_EQ(text("\"\\\n\r\t\b\x1f\x7f/ \0"s), R"({"type":"text","value":"\"\\\n\r\t\u0008\u001f)"
                                               "\x7f"
                                               R"(/ \u0000"})");
  EXPECT_EQ(text("\u00e9\u20ac\U0010ffff"),
            "{\"type\":\"text\",\"value\":\"\u00e9\u20ac\U0010ffff\"}");
}

TEST_F(HranaJsonWriter, ReplacesWhatIsNotUtf8) {
  const auto repaired = [this](const std::string& bytes) {
    const std::string json = text(bytes);
    return std::string(boost::json::parse(json).at("value").get_string());
  };
  const std::string r = "\ufffd";
  EXPECT_EQ(repaired("a\xff"
                     "b"),
            "a" + r + "b");
  EXPECT_EQ(repaired("\xc0\x80"), r + r);                  // overlong
  EXPECT_EQ(repaired("\xed\xa0\x80"), r + r + r);          // a surrogate
  EXPECT_EQ(repaired("\xf4\x90\x80\x80"), r + r + r + r);  // beyond the last
  EXPECT_EQ(repaired("\xf5\x80"), r + r);
  EXPECT_EQ(repaired("\xe2\x82"), r);  // cut
  EXPECT_EQ(repaired("\xe2\x82\"\xe2\x82\xac"), r + "\"\u20ac");
  EXPECT_EQ(repaired("\xf0\x9f\x98"), r);
  EXPECT_EQ(repaired("\x80"), r);
}

TEST_F(HranaJsonWriter, MakesValidJsonOfAnyBytes) {
  std::minstd_rand random(42);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(random() % 24, 'x');
    for (int n = 0; n < 3 && !bytes.empty(); ++n) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    boost::json::error_code failed;
    const auto parsed = boost::json::parse(text(bytes), failed);
    ASSERT_FALSE(failed) << text(bytes);
    if (parsed.at("value").get_string().find("\ufffd") == std::string::npos) {
      EXPECT_EQ(std::string(parsed.at("value").get_string()), bytes);
    }
  }
}

TEST_F(HranaJsonWriter, ValuesComeBackEqual) {
  std::mt19937_64 random(42);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t bits = random();
    double real = 0;
    std::memcpy(&real, &bits, sizeof real);
    // Boost.JSON 1.81 alone would be wrong in the last place here and there.
    if (std::isfinite(real)) {
      const std::string json = value(real);
      EXPECT_EQ(value_text(json), to_text(SqlValue(real))) << json;
    }
    const auto integer = static_cast<std::int64_t>(bits);
    EXPECT_EQ(value_text(value(integer)), std::to_string(integer));
    const auto blob = std::as_bytes(std::span(&bits, 1)).first(random() % 9);
    EXPECT_EQ(value_text(value(blob)), to_text(SqlBlob(blob.begin(), blob.end())));
  }
}

TEST_F(HranaJsonWriter, WritesResultsOfBatchesAndDescriptions) {
  EXPECT_EQ(error_, R"({"message":"m\"","code":"C"})");
  const std::vector<std::optional<Encoded>> results = {"{}", {}, {}};
  const std::vector<std::optional<Encoded>> errors = {{}, error_, {}};
  EXPECT_EQ(writer_->batch_result(results, errors),
            R"({"step_results":[{},null,null],"step_errors":[null,)" + error_ + ",null]}");
  const Description description = {{":a", std::nullopt}, {{"a", "TEXT"}, {"b", ""}}, true, false};
  EXPECT_EQ(writer_->describe_result(description),
            R"({"params":[{"name":":a"},{"name":null}],)"
            R"("cols":[{"name":"a","decltype":"TEXT"},{"name":"b","decltype":null}],)"
            R"("is_explain":true,"is_readonly":false})");
}

TEST_F(HranaJsonWriter, WritesPipelineBodies) {
  EXPECT_EQ(writer_->pipeline_body(std::nullopt, std::nullopt, {}),
            R"({"baton":null,"base_url":null,"results":[]})");
  const std::vector<Encoded> results = {writer_->result_ok(writer_->close_response()),
                                        writer_->result_ok(writer_->execute_response("{}")),
                                        writer_->result_ok(writer_->batch_response("{}")),
                                        writer_->result_ok(writer_->sequence_response()),
                                        writer_->result_ok(writer_->describe_response("{}")),
                                        writer_->result_ok(writer_->store_sql_response()),
                                        writer_->result_ok(writer_->close_sql_response()),
                                        writer_->result_ok(writer_->get_autocommit_response(false)),
                                        writer_->result_error(error_)};
  EXPECT_EQ(writer_->pipeline_body("b", "http://h", results),
            R"({"baton":"b","base_url":"http://h","results":[)"
            R"({"type":"ok","response":{"type":"close"}},)"
            R"({"type":"ok","response":{"type":"execute","result":{}}},)"
            R"({"type":"ok","response":{"type":"batch","result":{}}},)"
            R"({"type":"ok","response":{"type":"sequence"}},)"
            R"({"type":"ok","response":{"type":"describe","result":{}}},)"
            R"({"type":"ok","response":{"type":"store_sql"}},)"
            R"({"type":"ok","response":{"type":"close_sql"}},)"
            R"({"type":"ok","response":{"type":"get_autocommit","is_autocommit":false}},)"
            R"({"type":"error","error":{"message":"m\"","code":"C"}}]})");
}

TEST_F(HranaJsonWriter, WritesCursors) {
  EXPECT_EQ(writer_->cursor_head("b", std::nullopt), "{\"baton\":\"b\",\"base_url\":null}\n");
  EXPECT_EQ(writer_->cursor_line("{}"), "{}\n");
  EXPECT_EQ(writer_->step_begin_entry(3, std::vector<SqlColumn>{{"a", ""}}),
            R"({"type":"step_begin","step":3,"cols":[{"name":"a","decltype":null}]})");
  EXPECT_EQ(row(SqlNull{}), R"({"type":"row","row":[{"type":"null"}]})");
  EXPECT_EQ(writer_->step_end_entry({.affected_rows = 3, .last_insert_rowid = -4}),
            R"({"type":"step_end","affected_row_count":3,"last_insert_rowid":"-4"})");
  EXPECT_EQ(writer_->step_error_entry(2, error_),
            R"({"type":"step_error","step":2,"error":)" + error_ + "}");
  EXPECT_EQ(writer_->error_entry(error_), R"({"type":"error","error":)" + error_ + "}");
}

TEST_F(HranaJsonWriter, WritesMessagesOfASocket) {
  EXPECT_EQ(writer_->hello_ok(), R"({"type":"hello_ok"})");
  EXPECT_EQ(writer_->hello_error(error_), R"({"type":"hello_error","error":)" + error_ + "}");
  EXPECT_EQ(writer_->response_error(-1, error_),
            R"({"type":"response_error","request_id":-1,"error":)" + error_ + "}");
  const auto ok = [](const std::string& response) {
    return R"({"type":"response_ok","request_id":5,"response":)" + response + "}";
  };
  EXPECT_EQ(writer_->open_stream_ok(5), ok(R"({"type":"open_stream"})"));
  EXPECT_EQ(writer_->close_stream_ok(5), ok(R"({"type":"close_stream"})"));
  EXPECT_EQ(writer_->open_cursor_ok(5), ok(R"({"type":"open_cursor"})"));
  EXPECT_EQ(writer_->close_cursor_ok(5), ok(R"({"type":"close_cursor"})"));
  EXPECT_EQ(writer_->fetch_cursor_ok(5, std::vector<Encoded>{"{}", "{}"}, true),
            ok(R"({"type":"fetch_cursor","entries":[{},{}],"done":true})"));
  EXPECT_EQ(writer_->stream_response_ok(5, writer_->sequence_response()),
            ok(R"({"type":"sequence"})"));
}

}  // namespace
}  // namespace walferry::net::hrana
