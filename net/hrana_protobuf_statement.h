/// Statements and batches in Hrana's Protobuf: what the messages of all requests share. Read with
/// protozero, which throws where bytes end too early.
#pragma once

#include <protozero/pbf_reader.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/hrana_request.h"
#include "net/request_place.h"

namespace walferry::net::hrana {

using protozero::pbf_reader;

// A field of another wire type than the schema's is skipped like an unknown one.
constexpr std::uint32_t length_delimited(std::uint32_t tag) {
  return protozero::tag_and_type(tag, protozero::pbf_wire_type::length_delimited);
}
constexpr std::uint32_t varint(std::uint32_t tag) {
  return protozero::tag_and_type(tag, protozero::pbf_wire_type::varint);
}
constexpr std::uint32_t fixed64(std::uint32_t tag) {
  return protozero::tag_and_type(tag, protozero::pbf_wire_type::fixed64);
}

/// Each function takes its message by value, as reading advances it. Nothing recurses but
/// conditions, and those are bounded.
class ProtobufStatementReader {
 protected:
  /// A message or a oneof that may be there once. Protobuf would merge a second one with the first;
  /// no encoder writes such a thing, so that a wrong request is likelier than a right one.
  struct Once {
    bool is_set = false;
  };
  void set(Once& once, const Place& place) {
    if (once.is_set) problem_.note(place, "is there twice");
    once.is_set = true;
  }
  void require(const Once& once, const Place& place) {
    if (!once.is_set) problem_.note(place, "is missing");
  }

  [[nodiscard]] bool next(pbf_reader& message) const { return !problem_.found() && message.next(); }

  std::string text(pbf_reader& message, const Place& place);
  void require_one_source(const SqlSource& source, const Place& place);
  Statement statement(pbf_reader message, const Place& place);
  Batch batch(pbf_reader message, const Place& place);

  FirstProblem problem_;

 private:
  SqlValue value(pbf_reader message, const Place& place);
  std::pair<std::string, SqlValue> named_arg(pbf_reader message, const Place& place);
  BatchStep batch_step(pbf_reader message, const Place& place, std::size_t step);
  /// `step` is the step that it belongs to.
  Condition condition(pbf_reader message, const Place& place, std::size_t step, std::size_t depth);
  std::vector<Condition> conditions(pbf_reader list, const Place& place, std::size_t step,
                                    std::size_t depth);
};

}  // namespace walferry::net::hrana
