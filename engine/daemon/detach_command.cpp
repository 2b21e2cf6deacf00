#include "engine/daemon/commands.h"
#include "walferry/tools.hpp"

namespace walferry::daemon {

ExitCode run_command(const DetachCommand& command, Surroundings surroundings) {
  if (const Status done = detach(command.file); !done) {
    return report_failure(surroundings, "detach", done.error());
  }
  surroundings.log.write(LogLevel::kInfo,
                         command.file.string() + " is an ordinary, writable database now");
  return ExitCode::kOk;
}

}  // namespace walferry::daemon
