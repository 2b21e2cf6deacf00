/// Where in a request its reader is, and the first thing that is wrong with it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "walferry/error.hpp"

namespace walferry::net {

/// A member of a structure, or an element of an array that is one. Places are a chain on the
/// reader's stack, put into words only when something is wrong there: "requests[2].stmt.args[0]".
struct Place {
  const Place* outer = nullptr;  ///< of the request itself: none
  std::string_view name = {};
  std::optional<std::size_t> index = std::nullopt;

  [[nodiscard]] std::string text() const {
    if (outer == nullptr) return {};
    std::string text = outer->text();
    if (!text.empty()) text += '.';
    text += name;
    if (index) text += '[' + std::to_string(*index) + ']';
    return text;
  }
};

/// Readers note what is wrong, go on with defaults and ask at the end: reading stays free of
/// conditions. Only the first problem counts; what follows it may be its consequence.
class FirstProblem {
 public:
  void note(const Place& place, std::string_view what) {
    if (problem_) return;
    std::string message = place.text();
    message += message.empty() ? "the request " : ": ";
    message += what;
    problem_ = Error{ErrorCode::kInvalidArgument, std::move(message)};
  }
  [[nodiscard]] bool found() const { return problem_.has_value(); }
  /// The value, or the problem that was found with it.
  template <class T>
  [[nodiscard]] Result<T> or_value(T value) const {
    if (problem_) return fail(*problem_);
    return value;
  }

 private:
  std::optional<Error> problem_;
};

}  // namespace walferry::net
