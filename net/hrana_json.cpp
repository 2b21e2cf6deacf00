#include "net/hrana_json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "net/base64.h"
#include "net/exact_json.h"
#include "net/request_place.h"

namespace walferry::net::hrana {

namespace json = boost::json;

namespace {

/// A condition is an object, or an object in an array; around them are the request's own levels.
constexpr std::size_t kMaxJsonDepth = 2 * kMaxConditionDepth + 16;

/// How much of a foreign text a message repeats.
constexpr std::size_t kMaxQuoted = 60;

std::string quoted(std::string_view text) {
  return '"' + std::string(text.substr(0, kMaxQuoted)) +
         (text.size() > kMaxQuoted ? "...\"" : "\"");
}

struct RequestKind {
  std::string_view name;
  int since_version;
};
constexpr std::array kPipelineRequests = {
    RequestKind{"close", 2},     RequestKind{"execute", 2},       RequestKind{"batch", 2},
    RequestKind{"sequence", 2},  RequestKind{"describe", 2},      RequestKind{"store_sql", 2},
    RequestKind{"close_sql", 2}, RequestKind{"get_autocommit", 3}};
constexpr std::array kSocketRequests = {
    RequestKind{"open_stream", 1},  RequestKind{"close_stream", 1},
    RequestKind{"execute", 1},      RequestKind{"batch", 1},
    RequestKind{"open_cursor", 3},  RequestKind{"close_cursor", 3},
    RequestKind{"fetch_cursor", 3}, RequestKind{"sequence", 2},
    RequestKind{"describe", 2},     RequestKind{"store_sql", 2},
    RequestKind{"close_sql", 2},    RequestKind{"get_autocommit", 3}};

/// A part of the request and where it is.
struct Node {
  const json::value* value = nullptr;  ///< nullptr: missing
  Place place;

  [[nodiscard]] bool is_given() const { return value != nullptr && !value->is_null(); }
  /// The result must not outlive this node. Of what is no object, each member is missing.
  [[nodiscard]] Node operator[](std::string_view name) const {
    const json::object* object = value == nullptr ? nullptr : value->if_object();
    return {object == nullptr ? nullptr : object->if_contains(name), {&place, name}};
  }
};

class JsonReader {
 public:
  explicit JsonReader(int version) : version_(version) {}

  template <class T>
  Result<T> result(T value) const {
    return problem_.or_value(std::move(value));
  }

  PipelineRequest pipeline(const Node& body) {
    expect_object(body);
    PipelineRequest pipeline;
    pipeline.baton = optional_text(body["baton"]);
    each(body["requests"],
         [&](const Node& node) { pipeline.requests.push_back(pipeline_request(node)); });
    return pipeline;
  }

  CursorRequest cursor(const Node& body) {
    expect_object(body);
    return {optional_text(body["baton"]), batch(body["batch"])};
  }

  Statement statement(const Node& node) {
    expect_object(node);
    Statement statement;
    statement.source = source(node);
    if (const Node args = node["args"]; args.is_given()) {
      each(args, [&](const Node& arg) { statement.args.push_back(value(arg)); });
    }
    if (const Node args = node["named_args"]; args.is_given()) {
      each(args, [&](const Node& arg) {
        expect_object(arg);
        std::string name = text(arg["name"]);
        statement.named_args.emplace_back(std::move(name), value(arg["value"]));
      });
    }
    if (const Node want_rows = node["want_rows"]; want_rows.is_given()) {
      statement.want_rows = boolean(want_rows);
    }
    return statement;
  }

  Batch batch(const Node& node) {
    expect_object(node);
    Batch batch;
    each(node["steps"], [&](const Node& step_node) {
      expect_object(step_node);
      BatchStep step;
      if (const Node given = step_node["condition"]; given.is_given()) {
        step.condition = condition(given, batch.steps.size(), 1);
      }
      step.statement = statement(step_node["stmt"]);
      batch.steps.push_back(std::move(step));
    });
    return batch;
  }

  ClientMessage client_message(const Node& message) {
    expect_object(message);
    const std::string_view type = text_view(message["type"]);
    if (type == "hello") return Hello{optional_text(message["jwt"])};
    if (type != "request") problem_.note(message["type"].place, "is neither hello nor request");
    SocketRequest request;
    request.request_id = int32(message["request_id"]);
    socket_request(message["request"], request);
    return request;
  }

 private:
  void expect_object(const Node& node) {
    if (node.value == nullptr) {
      problem_.note(node.place, "is missing");
    } else if (!node.value->is_object()) {
      problem_.note(node.place, "is not an object");
    }
  }

  /// Calls `read` for each element of an array.
  template <class Read>
  void each(const Node& node, Read read) {
    const json::array* array = node.value == nullptr ? nullptr : node.value->if_array();
    if (array == nullptr) return wrong(node, "an array");
    for (std::size_t i = 0; i < array->size() && !problem_.found(); ++i) {
      read(Node{&(*array)[i], {node.place.outer, node.place.name, i}});
    }
  }

  std::string_view text_view(const Node& node) {
    const json::string* string = node.value == nullptr ? nullptr : node.value->if_string();
    if (string == nullptr) return wrong(node, "a string"), std::string_view();
    return {string->data(), string->size()};
  }
  std::string text(const Node& node) { return std::string(text_view(node)); }
  std::optional<std::string> optional_text(const Node& node) {
    if (!node.is_given()) return std::nullopt;
    return text(node);
  }

  bool boolean(const Node& node) {
    const bool* given = node.value == nullptr ? nullptr : node.value->if_bool();
    if (given == nullptr) return wrong(node, "true or false"), false;
    return *given;
  }

  template <class Integer>
  Integer integer(const Node& node, std::string_view what) {
    // Boost.JSON makes an int64 of whatever fits in one.
    const std::int64_t* given = node.value == nullptr ? nullptr : node.value->if_int64();
    if (given == nullptr || !std::in_range<Integer>(*given)) return wrong(node, what), Integer{};
    return static_cast<Integer>(*given);
  }
  std::int32_t int32(const Node& node) { return integer<std::int32_t>(node, "a 32-bit integer"); }
  std::uint32_t uint32(const Node& node) {
    return integer<std::uint32_t>(node, "an unsigned 32-bit integer");
  }

  void wrong(const Node& node, std::string_view expected) {
    problem_.note(node.place,
                  node.value == nullptr ? "is missing" : "is not " + std::string(expected));
  }

  SqlValue value(const Node& node) {
    expect_object(node);
    const std::string_view type = text_view(node["type"]);
    if (type == "null") return SqlNull{};
    if (type == "integer") return integer_value(node["value"]);
    if (type == "float") return float_value(node["value"]);
    if (type == "text") return text(node["value"]);
    if (type == "blob") return blob(node["base64"]);
    problem_.note(node["type"].place, quoted(type) + " is no type of value");
    return SqlNull{};
  }

  /// A string, because JavaScript would round a number.
  SqlValue integer_value(const Node& node) {
    const std::string_view digits = text_view(node);
    std::int64_t value = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) {
      problem_.note(node.place, quoted(digits) + " is not a 64-bit integer");
    }
    return value;
  }

  SqlValue float_value(const Node& node) {
    if (node.value == nullptr || !node.value->is_number())
      return wrong(node, "a number"), SqlNull{};
    if (const double* given = node.value->if_double()) return *given;
    // Rounds to the nearest.
    if (const std::int64_t* given = node.value->if_int64()) return static_cast<double>(*given);
    return static_cast<double>(node.value->get_uint64());
  }

  SqlValue blob(const Node& node) {
    std::optional<SqlBlob> bytes = decode_base64(text_view(node));
    if (!bytes) return problem_.note(node.place, "is not base64"), SqlNull{};
    return std::move(*bytes);
  }

  SqlSource source(const Node& node) {
    SqlSource source;
    source.sql = optional_text(node["sql"]);
    if (const Node sql_id = node["sql_id"]; sql_id.is_given()) {
      if (version_ < 2) problem_.note(sql_id.place, "needs Hrana 2");
      source.sql_id = int32(sql_id);
    }
    if (source.sql.has_value() == source.sql_id.has_value()) {
      problem_.note(node.place, "exactly one of sql and sql_id is needed");
    }
    return source;
  }

  /// `step` is the step that it belongs to.
  Condition condition(const Node& node, std::size_t step, std::size_t depth) {
    Condition condition;
    if (depth > kMaxConditionDepth) return problem_.note(node.place, "is too deep"), condition;
    expect_object(node);
    using Kind = Condition::Kind;
    const std::string_view type = text_view(node["type"]);
    const auto read_inner = [&](const Node& inner) {
      condition.conditions.push_back(this->condition(inner, step, depth + 1));
    };
    if (type == "ok" || type == "error") {
      condition.kind = type == "ok" ? Kind::kOk : Kind::kError;
      const Node other = node["step"];
      condition.step = uint32(other);
      if (condition.step >= step) problem_.note(other.place, "is not an earlier step");
    } else if (type == "not") {
      condition.kind = Kind::kNot;
      read_inner(node["cond"]);
    } else if (type == "and" || type == "or") {
      condition.kind = type == "and" ? Kind::kAnd : Kind::kOr;
      each(node["conds"], read_inner);
    } else if (type == "is_autocommit") {
      condition.kind = Kind::kIsAutocommit;
      if (version_ < 3) problem_.note(node["type"].place, "is_autocommit needs Hrana 3");
    } else {
      problem_.note(node["type"].place, quoted(type) + " is no type of condition");
    }
    return condition;
  }

  /// The request's type, if it is one of `kinds` and this version has it; otherwise "".
  std::string_view request_type(const Node& node, std::span<const RequestKind> kinds) {
    expect_object(node);
    const std::string_view type = text_view(node["type"]);
    const auto kind = std::ranges::find(kinds, type, &RequestKind::name);
    if (kind == kinds.end()) {
      problem_.note(node["type"].place, quoted(type) + " is no type of request");
      return {};
    }
    if (version_ < kind->since_version) {
      problem_.note(node["type"].place,
                    std::string(type) + " needs Hrana " + std::to_string(kind->since_version));
      return {};
    }
    return type;
  }

  /// What both variants have on a stream.
  StreamRequest stream_request(const Node& node, std::string_view type) {
    if (type == "execute") return Execute{statement(node["stmt"])};
    if (type == "batch") return RunBatch{batch(node["batch"])};
    if (type == "sequence") return Sequence{source(node)};
    if (type == "describe") return Describe{source(node)};
    return GetAutocommit{};
  }
  StoreSql store_sql(const Node& node) { return {int32(node["sql_id"]), text(node["sql"])}; }
  CloseSql close_sql(const Node& node) { return {int32(node["sql_id"])}; }

  StreamRequest pipeline_request(const Node& node) {
    const std::string_view type = request_type(node, kPipelineRequests);
    if (type.empty() || type == "close") return Close{};
    if (type == "store_sql") return store_sql(node);
    if (type == "close_sql") return close_sql(node);
    return stream_request(node, type);
  }

  void socket_request(const Node& node, SocketRequest& to) {
    const std::string_view type = request_type(node, kSocketRequests);
    if (type.empty()) return;
    if (type == "store_sql") {
      to.request = store_sql(node);
    } else if (type == "close_sql") {
      to.request = close_sql(node);
    } else if (type == "open_stream") {
      to.request = OpenStream{int32(node["stream_id"])};
    } else if (type == "close_stream") {
      to.request = CloseStream{int32(node["stream_id"])};
    } else if (type == "open_cursor") {
      to.request =
          OpenCursor{int32(node["stream_id"]), int32(node["cursor_id"]), batch(node["batch"])};
    } else if (type == "close_cursor") {
      to.request = CloseCursor{int32(node["cursor_id"])};
    } else if (type == "fetch_cursor") {
      to.request = FetchCursor{int32(node["cursor_id"]), uint32(node["max_count"])};
    } else {
      to.request = OnStream{int32(node["stream_id"]), stream_request(node, type)};
    }
  }

  int version_;
  FirstProblem problem_;
};

/// Parses a document that lives no longer than `read` looks at it. Its parts are released at once.
template <class Read>
auto read_document(std::string_view text, int version, Read read)
    -> Result<decltype(read(std::declval<JsonReader&>(), std::declval<const Node&>()))> {
  unsigned char buffer[4096];
  json::monotonic_resource memory(buffer, sizeof buffer);
  const Result<json::value> document = parse_json(text, kMaxJsonDepth, &memory);
  if (!document) return fail(document.error());
  JsonReader reader(version);
  auto value = read(reader, Node{&*document, {}});
  return reader.result(std::move(value));
}

}  // namespace

Result<PipelineRequest> read_pipeline_json(std::string_view text, int version) {
  return read_document(text, version,
                       [](JsonReader& reader, const Node& node) { return reader.pipeline(node); });
}

Result<CursorRequest> read_cursor_json(std::string_view text) {
  return read_document(text, 3,
                       [](JsonReader& reader, const Node& node) { return reader.cursor(node); });
}

Result<Statement> read_execute_v1_json(std::string_view text) {
  return read_document(
      text, 1, [](JsonReader& reader, const Node& node) { return reader.statement(node["stmt"]); });
}

Result<Batch> read_batch_v1_json(std::string_view text) {
  return read_document(
      text, 1, [](JsonReader& reader, const Node& node) { return reader.batch(node["batch"]); });
}

Result<ClientMessage> read_client_message_json(std::string_view text, int version) {
  return read_document(text, version, [](JsonReader& reader, const Node& node) {
    return reader.client_message(node);
  });
}

}  // namespace walferry::net::hrana
