#include "engine/daemon/commands.h"
#include "engine/daemon/verify_report.h"
#include "walferry/tools.hpp"

namespace walferry::daemon {

ExitCode run_command(const VerifyCommand& command, Surroundings surroundings) {
  const auto report = verify(command.local, command.url);
  if (!report) return report_failure(surroundings, "verify", report.error());
  const ExitCode printed =
      print_result(surroundings, command.json ? verify_json(*report) : verify_text(*report));
  if (printed != ExitCode::kOk) return printed;
  return report->differing_pages.empty() ? ExitCode::kOk : ExitCode::kDiffers;
}

}  // namespace walferry::daemon
