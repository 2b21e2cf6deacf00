#include "engine/daemon/command_outcome.h"

#include <iostream>
#include <string>

namespace walferry::daemon {

ExitCode report_failure(Surroundings surroundings, std::string_view what, const Error& error) {
  const std::string text = std::string(what) + ": " + error.message;
  if (surroundings.log.format() == LogFormat::kJson) {
    surroundings.log.write(LogLevel::kError, text);
  } else {
    surroundings.console.write_line("walferry: " + text);
  }
  return exit_code_for(error.code);
}

ExitCode print_result(Surroundings surroundings, std::string_view text) {
  std::cout << text << '\n' << std::flush;
  if (std::cout) return ExitCode::kOk;
  return report_failure(surroundings, "stdout",
                        {ErrorCode::kIo, "the result could not be written; is the disk full?"});
}

}  // namespace walferry::daemon
