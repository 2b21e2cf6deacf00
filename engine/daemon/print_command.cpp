#include "engine/daemon/commands.h"

namespace walferry::daemon {

ExitCode run_command(const PrintCommand& command, Surroundings surroundings) {
  return print_result(surroundings, command.text);
}

}  // namespace walferry::daemon
