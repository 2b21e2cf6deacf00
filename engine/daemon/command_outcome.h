/// How a command ends: text for stdout, errors in one form for all commands.
#pragma once

#include <string_view>

#include "engine/daemon/console_log.h"
#include "engine/daemon/exit_codes.h"
#include "walferry/error.hpp"

namespace walferry::daemon {

/// Where a command speaks, alive for as long as any command runs.
struct Surroundings {
  Console& console;
  ConsoleLog& log;
};

/// Reports "walferry: WHAT: message" on stderr (as an event where the log is JSON) and returns the
/// exit code that belongs to the error.
ExitCode report_failure(Surroundings surroundings, std::string_view what, const Error& error);

/// Writes `text` and a line end to stdout. What could not be written (a full disk) is reported.
ExitCode print_result(Surroundings surroundings, std::string_view text);

}  // namespace walferry::daemon
