/// Hrana's Protobuf (version 3 alone has it), from the client's side. Unknown fields are skipped;
/// what does not parse, lacks its oneof or holds two sources of SQL is refused.
#pragma once

#include <string_view>

#include "net/hrana_request.h"
#include "walferry/error.hpp"

namespace walferry::net::hrana {

Result<PipelineRequest> read_pipeline_protobuf(std::string_view bytes);
Result<CursorRequest> read_cursor_protobuf(std::string_view bytes);
Result<ClientMessage> read_client_message_protobuf(std::string_view bytes);

}  // namespace walferry::net::hrana
