#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "engine/daemon/commands.h"
#include "engine/daemon/progress_display.h"
#include "engine/daemon/quantity_text.h"
#include "engine/daemon/stop_signals.h"
#include "walferry/replica.hpp"

namespace walferry::daemon {
namespace {

// How soon a replica that has ended by itself is noticed.
constexpr std::chrono::milliseconds kStatePoll{1000};

ExitCode sync_and_exit(Replica& replica, Surroundings surroundings, StopSignals& signals) {
  Result<Position> outcome = fail(ErrorCode::kInternal, "no outcome");
  std::jthread worker([&] {
    outcome = replica.sync_once();
    signals.wake();
  });
  const bool stopped = signals.wait() == StopSignals::Event::kStop;
  if (stopped) replica.stop();
  worker.join();
  replica.stop();
  const ReplicaStatus status = replica.status();
  // A signal that came when all was done already changes nothing.
  if (outcome) {
    surroundings.log.write(LogLevel::kInfo, status.path.string() + " is at " + outcome->to_text() +
                                                ", " + format_bytes(status.bytes_received) +
                                                " received");
    return ExitCode::kOk;
  }
  if (stopped) {
    return report_failure(surroundings, "replicate",
                          {ErrorCode::kCancelled,
                           "stopped by a signal before everything was applied; run it again to go "
                           "on where it stopped"});
  }
  return report_failure(surroundings, "replicate", outcome.error());
}

ExitCode follow(Replica& replica, const ReplicaOptions& options, Surroundings surroundings,
                StopSignals& signals) {
  if (const Status started = replica.start(); !started) {
    return report_failure(surroundings, "replicate", started.error());
  }
  surroundings.log.write(LogLevel::kInfo,
                         "following " + options.url + " into " + options.path.string());
  if (!options.listen_address.empty()) {
    surroundings.log.write(
        LogLevel::kInfo,
        "serving onward at " + http_root(options.listen_address, replica.listen_port()));
  }
  while (signals.wait(kStatePoll) != StopSignals::Event::kStop) {
    const ReplicaStatus status = replica.status();
    if (status.state != ReplicaState::kStopped) continue;
    return report_failure(
        surroundings, "replicate",
        {status.stopped_because.value_or(ErrorCode::kInternal), status.last_error});
  }
  surroundings.log.write(LogLevel::kInfo, "stopping");
  replica.stop();
  return ExitCode::kOk;
}

}  // namespace

ExitCode run_command(const ReplicateCommand& command, Surroundings surroundings) {
  StopSignals signals;
  ProgressDisplay display(surroundings.console, surroundings.log);
  ReplicaOptions options = command.options;
  options.log = surroundings.log.sink();
  options.progress = [&display](const Progress& progress) { display.update(progress); };
  // Destroyed before the display, which its threads call.
  const auto replica = Replica::open(std::move(options));
  if (!replica) return report_failure(surroundings, "replicate", replica.error());
  if (command.once) return sync_and_exit(**replica, surroundings, signals);
  return follow(**replica, command.options, surroundings, signals);
}

}  // namespace walferry::daemon
