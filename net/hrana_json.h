/// Hrana's JSON, from the client's side. Unknown fields are ignored, as the specification demands;
/// everything else that is not as specified is refused with an error that names the place
/// ("requests[2].stmt.args[0]: ...").
#pragma once

#include <string_view>

#include "net/hrana_request.h"
#include "walferry/error.hpp"

namespace walferry::net::hrana {

/// `version` is 2 or 3; a request that only version 3 has is refused in version 2.
Result<PipelineRequest> read_pipeline_json(std::string_view text, int version);
Result<CursorRequest> read_cursor_json(std::string_view text);
/// The bodies of POST v1/execute ({"stmt": ...}) and v1/batch ({"batch": ...}).
Result<Statement> read_execute_v1_json(std::string_view text);
Result<Batch> read_batch_v1_json(std::string_view text);
/// `version` is 1, 2 or 3.
Result<ClientMessage> read_client_message_json(std::string_view text, int version);

}  // namespace walferry::net::hrana
