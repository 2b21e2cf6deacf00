/// Hrana's requests in words, so that what two readers made can be compared.
#pragma once

#include <cstdio>
#include <string>

#include "net/hrana_request.h"

namespace walferry::net::hrana {

inline std::string to_text(const SqlValue& value) {
  if (std::holds_alternative<SqlNull>(value)) return "null";
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  if (const auto* text = std::get_if<std::string>(&value)) return "'" + *text + "'";
  char buffer[64];
  if (const auto* real = std::get_if<double>(&value)) {
    std::snprintf(buffer, sizeof buffer, "%a", *real);
    return buffer;
  }
  std::string hex = "x";
  for (const std::byte byte : std::get<SqlBlob>(value)) {
    std::snprintf(buffer, sizeof buffer, "%02x", std::to_integer<unsigned>(byte));
    hex += buffer;
  }
  return hex;
}

inline std::string to_text(const SqlSource& source) {
  std::string text;
  if (source.sql) text += "[" + *source.sql + "]";
  if (source.sql_id) text += "#" + std::to_string(*source.sql_id);
  return text;
}

inline std::string to_text(const Statement& statement) {
  std::string text = to_text(statement.source) + "(";
  for (const SqlValue& arg : statement.args) text += to_text(arg) + " ";
  for (const auto& [name, arg] : statement.named_args) text += name + "=" + to_text(arg) + " ";
  return text + ")" + (statement.want_rows ? "" : " no rows");
}

inline std::string to_text(const Condition& condition) {
  constexpr const char* kNames[] = {"ok", "error", "not", "and", "or", "is_autocommit"};
  std::string text = kNames[static_cast<int>(condition.kind)];
  if (condition.kind == Condition::Kind::kIsAutocommit) return text;
  text += "(";
  if (condition.kind <= Condition::Kind::kError) text += std::to_string(condition.step);
  for (const Condition& inner : condition.conditions) text += to_text(inner) + " ";
  return text + ")";
}

inline std::string to_text(const Batch& batch) {
  std::string text = "{";
  for (const BatchStep& step : batch.steps) {
    if (step.condition) text += "if " + to_text(*step.condition) + " ";
    text += to_text(step.statement) + "; ";
  }
  return text + "}";
}

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

inline std::string to_text(const StreamRequest& request) {
  return std::visit(
      Overloaded{
          [](const Close&) -> std::string { return "close"; },
          [](const Execute& execute) { return "execute " + to_text(execute.statement); },
          [](const RunBatch& run) { return "batch " + to_text(run.batch); },
          [](const Sequence& sequence) { return "sequence " + to_text(sequence.source); },
          [](const Describe& describe) { return "describe " + to_text(describe.source); },
          [](const StoreSql& store) {
            return "store_sql " + std::to_string(store.sql_id) + " [" + store.sql + "]";
          },
          [](const CloseSql& close) { return "close_sql " + std::to_string(close.sql_id); },
          [](const GetAutocommit&) -> std::string { return "get_autocommit"; },
      },
      request);
}

inline std::string to_text(const PipelineRequest& pipeline) {
  std::string text = "baton " + pipeline.baton.value_or("none") + "\n";
  for (const StreamRequest& request : pipeline.requests) text += to_text(request) + "\n";
  return text;
}

inline std::string to_text(const CursorRequest& cursor) {
  return "baton " + cursor.baton.value_or("none") + " " + to_text(cursor.batch);
}

inline std::string to_text(const ClientMessage& message) {
  if (const auto* hello = std::get_if<Hello>(&message)) {
    return "hello " + hello->token.value_or("none");
  }
  const auto& request = std::get<SocketRequest>(message);
  const auto number = [](std::int32_t id) { return " " + std::to_string(id); };
  return std::to_string(request.request_id) + ": " +
         std::visit(
             Overloaded{
                 [&](const OpenStream& open) { return "open_stream" + number(open.stream_id); },
                 [&](const CloseStream& close) { return "close_stream" + number(close.stream_id); },
                 [&](const OpenCursor& open) {
                   return "open_cursor" + number(open.stream_id) + number(open.cursor_id) + " " +
                          to_text(open.batch);
                 },
                 [&](const CloseCursor& close) { return "close_cursor" + number(close.cursor_id); },
                 [&](const FetchCursor& fetch) {
                   return "fetch_cursor" + number(fetch.cursor_id) + " " +
                          std::to_string(fetch.max_count);
                 },
                 [&](const OnStream& on) {
                   return "on" + number(on.stream_id) + " " + to_text(on.request);
                 },
                 [](const StoreSql& store) { return to_text(StreamRequest(store)); },
                 [](const CloseSql& close) { return to_text(StreamRequest(close)); },
             },
             request.request);
}

}  // namespace walferry::net::hrana
