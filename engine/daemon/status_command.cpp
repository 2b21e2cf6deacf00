#include <chrono>
#include <string>

#include "engine/daemon/commands.h"
#include "engine/daemon/status_report.h"
#include "walferry/tools.hpp"

namespace walferry::daemon {
namespace {

double now_unix() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

}  // namespace

ExitCode run_command(const StatusCommand& command, Surroundings surroundings) {
  if (is_url(command.target)) {
    const auto status = read_server_status(command.target);
    if (!status) return report_failure(surroundings, "status", status.error());
    return print_result(surroundings, command.json ? status_json(*status) : status_text(*status));
  }
  const auto status = read_local_status(command.target);
  if (!status) return report_failure(surroundings, "status", status.error());
  return print_result(surroundings,
                      command.json ? status_json(*status) : status_text(*status, now_unix()));
}

}  // namespace walferry::daemon
