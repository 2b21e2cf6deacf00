#include "net/exact_json.h"

#include <boost/json/basic_parser_impl.hpp>
#include <charconv>

namespace walferry::net {

namespace json = boost::json;

namespace {

/// The nearest double. `estimate` is the parser's own, good enough to tell infinity from zero.
double exact_double(json::string_view digits, double estimate) {
  double exact = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), exact);
  return read.ec == std::errc() ? exact : estimate;
}

/// Builds the document of the parser's events, as Boost's own handler does; numbers excepted. The
/// text comes in one piece, so a number always does.
class Builder {
 public:
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = json::string::max_size();
  static constexpr std::size_t max_string_size = json::string::max_size();

  explicit Builder(json::storage_ptr storage) { values_.reset(std::move(storage)); }

  json::value release() { return values_.release(); }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) { return true; }
  bool on_object_end(std::size_t count, json::error_code&) {
    values_.push_object(count);
    return true;
  }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(std::size_t count, json::error_code&) {
    values_.push_array(count);
    return true;
  }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    values_.push_chars(part);
    return true;
  }
  bool on_key(json::string_view rest, std::size_t, json::error_code&) {
    values_.push_key(rest);
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    values_.push_chars(part);
    return true;
  }
  bool on_string(json::string_view rest, std::size_t, json::error_code&) {
    values_.push_string(rest);
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t number, json::string_view digits, json::error_code&) {
    if (number == 0 && digits.starts_with('-')) {
      values_.push_double(-0.0);
    } else {
      values_.push_int64(number);
    }
    return true;
  }
  bool on_uint64(std::uint64_t number, json::string_view, json::error_code&) {
    values_.push_uint64(number);
    return true;
  }
  bool on_double(double estimate, json::string_view digits, json::error_code&) {
    values_.push_double(exact_double(digits, estimate));
    return true;
  }
  bool on_bool(bool value, json::error_code&) {
    values_.push_bool(value);
    return true;
  }
  bool on_null(json::error_code&) {
    values_.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  json::value_stack values_;
};

}  // namespace

Result<json::value> parse_json(std::string_view text, std::size_t max_depth,
                               json::storage_ptr storage) {
  json::parse_options options;
  options.max_depth = max_depth;
  json::basic_parser<Builder> parser(options, std::move(storage));
  json::error_code failed;
  const std::size_t read = parser.write_some(false, text.data(), text.size(), failed);
  if (!failed && read < text.size()) failed = json::error::extra_data;
  if (failed) {
    return fail(ErrorCode::kInvalidArgument,
                "not JSON, at byte " + std::to_string(read) + ": " + failed.message());
  }
  return parser.handler().release();
}

}  // namespace walferry::net
