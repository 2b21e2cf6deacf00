#include <cassert>
#include <cmath>
#include <protozero/pbf_writer.hpp>
#include <protozero/varint.hpp>
#include <utility>

#include "net/hrana_writer.h"
#include "net/utf8_text.h"

namespace walferry::net::hrana {

namespace {

using protozero::pbf_writer;

// Tags of the specification's schema. Those below have a name where their number does not speak for
// itself.
constexpr std::uint32_t kRowsOfResult = 2;
constexpr std::uint32_t kValuesOfRow = 1;

enum StreamResponseTag : std::uint8_t {
  kCloseTag = 1,
  kExecuteTag,
  kBatchTag,
  kSequenceTag,
  kDescribeTag,
  kStoreSqlTag,
  kCloseSqlTag,
  kGetAutocommitTag,
};

/// The tags of the same responses among a WebSocket's; there is no close among them.
constexpr std::uint32_t kSocketTags[] = {0, 0, 4, 5, 9, 10, 11, 12, 13};

/// proto3 demands UTF-8 of its strings.
void add_text(pbf_writer& writer, std::uint32_t tag, std::string_view text) {
  if (is_utf8(text)) {
    writer.add_string(tag, text.data(), text.size());
  } else {
    writer.add_string(tag, repaired_utf8(text));
  }
}

void add_message(pbf_writer& writer, std::uint32_t tag, std::string_view message) {
  writer.add_message(tag, message.data(), message.size());
}

/// A message whose one field is a message.
Encoded wrapped(std::uint32_t tag, std::string_view message) {
  Encoded out;
  pbf_writer writer(out);
  out.reserve(message.size() + 16);
  add_message(writer, tag, message);
  return out;
}

std::size_t varint_size(std::uint64_t value) {
  return static_cast<std::size_t>(protozero::length_of_varint(value));
}

std::size_t delimited_size(std::size_t size) { return 1 + varint_size(size) + size; }

/// Of a Value message, its own tag and length not counted. Every tag here takes one byte.
std::size_t value_size(const SqlValueView& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    return 1 + varint_size(protozero::encode_zigzag64(*integer));
  }
  if (const auto* real = std::get_if<double>(&value)) return std::isnan(*real) ? 2 : 9;
  if (const auto* text = std::get_if<std::string_view>(&value)) return delimited_size(text->size());
  if (const auto* blob = std::get_if<std::span<const std::byte>>(&value)) {
    return delimited_size(blob->size());
  }
  return 2;
}

/// Text has to be UTF-8 by now. A NaN is NULL, as SQLite has it.
void add_value(pbf_writer& writer, const SqlValueView& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    writer.add_sint64(2, *integer);
  } else if (const auto* text = std::get_if<std::string_view>(&value)) {
    writer.add_string(4, text->data(), text->size());
  } else if (const auto* blob = std::get_if<std::span<const std::byte>>(&value)) {
    writer.add_bytes(5, reinterpret_cast<const char*>(blob->data()), blob->size());
  } else if (const auto* real = std::get_if<double>(&value);
             real != nullptr && !std::isnan(*real)) {
    writer.add_double(3, *real);
  } else {
    writer.add_message(1, "", 0);
  }
}

bool has_foreign_text(std::span<const SqlValueView> row) {
  for (const SqlValueView& value : row) {
    const auto* text = std::get_if<std::string_view>(&value);
    if (text != nullptr && !is_utf8(*text)) return true;
  }
  return false;
}

/// What precedes a message of a known size. protozero 1.7 can do the same only once in each
/// message.
void append_head(std::string& out, std::uint32_t tag, std::size_t size) {
  out += static_cast<char>(tag << 3 | 2);
  protozero::add_varint_to_buffer(&out, size);
}

void append_row(std::string& out, std::uint32_t tag, std::span<const SqlValueView> row);

/// Rare, and the only row that needs memory of its own.
void append_repaired_row(std::string& out, std::uint32_t tag, std::span<const SqlValueView> row) {
  std::vector<SqlValueView> repaired(row.begin(), row.end());
  std::vector<std::string> texts;
  texts.reserve(row.size());  // the views stay good
  for (SqlValueView& value : repaired) {
    const auto* text = std::get_if<std::string_view>(&value);
    if (text != nullptr) value = std::string_view(texts.emplace_back(repaired_utf8(*text)));
  }
  append_row(out, tag, repaired);
}

/// A Row. With sizes known beforehand, nothing is moved to make place for them.
void append_row(std::string& out, std::uint32_t tag, std::span<const SqlValueView> row) {
  if (has_foreign_text(row)) return append_repaired_row(out, tag, row);
  std::size_t size = 0;
  for (const SqlValueView& value : row) size += delimited_size(value_size(value));
  append_head(out, tag, size);
  pbf_writer writer(out);
  for (const SqlValueView& value : row) {
    append_head(out, kValuesOfRow, value_size(value));
    add_value(writer, value);
  }
}

/// Col and DescribeCol alike.
void add_columns(pbf_writer& writer, std::uint32_t tag, std::span<const SqlColumn> columns) {
  for (const SqlColumn& column : columns) {
    pbf_writer column_writer(writer, tag);
    add_text(column_writer, 1, column.name);
    if (!column.declared_type.empty()) add_text(column_writer, 2, column.declared_type);
  }
}

class ProtobufWriter final : public Writer {
 public:
  void begin_result(std::span<const SqlColumn> columns) override {
    result_.clear();
    pbf_writer writer(result_);
    add_columns(writer, 1, columns);
  }

  void add_row(std::span<const SqlValueView> row) override {
    append_row(result_, kRowsOfResult, row);
  }

  Encoded end_result(const StatementEnd& end) override {
    pbf_writer writer(result_);
    writer.add_uint64(3, end.affected_rows);
    writer.add_sint64(4, end.last_insert_rowid);
    // What follows is not in the specification's schema but in sqld's.
    if (end.replication_index) writer.add_uint64(5, *end.replication_index);
    writer.add_uint64(6, end.rows_read);
    writer.add_uint64(7, end.rows_written);
    writer.add_double(8, end.duration_ms);
    return std::exchange(result_, {});
  }

  [[nodiscard]] std::size_t result_size() const override { return result_.size(); }
  void drop_result() override { result_ = {}; }

  Encoded error(const SqlError& error) override {
    Encoded out;
    pbf_writer writer(out);
    add_text(writer, 1, error.message);
    if (!error.code.empty()) add_text(writer, 2, error.code);
    return out;
  }

  Encoded batch_result(std::span<const std::optional<Encoded>> results,
                       std::span<const std::optional<Encoded>> errors) override {
    assert(results.size() == errors.size());
    Encoded out;
    pbf_writer writer(out);
    add_steps(writer, 1, results);
    add_steps(writer, 2, errors);
    return out;
  }

  Encoded describe_result(const Description& description) override {
    Encoded out;
    pbf_writer writer(out);
    for (const std::optional<std::string>& name : description.parameters) {
      Encoded parameter;
      pbf_writer parameter_writer(parameter);
      if (name) add_text(parameter_writer, 1, *name);
      add_message(writer, 1, parameter);  // a pbf_writer of its own would drop an empty one
    }
    add_columns(writer, 2, description.columns);
    writer.add_bool(3, description.is_explain);
    writer.add_bool(4, description.is_readonly);
    return out;
  }

  Encoded close_response() override { return wrapped(kCloseTag, {}); }
  Encoded execute_response(const Encoded& result) override {
    return result_response(kExecuteTag, result);
  }
  Encoded batch_response(const Encoded& result) override {
    return result_response(kBatchTag, result);
  }
  Encoded sequence_response() override { return wrapped(kSequenceTag, {}); }
  Encoded describe_response(const Encoded& result) override {
    return result_response(kDescribeTag, result);
  }
  Encoded store_sql_response() override { return wrapped(kStoreSqlTag, {}); }
  Encoded close_sql_response() override { return wrapped(kCloseSqlTag, {}); }
  Encoded get_autocommit_response(bool is_autocommit) override {
    Encoded message;
    pbf_writer(message).add_bool(1, is_autocommit);
    return wrapped(kGetAutocommitTag, message);
  }

  Encoded result_ok(const Encoded& response) override { return wrapped(1, response); }
  Encoded result_error(const Encoded& error) override { return wrapped(2, error); }
  Encoded pipeline_body(const std::optional<std::string>& baton,
                        const std::optional<std::string>& base_url,
                        std::span<const Encoded> results) override {
    Encoded out = body_head(baton, base_url);
    pbf_writer writer(out);
    for (const Encoded& result : results) add_message(writer, 3, result);
    return out;
  }

  Encoded cursor_head(const std::optional<std::string>& baton,
                      const std::optional<std::string>& base_url) override {
    return cursor_line(body_head(baton, base_url));
  }
  Encoded cursor_line(const Encoded& entry) override {
    Encoded out;
    out.reserve(entry.size() + 5);
    protozero::add_varint_to_buffer(&out, entry.size());
    out += entry;
    return out;
  }

  Encoded step_begin_entry(std::uint32_t step, std::span<const SqlColumn> columns) override {
    Encoded out;
    pbf_writer writer(out);
    pbf_writer entry(writer, 1);
    entry.add_uint32(1, step);
    add_columns(entry, 2, columns);
    entry.commit();
    return out;
  }
  Encoded row_entry(std::span<const SqlValueView> row) override {
    Encoded out;
    append_row(out, 4, row);
    return out;
  }
  Encoded step_end_entry(const StatementEnd& end) override {
    Encoded message;
    pbf_writer writer(message);
    writer.add_uint64(1, end.affected_rows);
    writer.add_sint64(2, end.last_insert_rowid);
    return wrapped(2, message);
  }
  Encoded step_error_entry(std::uint32_t step, const Encoded& error) override {
    Encoded message;
    pbf_writer writer(message);
    writer.add_uint32(1, step);
    add_message(writer, 2, error);
    return wrapped(3, message);
  }
  Encoded error_entry(const Encoded& error) override { return wrapped(5, error); }

  Encoded hello_ok() override { return wrapped(1, {}); }
  Encoded hello_error(const Encoded& error) override { return wrapped(2, wrapped(1, error)); }
  Encoded response_error(std::int32_t request_id, const Encoded& error) override {
    Encoded message;
    pbf_writer writer(message);
    writer.add_int32(1, request_id);
    add_message(writer, 2, error);
    return wrapped(4, message);
  }
  Encoded open_stream_ok(std::int32_t request_id) override {
    return response_ok(request_id, 2, {});
  }
  Encoded close_stream_ok(std::int32_t request_id) override {
    return response_ok(request_id, 3, {});
  }
  Encoded open_cursor_ok(std::int32_t request_id) override {
    return response_ok(request_id, 6, {});
  }
  Encoded close_cursor_ok(std::int32_t request_id) override {
    return response_ok(request_id, 7, {});
  }
  Encoded fetch_cursor_ok(std::int32_t request_id, std::span<const Encoded> entries,
                          bool done) override {
    Encoded message;
    pbf_writer writer(message);
    for (const Encoded& entry : entries) add_message(writer, 1, entry);
    writer.add_bool(2, done);
    return response_ok(request_id, 8, message);
  }

  /// A StreamResponse is one field: its tag, its length, and a message that is the same among a
  /// WebSocket's responses, under another tag.
  Encoded stream_response_ok(std::int32_t request_id, const Encoded& response) override {
    const std::size_t stream_tag = static_cast<unsigned char>(response.front()) >> 3;
    assert(stream_tag > kCloseTag && stream_tag < std::size(kSocketTags));
    const char* message = response.data() + 1;
    const char* end = response.data() + response.size();
    const std::uint64_t size = protozero::decode_varint(&message, end);
    assert(size == static_cast<std::uint64_t>(end - message));
    return response_ok(request_id, kSocketTags[stream_tag], {message, size});
  }

 private:
  /// A map of what is there by its step.
  static void add_steps(pbf_writer& writer, std::uint32_t tag,
                        std::span<const std::optional<Encoded>> steps) {
    for (std::uint32_t step = 0; step < steps.size(); ++step) {
      if (!steps[step]) continue;
      pbf_writer entry(writer, tag);
      entry.add_uint32(1, step);
      add_message(entry, 2, *steps[step]);
    }
  }

  static Encoded result_response(std::uint32_t tag, const Encoded& result) {
    return wrapped(tag, wrapped(1, result));
  }

  static Encoded body_head(const std::optional<std::string>& baton,
                           const std::optional<std::string>& base_url) {
    Encoded out;
    pbf_writer writer(out);
    if (baton) add_text(writer, 1, *baton);
    if (base_url) add_text(writer, 2, *base_url);
    return out;
  }

  static Encoded response_ok(std::int32_t request_id, std::uint32_t tag,
                             std::string_view response) {
    Encoded message;
    message.reserve(response.size() + 24);
    pbf_writer writer(message);
    writer.add_int32(1, request_id);
    add_message(writer, tag, response);
    return wrapped(3, message);
  }

  std::string result_;
};

}  // namespace

std::unique_ptr<Writer> protobuf_writer() { return std::make_unique<ProtobufWriter>(); }

}  // namespace walferry::net::hrana
