#include "tests/support/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include "tests/support/temporary_directory.h"

namespace walferry::tests {

ChildProcess::ChildProcess(const std::vector<std::string>& command, const Outputs& outputs) {
  // All that allocates comes before the fork: the test may have other threads.
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const std::string out = outputs.standard_output.string();
  const std::string err = outputs.standard_error.string();
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  const int in_fd = open("/dev/null", O_RDONLY);
  const int out_fd = open(out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int err_fd = open(err.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (in_fd < 0 || out_fd < 0 || err_fd < 0) _exit(126);
  dup2(in_fd, STDIN_FILENO);
  dup2(out_fd, STDOUT_FILENO);
  dup2(err_fd, STDERR_FILENO);
  close_range(3, ~0U, 0);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

ChildProcess::~ChildProcess() {
  if (started()) (void)end(SIGKILL);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this == &other) return *this;
  if (started()) (void)end(SIGKILL);
  pid_ = std::exchange(other.pid_, 0);
  return *this;
}

std::optional<int> ChildProcess::poll() {
  int status = 0;
  if (!started() || waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void ChildProcess::send(int signal) const {
  if (started()) (void)kill(pid_, signal);
}

int ChildProcess::wait(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < deadline) {
    if (const auto outcome = poll()) return *outcome;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  send(SIGKILL);
  int status = 0;
  (void)waitpid(pid_, &status, 0);
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int ChildProcess::end(int signal, std::chrono::milliseconds patience) {
  send(signal);
  return wait(patience);
}

Finished run_to_end(const std::vector<std::string>& command, std::chrono::milliseconds patience) {
  const TemporaryDirectory directory;
  ChildProcess process(command, {directory / "out", directory / "err"});
  Finished finished;
  finished.exit_code = process.wait(patience);
  finished.output = content_of(directory / "out");
  finished.error = content_of(directory / "err");
  return finished;
}

std::uint64_t peak_resident_bytes(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

}  // namespace walferry::tests
