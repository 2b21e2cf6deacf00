#include "net/hrana_protobuf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "net/hrana_json.h"
#include "net/hrana_writer.h"
#include "tests/net/hrana_protobuf_golden.h"
#include "tests/net/hrana_request_text.h"

namespace walferry::net::hrana {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace std::string_literals;

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  std::string hex;
  char digits[3];
  for (const char byte : bytes) {
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(byte) & 0xff);
    hex += digits;
  }
  return hex;
}

/// A length-delimited field, for messages that no encoder would write.
std::string field(unsigned tag, const std::string& content) {
  std::string bytes(1, static_cast<char>(tag << 3 | 2));
  for (std::size_t size = content.size();; size >>= 7) {
    bytes += static_cast<char>((size & 0x7f) | (size > 0x7f ? 0x80 : 0));
    if (size <= 0x7f) break;
  }
  return bytes + content;
}

template <class T>
std::string text_or_error(const Result<T>& result) {
  return result ? to_text(*result) : result.error().message;
}

std::string message_text(std::string_view hex) {
  return text_or_error(read_client_message_protobuf(from_hex(hex)));
}

std::string pipeline_problem(const std::string& bytes) {
  const auto read = read_pipeline_protobuf(bytes);
  EXPECT_FALSE(read.has_value());
  if (read) return {};
  EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
  return read.error().message;
}

std::string statement_problem(const std::string& statement) {
  return pipeline_problem(field(2, field(2, field(1, statement))));
}

std::string batch_problem(const std::string& batch) {
  return pipeline_problem(field(2, field(3, field(1, batch))));
}

TEST(HranaProtobufReader, ReadsEveryRequestOfAPipeline) {
  EXPECT_EQ(text_or_error(read_pipeline_protobuf(from_hex(golden::kPipeline))),
            "baton b1\n"
            "execute [SELECT ?](null -9223372036854775808 9223372036854775807 -0x1p-1 "
            "'a\0\u00e9' x00ff '' :n=0 ) no rows\n"
            "batch {[A](); if and(ok(0) not(error(0) ) or() is_autocommit ) #-1(); }\n"
            "sequence [B; C]\n"
            "describe #7\n"
            "store_sql 7 [D]\n"
            "close_sql -2147483648\n"
            "get_autocommit\n"
            "close\n"s);
  const auto empty = read_pipeline_protobuf("");
  ASSERT_TRUE(empty.has_value());
  EXPECT_FALSE(empty->baton.has_value());
  EXPECT_TRUE(empty->requests.empty());
}

TEST(HranaProtobufReader, ReadsACursor) {
  EXPECT_EQ(text_or_error(read_cursor_protobuf(from_hex(golden::kCursor))), "baton c {[A](); }");
  EXPECT_EQ(text_or_error(read_cursor_protobuf(field(1, "c"))), "batch: is missing");
}

TEST(HranaProtobufReader, ReadsEveryMessageOfASocket) {
  EXPECT_EQ(message_text(golden::kHello), "hello t");
  EXPECT_EQ(message_text(golden::kHelloNoToken), "hello none");
  EXPECT_EQ(message_text(golden::kOpenStream), "-5: open_stream 3");
  EXPECT_EQ(message_text(golden::kCloseStream), "2147483647: close_stream -3");
  EXPECT_EQ(message_text(golden::kExecute), "1: on 3 execute [A]()");
  EXPECT_EQ(message_text(golden::kBatch), "1: on 3 batch {[A](); }");
  EXPECT_EQ(message_text(golden::kOpenCursor), "1: open_cursor 3 4 {}");
  EXPECT_EQ(message_text(golden::kCloseCursor), "1: close_cursor 4");
  EXPECT_EQ(message_text(golden::kFetchCursor), "1: fetch_cursor 4 4294967295");
  EXPECT_EQ(message_text(golden::kSequence), "1: on 3 sequence [A]");
  EXPECT_EQ(message_text(golden::kDescribe), "1: on 3 describe #9");
  EXPECT_EQ(message_text(golden::kStoreSql), "1: store_sql 9 [A]");
  EXPECT_EQ(message_text(golden::kCloseSql), "1: close_sql 9");
  EXPECT_EQ(message_text(golden::kGetAutocommit), "1: on 3 get_autocommit");
}

TEST(HranaProtobufReader, SkipsUnknownFields) {
  const std::string unknown = "\x78\x01"s +
                              "\x7d"
                              "abcd" +
                              "\x79"
                              "abcdefgh" +
                              field(15, "x");
  const std::string value = field(3, field(4, "v") + unknown) + unknown;
  const std::string execute = field(2, field(1, field(1, "A") + value) + unknown);
  EXPECT_EQ(text_or_error(read_pipeline_protobuf(unknown + field(2, unknown + execute))),
            "baton none\nexecute [A]('v' )\n");
}

TEST(HranaProtobufReader, RefusesWhatIsIncompleteOrDouble) {
  const std::string sql = field(1, "A");
  EXPECT_EQ(pipeline_problem(field(2, "")), "requests[0]: is no request of a known type");
  EXPECT_EQ(pipeline_problem(field(2, field(1, "")) + field(2, field(15, ""))),
            "requests[1]: is no request of a known type");
  EXPECT_EQ(pipeline_problem(field(2, field(1, "") + field(8, ""))), "requests[0]: is there twice");
  EXPECT_EQ(pipeline_problem(field(2, field(2, ""))), "requests[0].stmt: is missing");
  EXPECT_EQ(pipeline_problem(field(2, field(3, ""))), "requests[0].batch: is missing");
  EXPECT_EQ(pipeline_problem(field(2, field(2, field(1, sql) + field(1, sql)))),
            "requests[0].stmt: is there twice");
  EXPECT_EQ(pipeline_problem(field(2, field(4, ""))),
            "requests[0]: exactly one of sql and sql_id is needed");
  EXPECT_EQ(statement_problem(""), "requests[0].stmt: exactly one of sql and sql_id is needed");
  EXPECT_EQ(statement_problem(sql + "\x10\x01"),
            "requests[0].stmt: exactly one of sql and sql_id is needed");
  EXPECT_EQ(statement_problem(sql + field(3, field(1, "")) + field(3, "")),
            "requests[0].stmt.args[1]: has no value of a known type");
  EXPECT_EQ(statement_problem(sql + field(3, field(1, "") + field(4, "x"))),
            "requests[0].stmt.args[0]: is there twice");
  EXPECT_EQ(statement_problem(sql + field(4, field(1, "n"))),
            "requests[0].stmt.named_args[0].value: is missing");
  EXPECT_EQ(batch_problem(field(1, "")), "requests[0].batch.steps[0].stmt: is missing");
  EXPECT_EQ(message_text(""), "the request is neither hello nor request");
  EXPECT_EQ(text_or_error(read_client_message_protobuf(field(2, "\x08\x01"))),
            "request: is no request of a known type");
}

TEST(HranaProtobufReader, RefusesTextThatIsNotUtf8) {
  EXPECT_EQ(statement_problem(field(1, "\xff")), "requests[0].stmt.sql: is not UTF-8");
  EXPECT_EQ(statement_problem(field(1, "A") + field(3, field(4, "\xed\xa0\x80"))),
            "requests[0].stmt.args[0]: is not UTF-8");
  EXPECT_EQ(pipeline_problem(field(1, "\xc0\x80")), "baton: is not UTF-8");
}

/// A batch of one step, and a second step with the condition.
std::string with_condition(const std::string& condition) {
  const std::string statement = field(2, field(1, "A"));
  return field(1, statement) + field(1, field(1, condition) + statement);
}

TEST(HranaProtobufReader, ChecksConditions) {
  const std::string condition = "requests[0].batch.steps[1].condition";
  EXPECT_EQ(batch_problem(with_condition("")), condition + ": is no condition of a known type");
  EXPECT_EQ(batch_problem(with_condition("\x08\x01")), condition + ".step: is not an earlier step");
  EXPECT_EQ(batch_problem(with_condition(field(4, field(1, field(6, "")) + field(1, "")))),
            condition + ".conds[1]: is no condition of a known type");
  std::string deep = "\x08\0"s;
  for (std::size_t i = 1; i < kMaxConditionDepth; ++i)
    deep = field(i % 2 == 0 ? 3 : 5, i % 2 == 0 ? deep : field(1, deep));
  EXPECT_TRUE(read_cursor_protobuf(field(2, with_condition(deep))).has_value());
  EXPECT_THAT(batch_problem(with_condition(field(3, deep))), HasSubstr(": is too deep"));
  for (int i = 0; i < 100'000 / 8; ++i) deep = field(3, deep);
  EXPECT_THAT(batch_problem(with_condition(deep)), HasSubstr(": is too deep"));
}

TEST(HranaProtobufReader, SurvivesTruncationAndDamage) {
  std::minstd_rand random(42);
  const std::string pipeline = from_hex(golden::kPipeline);
  for (std::size_t size = 0; size < pipeline.size(); ++size) {
    (void)read_pipeline_protobuf(std::string(pipeline.substr(0, size)));
  }
  EXPECT_THAT(pipeline_problem(pipeline.substr(0, pipeline.size() - 1)),
              StartsWith("the request is not Protobuf"));
  const std::string message = from_hex(golden::kOpenCursor);
  for (std::size_t size = 0; size < message.size(); ++size) {
    EXPECT_FALSE(read_client_message_protobuf(std::string(message.substr(0, size))).has_value());
  }
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = pipeline;
    for (int n = 0; n < 3; ++n) damaged[random() % damaged.size()] = static_cast<char>(random());
    (void)read_pipeline_protobuf(damaged);
    (void)read_cursor_protobuf(damaged);
    (void)read_client_message_protobuf(damaged);
  }
}

// What the writer makes.

/// Results that the goldens have inside others.
const std::string kSomeResult = from_hex("0a030a0161");
const std::string kSomeBatchResult = from_hex("120808ac0212030a016d");
const std::string kSomeDescription = from_hex("18012001");

class HranaProtobufWriter : public testing::Test {
 protected:
  std::unique_ptr<Writer> writer_ = protobuf_writer();
  const Encoded error_ = writer_->error({"m", "C"});
};

TEST_F(HranaProtobufWriter, WritesResultsWithEveryKindOfValue) {
  const std::byte blob[] = {std::byte{0}, std::byte{255}};
  writer_->begin_result(std::vector<SqlColumn>{{"a", "INTEGER"}, {"b", ""}});
  const std::size_t before = writer_->result_size();
  writer_->add_row(std::vector<SqlValueView>{
      SqlNull{}, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(),
      std::numeric_limits<double>::infinity(), -0.0, std::string_view("x\0\u00e9", 4),
      std::span<const std::byte>(blob), std::string_view(), std::span<const std::byte>()});
  EXPECT_GT(writer_->result_size(), before);
  // What is no UTF-8 is replaced, a NaN is NULL.
  writer_->add_row(std::vector<SqlValueView>{std::string_view("?\xff!"), std::nan("")});
  writer_->add_row({});
  const Encoded result = writer_->end_result({.affected_rows = UINT64_MAX,
                                              .last_insert_rowid = INT64_MIN,
                                              .replication_index = 300,
                                              .rows_read = 2,
                                              .rows_written = 1,
                                              .duration_ms = 0.5});
  EXPECT_EQ(to_hex(result),
            std::string(golden::kResult) + "28ac02" + "3002" + "3801" + "41000000000000e03f");
  EXPECT_EQ(writer_->result_size(), 0U);
}

TEST_F(HranaProtobufWriter, ForgetsADroppedResult) {
  const auto result = [this] {
    writer_->begin_result({});
    return writer_->end_result({});
  };
  const Encoded empty = result();
  writer_->begin_result(std::vector<SqlColumn>{{"a", ""}});
  writer_->drop_result();
  EXPECT_EQ(result(), empty);
}

TEST_F(HranaProtobufWriter, WritesLongRows) {
  const std::string text(300'000, 'x');
  const Encoded entry = writer_->row_entry(std::vector<SqlValueView>{std::string_view(text)});
  EXPECT_EQ(entry, field(4, field(1, field(4, text))));
}

TEST_F(HranaProtobufWriter, WritesResultsOfBatchesAndDescriptions) {
  const std::vector<std::optional<Encoded>> results = {from_hex("18012004"), {}, {}};
  const std::vector<std::optional<Encoded>> errors = {{}, error_, {}};
  EXPECT_EQ(to_hex(writer_->batch_result(results, errors)), golden::kBatchResult);
  const Description description = {{":a", std::nullopt}, {{"a", "TEXT"}, {"b", ""}}, true, true};
  EXPECT_EQ(to_hex(writer_->describe_result(description)), golden::kDescribeResult);
}

TEST_F(HranaProtobufWriter, WritesPipelineBodies) {
  const std::vector<Encoded> results = {
      writer_->result_ok(writer_->close_response()),
      writer_->result_ok(writer_->execute_response(kSomeResult)),
      writer_->result_ok(writer_->batch_response(kSomeBatchResult)),
      writer_->result_ok(writer_->sequence_response()),
      writer_->result_ok(writer_->describe_response(kSomeDescription)),
      writer_->result_ok(writer_->store_sql_response()),
      writer_->result_ok(writer_->close_sql_response()),
      writer_->result_ok(writer_->get_autocommit_response(true)),
      writer_->result_error(error_)};
  EXPECT_EQ(to_hex(writer_->pipeline_body("b2", "http://h", results)), golden::kPipelineBody);
  EXPECT_EQ(writer_->pipeline_body(std::nullopt, std::nullopt, {}), "");
}

TEST_F(HranaProtobufWriter, WritesCursors) {
  EXPECT_EQ(to_hex(writer_->cursor_head("b", std::nullopt)), "030a0162");
  EXPECT_EQ(writer_->cursor_line(std::string(300, 'x')), "\xac\x02" + std::string(300, 'x'));
  EXPECT_EQ(to_hex(writer_->step_begin_entry(300, std::vector<SqlColumn>{{"a", "INT"}})),
            golden::kStepBegin);
  EXPECT_EQ(to_hex(writer_->row_entry(std::vector<SqlValueView>{std::int64_t{1}})),
            golden::kRowEntry);
  EXPECT_EQ(to_hex(writer_->step_end_entry({.affected_rows = 3, .last_insert_rowid = -4})),
            golden::kStepEnd);
  EXPECT_EQ(to_hex(writer_->step_error_entry(2, error_)), golden::kStepError);
  EXPECT_EQ(to_hex(writer_->error_entry(error_)), golden::kErrorEntry);
}

TEST_F(HranaProtobufWriter, WritesMessagesOfASocket) {
  EXPECT_EQ(to_hex(writer_->hello_ok()), golden::kHelloOk);
  EXPECT_EQ(to_hex(writer_->hello_error(error_)), golden::kHelloError);
  EXPECT_EQ(to_hex(writer_->response_error(-1, error_)), golden::kResponseError);
  EXPECT_EQ(to_hex(writer_->open_stream_ok(5)), golden::kOpenStreamOk);
  EXPECT_EQ(to_hex(writer_->close_stream_ok(5)), golden::kCloseStreamOk);
  EXPECT_EQ(to_hex(writer_->open_cursor_ok(5)), golden::kOpenCursorOk);
  EXPECT_EQ(to_hex(writer_->close_cursor_ok(5)), golden::kCloseCursorOk);
  const std::vector<Encoded> entries = {writer_->row_entry({}), writer_->error_entry(error_)};
  EXPECT_EQ(to_hex(writer_->fetch_cursor_ok(5, entries, true)), golden::kFetchCursorOk);
}

TEST_F(HranaProtobufWriter, PutsAStreamsResponseUnderTheSocketsTag) {
  const auto ok = [this](const Encoded& response) {
    return to_hex(writer_->stream_response_ok(5, response));
  };
  EXPECT_EQ(ok(writer_->execute_response(kSomeResult)), golden::kExecuteOk);
  EXPECT_EQ(ok(writer_->batch_response(kSomeBatchResult)), golden::kBatchOk);
  EXPECT_EQ(ok(writer_->sequence_response()), golden::kSequenceOk);
  EXPECT_EQ(ok(writer_->describe_response(kSomeDescription)), golden::kDescribeOk);
  EXPECT_EQ(ok(writer_->store_sql_response()), golden::kStoreSqlOk);
  EXPECT_EQ(ok(writer_->close_sql_response()), golden::kCloseSqlOk);
  EXPECT_EQ(ok(writer_->get_autocommit_response(true)), golden::kGetAutocommitOk);
}

TEST(HranaProtobufReader, ReadsWhatJsonSays) {
  const auto json = read_pipeline_json(R"({"baton":"b1","requests":[
      {"type":"execute","stmt":{"sql":"SELECT ?","args":[{"type":"null"},
        {"type":"integer","value":"-9223372036854775808"},
        {"type":"integer","value":"9223372036854775807"},{"type":"float","value":-0.5},
        {"type":"text","value":"a\u0000\u00e9"},{"type":"blob","base64":"AP8="},
        {"type":"text","value":""}],
        "named_args":[{"name":":n","value":{"type":"integer","value":"0"}}],"want_rows":false}},
      {"type":"batch","batch":{"steps":[{"stmt":{"sql":"A"}},{"condition":{"type":"and","conds":[
        {"type":"ok","step":0},{"type":"not","cond":{"type":"error","step":0}},
        {"type":"or","conds":[]},{"type":"is_autocommit"}]},"stmt":{"sql_id":-1}}]}},
      {"type":"sequence","sql":"B; C"},{"type":"describe","sql_id":7},
      {"type":"store_sql","sql_id":7,"sql":"D"},{"type":"close_sql","sql_id":-2147483648},
      {"type":"get_autocommit"},{"type":"close"}]})",
                                       3);
  EXPECT_EQ(text_or_error(json),
            text_or_error(read_pipeline_protobuf(from_hex(golden::kPipeline))));
}

}  // namespace
}  // namespace walferry::net::hrana
