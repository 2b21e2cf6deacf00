/// The walferry program as real processes: a primary, a replica, and what a shell would ask them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/child_process.h"

namespace walferry::tests {

/// A loopback port that nobody listens on. It lies below the range from which the kernel takes
/// ports for outgoing connections, so that it stays free while a daemon is restarted.
std::uint16_t free_port();

/// The value of a field in JSON text, wherever it stands first; strings without their quotes.
std::string json_field(const std::string& json, const std::string& name);
std::uint64_t json_number(const std::string& json, const std::string& name);

/// `walferry ARGUMENTS...`, run to its end.
Finished walferry(std::vector<std::string> arguments);

/// One daemon that can be ended and started again; its log is kept over all of its lives.
class Daemon {
 public:
  Daemon(std::vector<std::string> arguments, std::filesystem::path log)
      : arguments_(std::move(arguments)), log_(std::move(log)) {}

  void start();
  /// SIGKILL; nothing when it does not run.
  void kill_hard();
  /// SIGTERM; the exit code.
  int stop();
  [[nodiscard]] bool running() { return process_.started() && !process_.poll(); }
  ChildProcess& process() noexcept { return process_; }
  void add_argument(const std::string& argument) { arguments_.push_back(argument); }
  /// From the next start on this command runs the program.
  void run_under(std::vector<std::string> command) { runner_ = std::move(command); }

  [[nodiscard]] std::string log() const;
  /// How often the text stands in the log.
  [[nodiscard]] std::size_t count_in_log(const std::string& text) const;
  /// Waits for the text to be there `times` times.
  [[nodiscard]] bool wait_for_log(const std::string& text, std::size_t times = 1) const;

 private:
  std::vector<std::string> runner_;
  std::vector<std::string> arguments_;
  std::filesystem::path log_;
  ChildProcess process_;
};

/// `walferry serve DATABASE`.
class PrimaryDaemon : public Daemon {
 public:
  PrimaryDaemon(const std::filesystem::path& database, const std::filesystem::path& log,
                const std::vector<std::string>& options = {}, std::uint16_t port = free_port());

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] std::string url() const;
  /// `walferry status URL --json`; empty when it does not answer.
  [[nodiscard]] std::string status() const;
  [[nodiscard]] std::string position() const { return json_field(status(), "position"); }
  [[nodiscard]] bool wait_until_serving() const;

 private:
  std::uint16_t port_;
  std::string name_;
};

/// `walferry replicate URL LOCAL`.
class ReplicaDaemon : public Daemon {
 public:
  ReplicaDaemon(const std::string& url, std::filesystem::path local,
                const std::filesystem::path& log, const std::vector<std::string>& options = {});

  [[nodiscard]] const std::filesystem::path& local() const noexcept { return local_; }
  /// `walferry status LOCAL --json`.
  [[nodiscard]] std::string status() const;
  [[nodiscard]] std::string state() const { return json_field(status(), "state"); }
  [[nodiscard]] std::string position() const { return json_field(status(), "position"); }
  [[nodiscard]] std::uint64_t number(const std::string& name) const {
    return json_number(status(), name);
  }

 private:
  std::filesystem::path local_;
};

/// Waits until the primary has captured all there is and the replica stands where the primary
/// does. Nobody may write meanwhile.
bool wait_until_equal(const PrimaryDaemon& primary, const ReplicaDaemon& replica,
                      std::chrono::milliseconds patience = std::chrono::milliseconds(60'000));

}  // namespace walferry::tests
