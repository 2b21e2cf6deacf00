#include <cassert>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "net/base64.h"
#include "net/hrana_writer.h"
#include "net/json_text.h"

namespace walferry::net::hrana {

namespace {

void append_bool(std::string& out, bool value) { out += value ? "true" : "false"; }

void append_optional_string(std::string& out, const std::optional<std::string>& text) {
  if (text) {
    append_json_string(out, *text);
  } else {
    out += "null";
  }
}

/// `{"type":"integer","value":"5"}`, in one piece: results are mostly such values.
void append_integer_value(std::string& out, std::int64_t value) {
  constexpr std::string_view kBefore = R"({"type":"integer","value":")";
  constexpr std::string_view kAfter = R"("})";
  char buffer[kBefore.size() + 20 + kAfter.size()];
  std::memcpy(buffer, kBefore.data(), kBefore.size());
  char* end = std::to_chars(buffer + kBefore.size(), buffer + sizeof buffer, value).ptr;
  std::memcpy(end, kAfter.data(), kAfter.size());
  out.append(buffer, static_cast<std::size_t>(end - buffer) + kAfter.size());
}

/// A NaN is NULL, as SQLite has it; infinities are 1e999 and -1e999. The reference, sqld, writes
/// null as the value of all three, and every client that expects a number there fails: JavaScript
/// reads ours as infinities.
void append_value(std::string& out, const SqlValueView& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    append_integer_value(out, *integer);
  } else if (const auto* text = std::get_if<std::string_view>(&value)) {
    out += R"({"type":"text","value":)";
    append_json_string(out, *text);
    out += '}';
  } else if (const auto* blob = std::get_if<std::span<const std::byte>>(&value)) {
    out += R"({"type":"blob","base64":")";
    append_base64(out, *blob);
    out += R"("})";
  } else if (const auto* real = std::get_if<double>(&value);
             real != nullptr && !std::isnan(*real)) {
    out += R"({"type":"float","value":)";
    append_json_float(out, *real);
    out += '}';
  } else {
    out += R"({"type":"null"})";
  }
}

/// An array of what `append` writes for each of `elements`.
template <class Elements, class Append>
void append_array(std::string& out, const Elements& elements, Append append) {
  out += '[';
  bool first = true;
  for (const auto& element : elements) {
    if (!first) out += ',';
    first = false;
    append(element);
  }
  out += ']';
}

void append_row(std::string& out, std::span<const SqlValueView> row) {
  append_array(out, row, [&](const SqlValueView& value) { append_value(out, value); });
}

/// What ends a statement's result and a cursor's step_end alike.
void append_changes(std::string& out, const StatementEnd& end) {
  out += R"("affected_row_count":)";
  append_json_integer(out, end.affected_rows);
  out += R"(,"last_insert_rowid":")";
  append_json_integer(out, end.last_insert_rowid);
  out += '"';
}

class JsonWriter final : public Writer {
 public:
  explicit JsonWriter(int version) : version_(version) { assert(version >= 1 && version <= 3); }

  void begin_result(std::span<const SqlColumn> columns) override {
    result_.clear();
    result_ += R"({"cols":)";
    append_columns(result_, columns);
    result_ += R"(,"rows":[)";
    rows_begin_ = result_.size();
  }

  void add_row(std::span<const SqlValueView> row) override {
    if (result_.size() != rows_begin_) result_ += ',';
    append_row(result_, row);
  }

  Encoded end_result(const StatementEnd& end) override {
    result_ += "],";
    append_changes(result_, end);
    if (version_ >= 2) {
      // A string, as it may exceed what JavaScript counts exactly.
      if (end.replication_index) {
        result_ += R"(,"replication_index":")";
        append_json_integer(result_, *end.replication_index);
        result_ += '"';
      }
      result_ += R"(,"rows_read":)";
      append_json_integer(result_, end.rows_read);
      result_ += R"(,"rows_written":)";
      append_json_integer(result_, end.rows_written);
      result_ += R"(,"query_duration_ms":)";
      append_json_float(result_, end.duration_ms);
    }
    result_ += '}';
    return std::exchange(result_, {});
  }

  [[nodiscard]] std::size_t result_size() const override { return result_.size(); }
  void drop_result() override { result_ = {}; }

  /// The code is always there: sqld's clients insist on it.
  Encoded error(const SqlError& error) override {
    Encoded out = R"({"message":)";
    append_json_string(out, error.message);
    out += R"(,"code":)";
    append_json_string(out, error.code);
    if (!error.extended_code.empty()) {
      out += R"(,"extended_code":)";
      append_json_string(out, error.extended_code);
    }
    out += '}';
    return out;
  }

  Encoded batch_result(std::span<const std::optional<Encoded>> results,
                       std::span<const std::optional<Encoded>> errors) override {
    assert(results.size() == errors.size());
    Encoded out;
    const auto append = [&out](const std::optional<Encoded>& encoded) {
      out += encoded ? std::string_view(*encoded) : "null";
    };
    out += R"({"step_results":)";
    append_array(out, results, append);
    out += R"(,"step_errors":)";
    append_array(out, errors, append);
    out += '}';
    return out;
  }

  Encoded describe_result(const Description& description) override {
    Encoded out = R"({"params":)";
    append_array(out, description.parameters, [&](const std::optional<std::string>& name) {
      out += R"({"name":)";
      append_optional_string(out, name);
      out += '}';
    });
    out += R"(,"cols":)";
    append_columns(out, description.columns);
    out += R"(,"is_explain":)";
    append_bool(out, description.is_explain);
    out += R"(,"is_readonly":)";
    append_bool(out, description.is_readonly);
    out += '}';
    return out;
  }

  Encoded close_response() override { return R"({"type":"close"})"; }
  Encoded execute_response(const Encoded& result) override {
    return wrapped(R"({"type":"execute","result":)", result, "}");
  }
  Encoded batch_response(const Encoded& result) override {
    return wrapped(R"({"type":"batch","result":)", result, "}");
  }
  Encoded sequence_response() override { return R"({"type":"sequence"})"; }
  Encoded describe_response(const Encoded& result) override {
    return wrapped(R"({"type":"describe","result":)", result, "}");
  }
  Encoded store_sql_response() override { return R"({"type":"store_sql"})"; }
  Encoded close_sql_response() override { return R"({"type":"close_sql"})"; }
  Encoded get_autocommit_response(bool is_autocommit) override {
    return wrapped(R"({"type":"get_autocommit","is_autocommit":)", is_autocommit ? "true" : "false",
                   "}");
  }

  Encoded result_ok(const Encoded& response) override {
    return wrapped(R"({"type":"ok","response":)", response, "}");
  }
  Encoded result_error(const Encoded& error) override {
    return wrapped(R"({"type":"error","error":)", error, "}");
  }
  Encoded pipeline_body(const std::optional<std::string>& baton,
                        const std::optional<std::string>& base_url,
                        std::span<const Encoded> results) override {
    Encoded out = body_head(baton, base_url);
    out += R"(,"results":)";
    append_array(out, results, [&](const Encoded& result) { out += result; });
    out += '}';
    return out;
  }

  Encoded cursor_head(const std::optional<std::string>& baton,
                      const std::optional<std::string>& base_url) override {
    return body_head(baton, base_url) + "}\n";
  }
  Encoded cursor_line(const Encoded& entry) override { return wrapped("", entry, "\n"); }

  Encoded step_begin_entry(std::uint32_t step, std::span<const SqlColumn> columns) override {
    Encoded out = R"({"type":"step_begin","step":)";
    append_json_integer(out, std::uint64_t{step});
    out += R"(,"cols":)";
    append_columns(out, columns);
    out += '}';
    return out;
  }
  Encoded row_entry(std::span<const SqlValueView> row) override {
    Encoded out = R"({"type":"row","row":)";
    append_row(out, row);
    out += '}';
    return out;
  }
  Encoded step_end_entry(const StatementEnd& end) override {
    Encoded out = R"({"type":"step_end",)";
    append_changes(out, end);
    out += '}';
    return out;
  }
  Encoded step_error_entry(std::uint32_t step, const Encoded& error) override {
    Encoded out = R"({"type":"step_error","step":)";
    append_json_integer(out, std::uint64_t{step});
    out += R"(,"error":)";
    out += error;
    out += '}';
    return out;
  }
  Encoded error_entry(const Encoded& error) override { return result_error(error); }

  Encoded hello_ok() override { return R"({"type":"hello_ok"})"; }
  Encoded hello_error(const Encoded& error) override {
    return wrapped(R"({"type":"hello_error","error":)", error, "}");
  }
  Encoded response_error(std::int32_t request_id, const Encoded& error) override {
    Encoded out = R"({"type":"response_error","request_id":)";
    append_json_integer(out, std::int64_t{request_id});
    out += R"(,"error":)";
    out += error;
    out += '}';
    return out;
  }
  Encoded open_stream_ok(std::int32_t request_id) override {
    return stream_response_ok(request_id, R"({"type":"open_stream"})");
  }
  Encoded close_stream_ok(std::int32_t request_id) override {
    return stream_response_ok(request_id, R"({"type":"close_stream"})");
  }
  Encoded open_cursor_ok(std::int32_t request_id) override {
    return stream_response_ok(request_id, R"({"type":"open_cursor"})");
  }
  Encoded close_cursor_ok(std::int32_t request_id) override {
    return stream_response_ok(request_id, R"({"type":"close_cursor"})");
  }
  Encoded fetch_cursor_ok(std::int32_t request_id, std::span<const Encoded> entries,
                          bool done) override {
    Encoded response = R"({"type":"fetch_cursor","entries":)";
    append_array(response, entries, [&](const Encoded& entry) { response += entry; });
    response += R"(,"done":)";
    append_bool(response, done);
    response += '}';
    return stream_response_ok(request_id, response);
  }
  Encoded stream_response_ok(std::int32_t request_id, const Encoded& response) override {
    Encoded out = R"({"type":"response_ok","request_id":)";
    out.reserve(out.size() + response.size() + 32);
    append_json_integer(out, std::int64_t{request_id});
    out += R"(,"response":)";
    out += response;
    out += '}';
    return out;
  }

 private:
  void append_columns(std::string& out, std::span<const SqlColumn> columns) const {
    append_array(out, columns, [&](const SqlColumn& column) {
      out += R"({"name":)";
      append_json_string(out, column.name);
      if (version_ >= 2) {
        out += R"(,"decltype":)";
        if (column.declared_type.empty()) {
          out += "null";
        } else {
          append_json_string(out, column.declared_type);
        }
      }
      out += '}';
    });
  }

  static Encoded wrapped(std::string_view before, std::string_view inner, std::string_view after) {
    Encoded out;
    out.reserve(before.size() + inner.size() + after.size());
    out += before;
    out += inner;
    out += after;
    return out;
  }

  /// Without the brace that ends it.
  static Encoded body_head(const std::optional<std::string>& baton,
                           const std::optional<std::string>& base_url) {
    Encoded out = R"({"baton":)";
    append_optional_string(out, baton);
    out += R"(,"base_url":)";
    append_optional_string(out, base_url);
    return out;
  }

  int version_;
  std::string result_;
  std::size_t rows_begin_ = 0;
};

}  // namespace

std::unique_ptr<Writer> json_writer(int version) { return std::make_unique<JsonWriter>(version); }

Encoded json_v1_body(const Encoded& result) { return R"({"result":)" + result + '}'; }

}  // namespace walferry::net::hrana
