/// Runs the commands, one overload each. It returns the exit code and has said on stderr or stdout
/// what there is to say.
#pragma once

#include "engine/daemon/command_line.h"
#include "engine/daemon/command_outcome.h"

namespace walferry::daemon {

ExitCode run_command(const PrintCommand& command, Surroundings surroundings);
ExitCode run_command(const ServeCommand& command, Surroundings surroundings);
ExitCode run_command(const ReplicateCommand& command, Surroundings surroundings);
ExitCode run_command(const StatusCommand& command, Surroundings surroundings);
ExitCode run_command(const VerifyCommand& command, Surroundings surroundings);
ExitCode run_command(const DetachCommand& command, Surroundings surroundings);
ExitCode run_command(const CopyCommand& command, Surroundings surroundings);
ExitCode run_command(const VersionCommand& command, Surroundings surroundings);

}  // namespace walferry::daemon
