/// What clients are told in Hrana. One interface, an implementation for JSON and one for Protobuf.
///
/// Results are encoded as they are made, row by row; a finished structure is a string that goes
/// into the structure around it. A writer has no state but the statement result under way, and is
/// used by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/sql_value.h"

namespace walferry::net::hrana {

struct StatementEnd {
  std::uint64_t affected_rows = 0;
  std::int64_t last_insert_rowid = 0;
  std::optional<std::uint64_t> replication_index = std::nullopt;
  std::uint64_t rows_read = 0;
  std::uint64_t rows_written = 0;
  double duration_ms = 0;
};

struct Description {
  std::vector<std::optional<std::string>> parameters;
  std::vector<SqlColumn> columns;
  bool is_explain = false;
  bool is_readonly = false;
};

/// A structure in the writer's encoding, to be put into another.
using Encoded = std::string;

class Writer {
 public:
  virtual ~Writer() = default;

  // A StmtResult: begin_result, add_row for each row, end_result.
  virtual void begin_result(std::span<const SqlColumn> columns) = 0;
  virtual void add_row(std::span<const SqlValueView> row) = 0;
  virtual Encoded end_result(const StatementEnd& end) = 0;
  /// Bytes of the result under way.
  [[nodiscard]] virtual std::size_t result_size() const = 0;
  /// Forgets the result under way: its statement failed.
  virtual void drop_result() = 0;

  virtual Encoded error(const SqlError& error) = 0;
  /// Both as long as the batch has steps; at most one of a pair is set.
  virtual Encoded batch_result(std::span<const std::optional<Encoded>> results,
                               std::span<const std::optional<Encoded>> errors) = 0;
  virtual Encoded describe_result(const Description& description) = 0;

  // StreamResponses; `result` is what the functions above made.
  virtual Encoded close_response() = 0;
  virtual Encoded execute_response(const Encoded& result) = 0;
  virtual Encoded batch_response(const Encoded& result) = 0;
  virtual Encoded sequence_response() = 0;
  virtual Encoded describe_response(const Encoded& result) = 0;
  virtual Encoded store_sql_response() = 0;
  virtual Encoded close_sql_response() = 0;
  virtual Encoded get_autocommit_response(bool is_autocommit) = 0;

  // StreamResults and the body around them.
  virtual Encoded result_ok(const Encoded& response) = 0;
  virtual Encoded result_error(const Encoded& error) = 0;
  virtual Encoded pipeline_body(const std::optional<std::string>& baton,
                                const std::optional<std::string>& base_url,
                                std::span<const Encoded> results) = 0;

  // A cursor's body over HTTP: each is a line of JSON, or a length-delimited message.
  virtual Encoded cursor_head(const std::optional<std::string>& baton,
                              const std::optional<std::string>& base_url) = 0;
  virtual Encoded cursor_line(const Encoded& entry) = 0;
  // CursorEntries.
  virtual Encoded step_begin_entry(std::uint32_t step, std::span<const SqlColumn> columns) = 0;
  virtual Encoded row_entry(std::span<const SqlValueView> row) = 0;
  virtual Encoded step_end_entry(const StatementEnd& end) = 0;
  virtual Encoded step_error_entry(std::uint32_t step, const Encoded& error) = 0;
  virtual Encoded error_entry(const Encoded& error) = 0;

  // Messages of a WebSocket. The kind of a response is what its request was.
  virtual Encoded hello_ok() = 0;
  virtual Encoded hello_error(const Encoded& error) = 0;
  virtual Encoded response_error(std::int32_t request_id, const Encoded& error) = 0;
  virtual Encoded open_stream_ok(std::int32_t request_id) = 0;
  virtual Encoded close_stream_ok(std::int32_t request_id) = 0;
  virtual Encoded open_cursor_ok(std::int32_t request_id) = 0;
  virtual Encoded close_cursor_ok(std::int32_t request_id) = 0;
  virtual Encoded fetch_cursor_ok(std::int32_t request_id, std::span<const Encoded> entries,
                                  bool done) = 0;
  /// For execute, batch, sequence, describe, store_sql, close_sql and get_autocommit: `response` is
  /// the StreamResponse, which says itself what it answers.
  virtual Encoded stream_response_ok(std::int32_t request_id, const Encoded& response) = 0;
};

/// `version` is 1, 2 or 3: what a field's introduction in a later one means for older clients.
std::unique_ptr<Writer> json_writer(int version);
std::unique_ptr<Writer> protobuf_writer();

/// The body that answers POST v1/execute and v1/batch, which JSON alone has.
Encoded json_v1_body(const Encoded& result);

}  // namespace walferry::net::hrana
