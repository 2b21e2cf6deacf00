/// A child process that never outlives the test: its destructor kills and reaps it, and so does
/// the kernel when the test itself is killed. Started and waited for by one thread, which must
/// outlive it.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace walferry::tests {

class ChildProcess {
 public:
  struct Outputs {
    std::filesystem::path standard_output = "/dev/null";
    std::filesystem::path standard_error = "/dev/null";  ///< appended to
  };

  ChildProcess() = default;
  ChildProcess(const std::vector<std::string>& command, const Outputs& outputs);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// False once it has ended and been waited for.
  [[nodiscard]] bool started() const noexcept { return pid_ > 0; }
  /// The outcome when it has ended (it is reaped then); does not wait.
  std::optional<int> poll();
  void send(int signal) const;
  /// Waits; the exit code, or minus the signal that ended it. After `patience` it is killed.
  int wait(std::chrono::milliseconds patience = std::chrono::milliseconds(120'000));
  /// Sends the signal and waits.
  int end(int signal, std::chrono::milliseconds patience = std::chrono::milliseconds(120'000));

 private:
  pid_t pid_ = 0;
};

struct Finished {
  int exit_code = 0;
  std::string output;
  std::string error;
};
/// Runs a command to its end.
Finished run_to_end(const std::vector<std::string>& command,
                    std::chrono::milliseconds patience = std::chrono::milliseconds(120'000));

/// "VmHWM" of a process in bytes: the most memory it ever had resident. 0 when it is gone.
std::uint64_t peak_resident_bytes(pid_t pid);

}  // namespace walferry::tests
