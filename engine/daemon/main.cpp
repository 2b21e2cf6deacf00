// The walferry program: parses, chooses a command, turns its outcome into an exit code.
#include <unistd.h>

#include <exception>
#include <span>
#include <string>
#include <variant>

#include "engine/daemon/command_line.h"
#include "engine/daemon/commands.h"

namespace walferry::daemon {
namespace {

ExitCode parse_and_run(std::span<const char* const> arguments, Console& console) {
  const auto line = parse_command_line(arguments);
  ConsoleLog log(console, line ? line->log : LogSettings{});
  const Surroundings surroundings{console, log};
  if (!line) {
    return report_failure(surroundings, line.error().what,
                          {ErrorCode::kInvalidArgument, line.error().message});
  }
  return std::visit([&](const auto& command) { return run_command(command, surroundings); },
                    line->command);
}

}  // namespace
}  // namespace walferry::daemon

int main(int argc, char** argv) {
  using walferry::daemon::Console;
  using walferry::daemon::ExitCode;
  Console console(STDERR_FILENO);
  try {
    const std::span<const char* const> all(argv, static_cast<std::size_t>(argc));
    const auto arguments = all.subspan(all.empty() ? 0 : 1);
    return static_cast<int>(walferry::daemon::parse_and_run(arguments, console));
  } catch (const std::exception& error) {
    // Nothing in the library throws; what is left is no memory, or a mistake of ours.
    console.write_line(std::string("walferry: internal error: ") + error.what());
    return static_cast<int>(ExitCode::kFailed);
  }
}
