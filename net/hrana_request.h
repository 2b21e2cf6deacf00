/// What clients ask for in Hrana, in one form for all versions and encodings.
///
/// Source: docs/HRANA_1_SPEC.md, HRANA_2_SPEC.md and HRANA_3_SPEC.md of tursodatabase/libsql. The
/// readers that make these of JSON and Protobuf are in hrana_json.h and hrana_protobuf.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "net/sql_value.h"

namespace walferry::net::hrana {

/// SQL as text or as the id of a text that was stored before. Exactly one is set.
struct SqlSource {
  std::optional<std::string> sql;
  std::optional<std::int32_t> sql_id;
};

struct Statement {
  SqlSource source;
  std::vector<SqlValue> args;
  std::vector<std::pair<std::string, SqlValue>> named_args;
  bool want_rows = true;
};

/// How deep the readers let conditions be nested in each other.
inline constexpr std::size_t kMaxConditionDepth = 64;

/// When a step of a batch is to run.
struct Condition {
  enum class Kind { kOk, kError, kNot, kAnd, kOr, kIsAutocommit };
  Kind kind = Kind::kOk;
  std::uint32_t step = 0;             ///< of kOk and kError: an earlier step
  std::vector<Condition> conditions;  ///< of kNot (exactly one), kAnd and kOr (any number)
};

struct BatchStep {
  std::optional<Condition> condition;
  Statement statement;
};

struct Batch {
  std::vector<BatchStep> steps;
};

// The requests on a stream.
struct Close {};
struct Execute {
  Statement statement;
};
struct RunBatch {
  Batch batch;
};
struct Sequence {
  SqlSource source;
};
struct Describe {
  SqlSource source;
};
struct StoreSql {
  std::int32_t sql_id = 0;
  std::string sql;
};
struct CloseSql {
  std::int32_t sql_id = 0;
};
struct GetAutocommit {};

using StreamRequest =
    std::variant<Close, Execute, RunBatch, Sequence, Describe, StoreSql, CloseSql, GetAutocommit>;

/// The body of POST v2/pipeline, v3/pipeline and v3-protobuf/pipeline.
struct PipelineRequest {
  std::optional<std::string> baton;
  std::vector<StreamRequest> requests;
};

/// The body of POST v3/cursor and v3-protobuf/cursor.
struct CursorRequest {
  std::optional<std::string> baton;
  Batch batch;
};

// What only WebSockets have, where many streams share a connection.
struct OpenStream {
  std::int32_t stream_id = 0;
};
struct CloseStream {
  std::int32_t stream_id = 0;
};
struct OpenCursor {
  std::int32_t stream_id = 0;
  std::int32_t cursor_id = 0;
  Batch batch;
};
struct CloseCursor {
  std::int32_t cursor_id = 0;
};
struct FetchCursor {
  std::int32_t cursor_id = 0;
  std::uint32_t max_count = 0;
};
/// A request on one of the connection's streams (never Close, StoreSql or CloseSql: the texts
/// belong to the connection).
struct OnStream {
  std::int32_t stream_id = 0;
  StreamRequest request;
};

struct Hello {
  std::optional<std::string> token;
};
struct SocketRequest {
  std::int32_t request_id = 0;
  std::variant<OpenStream, CloseStream, OpenCursor, CloseCursor, FetchCursor, OnStream, StoreSql,
               CloseSql>
      request;
};
using ClientMessage = std::variant<Hello, SocketRequest>;

}  // namespace walferry::net::hrana
