#include "engine/daemon/commands.h"
#include "walferry/tools.hpp"

namespace walferry::daemon {

ExitCode run_command(const CopyCommand& command, Surroundings surroundings) {
  if (const Status done = copy_database(command.from, command.to); !done) {
    return report_failure(surroundings, "copy", done.error());
  }
  surroundings.log.write(LogLevel::kInfo,
                         command.from.string() + " copied to " + command.to.string());
  return ExitCode::kOk;
}

}  // namespace walferry::daemon
