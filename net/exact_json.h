/// Boost.JSON with exact numbers: 1.81 computes doubles quickly and sometimes one unit in the last
/// place beside the number that was written, which would change the values that clients store.
#pragma once

#include <boost/json.hpp>
#include <string_view>

#include "walferry/error.hpp"

namespace walferry::net {

/// Fails with kInvalidArgument and the place in the text ("not JSON, at byte 17: syntax error").
/// What is nested deeper than `max_depth` is refused. Numbers too large for a double are
/// infinities, -0 is a double. Texts are valid UTF-8. The value lives in `storage`.
Result<boost::json::value> parse_json(std::string_view text, std::size_t max_depth,
                                      boost::json::storage_ptr storage);

}  // namespace walferry::net
