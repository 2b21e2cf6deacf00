#include <string>

#include "engine/daemon/commands.h"
#include "engine/daemon/json_output.h"
#include "walferry/tools.hpp"

namespace walferry::daemon {

ExitCode run_command(const VersionCommand& command, Surroundings surroundings) {
  if (command.json) {
    JsonWriter json;
    json.begin_object().field("walferry", version()).field("sqlite", sqlite_version()).end_object();
    return print_result(surroundings, json.text());
  }
  return print_result(surroundings, "walferry " + std::string(version()) + " (SQLite " +
                                        std::string(sqlite_version()) + ")");
}

}  // namespace walferry::daemon
