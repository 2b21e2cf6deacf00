#include "net/hrana_protobuf_statement.h"

#include "net/utf8_text.h"

namespace walferry::net::hrana {

std::string ProtobufStatementReader::text(pbf_reader& message, const Place& place) {
  const protozero::data_view bytes = message.get_view();
  const std::string_view text(bytes.data(), bytes.size());
  if (!is_utf8(text)) problem_.note(place, "is not UTF-8");
  return std::string(text);
}

SqlValue ProtobufStatementReader::value(pbf_reader message, const Place& place) {
  SqlValue value;
  Once kind;
  while (next(message)) {
    const std::uint32_t field = message.tag_and_type();
    if (field == length_delimited(1)) {
      message.skip();
      value = SqlNull{};
    } else if (field == varint(2)) {
      value = std::int64_t{message.get_sint64()};
    } else if (field == fixed64(3)) {
      value = message.get_double();
    } else if (field == length_delimited(4)) {
      value = text(message, place);
    } else if (field == length_delimited(5)) {
      const protozero::data_view bytes = message.get_view();
      const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
      value = SqlBlob(data, data + bytes.size());
    } else {
      message.skip();
      continue;
    }
    set(kind, place);
  }
  if (!kind.is_set) problem_.note(place, "has no value of a known type");
  return value;
}

std::pair<std::string, SqlValue> ProtobufStatementReader::named_arg(pbf_reader message,
                                                                    const Place& place) {
  std::pair<std::string, SqlValue> arg;
  const Place value_place{&place, "value"};
  Once has_value;
  while (next(message)) {
    if (message.tag_and_type() == length_delimited(1)) {
      arg.first = text(message, {&place, "name"});
    } else if (message.tag_and_type() == length_delimited(2)) {
      set(has_value, value_place);
      arg.second = value(message.get_message(), value_place);
    } else {
      message.skip();
    }
  }
  require(has_value, value_place);
  return arg;
}

void ProtobufStatementReader::require_one_source(const SqlSource& source, const Place& place) {
  if (source.sql.has_value() == source.sql_id.has_value()) {
    problem_.note(place, "exactly one of sql and sql_id is needed");
  }
}

Statement ProtobufStatementReader::statement(pbf_reader message, const Place& place) {
  Statement statement;
  while (next(message)) {
    switch (message.tag_and_type()) {
      case length_delimited(1):
        statement.source.sql = text(message, {&place, "sql"});
        break;
      case varint(2):
        statement.source.sql_id = message.get_int32();
        break;
      case length_delimited(3): {
        const Place at{&place, "args", statement.args.size()};
        statement.args.push_back(value(message.get_message(), at));
        break;
      }
      case length_delimited(4): {
        const Place at{&place, "named_args", statement.named_args.size()};
        statement.named_args.push_back(named_arg(message.get_message(), at));
        break;
      }
      case varint(5):
        statement.want_rows = message.get_bool();
        break;
      default:
        message.skip();
    }
  }
  require_one_source(statement.source, place);
  return statement;
}

Condition ProtobufStatementReader::condition(pbf_reader message, const Place& place,
                                             std::size_t step, std::size_t depth) {
  using Kind = Condition::Kind;
  Condition condition;
  if (depth > kMaxConditionDepth) return problem_.note(place, "is too deep"), condition;
  Once kind;
  while (next(message)) {
    const std::uint32_t field = message.tag_and_type();
    if (field == varint(1) || field == varint(2)) {
      condition.kind = field == varint(1) ? Kind::kOk : Kind::kError;
      condition.step = message.get_uint32();
      if (condition.step >= step) problem_.note({&place, "step"}, "is not an earlier step");
    } else if (field == length_delimited(3)) {
      condition.kind = Kind::kNot;
      condition.conditions.push_back(
          this->condition(message.get_message(), {&place, "cond"}, step, depth + 1));
    } else if (field == length_delimited(4) || field == length_delimited(5)) {
      condition.kind = field == length_delimited(4) ? Kind::kAnd : Kind::kOr;
      condition.conditions = conditions(message.get_message(), place, step, depth);
    } else if (field == length_delimited(6)) {
      message.skip();
      condition.kind = Kind::kIsAutocommit;
    } else {
      message.skip();
      continue;
    }
    set(kind, place);
  }
  if (!kind.is_set) problem_.note(place, "is no condition of a known type");
  return condition;
}

std::vector<Condition> ProtobufStatementReader::conditions(pbf_reader list, const Place& place,
                                                           std::size_t step, std::size_t depth) {
  std::vector<Condition> conditions;
  while (next(list)) {
    if (list.tag_and_type() == length_delimited(1)) {
      const Place at{&place, "conds", conditions.size()};
      conditions.push_back(condition(list.get_message(), at, step, depth + 1));
    } else {
      list.skip();
    }
  }
  return conditions;
}

BatchStep ProtobufStatementReader::batch_step(pbf_reader message, const Place& place,
                                              std::size_t step) {
  BatchStep to;
  const Place condition_place{&place, "condition"};
  const Place statement_place{&place, "stmt"};
  Once has_condition;
  Once has_statement;
  while (next(message)) {
    if (message.tag_and_type() == length_delimited(1)) {
      set(has_condition, condition_place);
      to.condition = condition(message.get_message(), condition_place, step, 1);
    } else if (message.tag_and_type() == length_delimited(2)) {
      set(has_statement, statement_place);
      to.statement = statement(message.get_message(), statement_place);
    } else {
      message.skip();
    }
  }
  require(has_statement, statement_place);
  return to;
}

Batch ProtobufStatementReader::batch(pbf_reader message, const Place& place) {
  Batch batch;
  while (next(message)) {
    if (message.tag_and_type() == length_delimited(1)) {
      const std::size_t step = batch.steps.size();
      batch.steps.push_back(batch_step(message.get_message(), {&place, "steps", step}, step));
    } else {
      message.skip();
    }
  }
  return batch;
}

}  // namespace walferry::net::hrana
