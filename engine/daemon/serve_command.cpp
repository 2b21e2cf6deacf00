#include <memory>
#include <string>

#include "engine/daemon/commands.h"
#include "engine/daemon/quantity_text.h"
#include "engine/daemon/stop_signals.h"
#include "walferry/server.hpp"

namespace walferry::daemon {
namespace {

void announce(const ServerStatus& status, ConsoleLog& log) {
  const std::string root = http_root(status.address, status.port);
  for (const DatabaseStatus& database : status.databases) {
    if (database.error.empty()) {
      log.write(LogLevel::kInfo, "serving " + database.name + " at " + root + "/db/" +
                                     percent_encode(database.name));
    } else {
      log.write(LogLevel::kWarning, "not serving " + database.name + ": " + database.error);
    }
  }
  if (status.databases.empty()) {
    log.write(LogLevel::kWarning,
              "no database to serve at " + root + ": the directories hold no SQLite database");
  }
}

}  // namespace

ExitCode run_command(const ServeCommand& command, Surroundings surroundings) {
  StopSignals signals;
  ServerOptions options = command.options;
  options.log = surroundings.log.sink();
  const auto server = Server::start(std::move(options));
  if (!server) return report_failure(surroundings, "serve", server.error());
  announce((*server)->status(), surroundings.log);
  signals.wait();
  surroundings.log.write(LogLevel::kInfo, "stopping");
  (*server)->stop();
  return ExitCode::kOk;
}

}  // namespace walferry::daemon
