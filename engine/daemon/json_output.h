/// Writes JSON (RFC 8259) for programs that read ours: status, verify, version and log events.
///
/// The writer puts commas and colons; that objects and arrays are closed in order is the caller's
/// part. Text that is not UTF-8 (a path may be any bytes) comes out with U+FFFD in its place, so
/// that the result is always valid JSON.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace walferry::daemon {

/// `text` with its quotes and escapes.
std::string json_quote(std::string_view text);

class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text) { return raw(json_quote(text)); }
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool flag) { return raw(flag ? "true" : "false"); }
  JsonWriter& value(std::unsigned_integral auto number) { return raw(std::to_string(number)); }
  /// Shortest text that reads back as the same number; null for what JSON has no number for.
  JsonWriter& value(double number);
  JsonWriter& null() { return raw("null"); }

  /// key and value in one.
  template <class T>
  JsonWriter& field(std::string_view name, const T& content) {
    return key(name).value(content);
  }

  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& raw(std::string_view token);
  void separate();

  std::string text_;
};

}  // namespace walferry::daemon
