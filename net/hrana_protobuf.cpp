#include "net/hrana_protobuf.h"

#include <protozero/exception.hpp>

#include "net/hrana_protobuf_statement.h"

namespace walferry::net::hrana {

namespace {

/// The requests, and the bodies and messages that they come in: see read_message().
class ProtobufReader : private ProtobufStatementReader {
 public:
  template <class T>
  Result<T> result(T value) const {
    return problem_.or_value(std::move(value));
  }

  PipelineRequest pipeline(pbf_reader message, const Place& place) {
    PipelineRequest pipeline;
    while (next(message)) {
      if (message.tag_and_type() == length_delimited(1)) {
        pipeline.baton = text(message, {&place, "baton"});
      } else if (message.tag_and_type() == length_delimited(2)) {
        const Place at{&place, "requests", pipeline.requests.size()};
        pipeline.requests.push_back(pipeline_request(message.get_message(), at));
      } else {
        message.skip();
      }
    }
    return pipeline;
  }

  CursorRequest cursor(pbf_reader message, const Place& place) {
    CursorRequest cursor;
    const Place batch_place{&place, "batch"};
    Once has_batch;
    while (next(message)) {
      if (message.tag_and_type() == length_delimited(1)) {
        cursor.baton = text(message, {&place, "baton"});
      } else if (message.tag_and_type() == length_delimited(2)) {
        set(has_batch, batch_place);
        cursor.batch = batch(message.get_message(), batch_place);
      } else {
        message.skip();
      }
    }
    require(has_batch, batch_place);
    return cursor;
  }

  ClientMessage client_message(pbf_reader message, const Place& place) {
    ClientMessage to;
    Once kind;
    while (next(message)) {
      if (message.tag_and_type() == length_delimited(1)) {
        set(kind, place);
        to = hello(message.get_message(), {&place, "hello"});
      } else if (message.tag_and_type() == length_delimited(2)) {
        set(kind, place);
        to = socket_message(message.get_message(), place);
      } else {
        message.skip();
      }
    }
    if (!kind.is_set) problem_.note(place, "is neither hello nor request");
    return to;
  }

 private:
  /// The fields of every request there is. Each message has its own tags for them, and only some.
  struct Fields {
    std::int32_t stream_id = 0;
    std::int32_t cursor_id = 0;
    std::uint32_t max_count = 0;
    SqlSource source;
    std::optional<Statement> statement;
    std::optional<Batch> batch;
  };
  /// Tags, with 0 for a field that the message does not have.
  struct Tags {
    std::uint32_t stream_id = 0;
    std::uint32_t cursor_id = 0;
    std::uint32_t max_count = 0;
    std::uint32_t sql = 0;
    std::uint32_t sql_id = 0;
    std::uint32_t statement = 0;
    std::uint32_t batch = 0;
  };

  Fields fields(pbf_reader message, const Place& place, const Tags& tags) {
    Fields fields;
    while (next(message)) {
      const std::uint32_t field = message.tag_and_type();
      if (field == varint(tags.stream_id)) {
        fields.stream_id = message.get_int32();
      } else if (field == varint(tags.cursor_id)) {
        fields.cursor_id = message.get_int32();
      } else if (field == varint(tags.max_count)) {
        fields.max_count = message.get_uint32();
      } else if (field == length_delimited(tags.sql)) {
        fields.source.sql = text(message, {&place, "sql"});
      } else if (field == varint(tags.sql_id)) {
        fields.source.sql_id = message.get_int32();
      } else if (field == length_delimited(tags.statement)) {
        const Place at{&place, "stmt"};
        if (fields.statement) problem_.note(at, "is there twice");
        fields.statement = statement(message.get_message(), at);
      } else if (field == length_delimited(tags.batch)) {
        const Place at{&place, "batch"};
        if (fields.batch) problem_.note(at, "is there twice");
        fields.batch = batch(message.get_message(), at);
      } else {
        message.skip();
      }
    }
    if (tags.statement != 0 && !fields.statement) problem_.note({&place, "stmt"}, "is missing");
    if (tags.batch != 0 && !fields.batch) problem_.note({&place, "batch"}, "is missing");
    return fields;
  }

  enum class Of { kExecute, kBatch, kSequence, kDescribe, kGetAutocommit };

  /// What both variants have on a stream. WebSockets' messages begin with the stream's id, which
  /// moves the other tags by one: `first` is that of the first field after it.
  OnStream stream_request(pbf_reader message, const Place& place, Of of, std::uint32_t first) {
    Tags tags{.stream_id = first - 1};
    if (of == Of::kExecute) tags.statement = first;
    if (of == Of::kBatch) tags.batch = first;
    const bool has_source = of == Of::kSequence || of == Of::kDescribe;
    if (has_source) {
      tags.sql = first;
      tags.sql_id = first + 1;
    }
    Fields read = fields(message, place, tags);
    if (has_source) require_one_source(read.source, place);
    OnStream to{read.stream_id, GetAutocommit{}};
    if (of == Of::kExecute && read.statement) to.request = Execute{std::move(*read.statement)};
    if (of == Of::kBatch && read.batch) to.request = RunBatch{std::move(*read.batch)};
    if (of == Of::kSequence) to.request = Sequence{std::move(read.source)};
    if (of == Of::kDescribe) to.request = Describe{std::move(read.source)};
    return to;
  }

  StoreSql store_sql(pbf_reader message, const Place& place) {
    Fields read = fields(message, place, {.sql = 2, .sql_id = 1});
    // proto3 leaves out a 0 and an empty text.
    return {read.source.sql_id.value_or(0), std::move(read.source.sql).value_or("")};
  }
  CloseSql close_sql(pbf_reader message, const Place& place) {
    return {fields(message, place, {.sql_id = 1}).source.sql_id.value_or(0)};
  }

  StreamRequest pipeline_request(pbf_reader message, const Place& place) {
    StreamRequest request;
    Once kind;
    const auto on_stream = [&](Of of) {
      return stream_request(message.get_message(), place, of, 1).request;
    };
    while (next(message)) {
      switch (message.tag_and_type()) {
        case length_delimited(1):
          message.skip();
          request = Close{};
          break;
        case length_delimited(2):
          request = on_stream(Of::kExecute);
          break;
        case length_delimited(3):
          request = on_stream(Of::kBatch);
          break;
        case length_delimited(4):
          request = on_stream(Of::kSequence);
          break;
        case length_delimited(5):
          request = on_stream(Of::kDescribe);
          break;
        case length_delimited(6):
          request = store_sql(message.get_message(), place);
          break;
        case length_delimited(7):
          request = close_sql(message.get_message(), place);
          break;
        case length_delimited(8):
          request = on_stream(Of::kGetAutocommit);
          break;
        default:
          message.skip();
          continue;
      }
      set(kind, place);
    }
    if (!kind.is_set) problem_.note(place, "is no request of a known type");
    return request;
  }

  Hello hello(pbf_reader message, const Place& place) {
    Hello hello;
    while (next(message)) {
      if (message.tag_and_type() == length_delimited(1)) {
        hello.token = text(message, {&place, "jwt"});
      } else {
        message.skip();
      }
    }
    return hello;
  }

  SocketRequest socket_message(pbf_reader message, const Place& outer) {
    SocketRequest to;
    const Place place{&outer, "request"};
    Once kind;
    while (next(message)) {
      if (message.tag_and_type() == varint(1)) {
        to.request_id = message.get_int32();
      } else if (message.wire_type() == protozero::pbf_wire_type::length_delimited &&
                 message.tag() >= 2 && message.tag() <= 13) {
        set(kind, place);
        const std::uint32_t tag = message.tag();
        socket_request(message.get_message(), place, tag, to);
      } else {
        message.skip();
      }
    }
    if (!kind.is_set) problem_.note(place, "is no request of a known type");
    return to;
  }

  /// `tag` is that of one of RequestMsg's requests.
  void socket_request(pbf_reader message, const Place& place, std::uint32_t tag,
                      SocketRequest& to) {
    switch (tag) {
      case 2:
        to.request = OpenStream{fields(message, place, {.stream_id = 1}).stream_id};
        return;
      case 3:
        to.request = CloseStream{fields(message, place, {.stream_id = 1}).stream_id};
        return;
      case 4:
        to.request = stream_request(message, place, Of::kExecute, 2);
        return;
      case 5:
        to.request = stream_request(message, place, Of::kBatch, 2);
        return;
      case 6: {
        Fields read = fields(message, place, {.stream_id = 1, .cursor_id = 2, .batch = 3});
        if (read.batch) {
          to.request = OpenCursor{read.stream_id, read.cursor_id, std::move(*read.batch)};
        }
        return;
      }
      case 7:
        to.request = CloseCursor{fields(message, place, {.cursor_id = 1}).cursor_id};
        return;
      case 8: {
        const Fields read = fields(message, place, {.cursor_id = 1, .max_count = 2});
        to.request = FetchCursor{read.cursor_id, read.max_count};
        return;
      }
      case 9:
        to.request = stream_request(message, place, Of::kSequence, 2);
        return;
      case 10:
        to.request = stream_request(message, place, Of::kDescribe, 2);
        return;
      case 11:
        to.request = store_sql(message, place);
        return;
      case 12:
        to.request = close_sql(message, place);
        return;
      default:
        to.request = stream_request(message, place, Of::kGetAutocommit, 2);
    }
  }
};

/// `read` makes a T of the message with a reader.
template <class T>
Result<T> read_message(std::string_view bytes,
                       T (ProtobufReader::*read)(pbf_reader, const Place&)) {
  try {
    ProtobufReader reader;
    T value = (reader.*read)(pbf_reader(bytes.data(), bytes.size()), {});
    return reader.result(std::move(value));
  } catch (const protozero::exception& malformed) {
    return fail(ErrorCode::kInvalidArgument,
                std::string("the request is not Protobuf: ") + malformed.what());
  }
}

}  // namespace

Result<PipelineRequest> read_pipeline_protobuf(std::string_view bytes) {
  return read_message(bytes, &ProtobufReader::pipeline);
}

Result<CursorRequest> read_cursor_protobuf(std::string_view bytes) {
  return read_message(bytes, &ProtobufReader::cursor);
}

Result<ClientMessage> read_client_message_protobuf(std::string_view bytes) {
  return read_message(bytes, &ProtobufReader::client_message);
}

}  // namespace walferry::net::hrana
