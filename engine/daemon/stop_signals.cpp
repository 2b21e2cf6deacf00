#include "engine/daemon/stop_signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>

#include "engine/daemon/exit_codes.h"

namespace walferry::daemon {
namespace {

constexpr std::array kStopSignals = {SIGINT, SIGTERM, SIGHUP};

// What the starter of the program ignores stays ignored (nohup and SIGHUP; a script and the SIGINT
// of its background jobs): a blocked signal would arrive all the same.
sigset_t stop_signal_set() {
  sigset_t set{};
  sigemptyset(&set);
  for (const int signal : kStopSignals) {
    struct sigaction present{};
    sigaction(signal, nullptr, &present);
    if (present.sa_handler != SIG_IGN) sigaddset(&set, signal);
  }
  return set;
}

extern "C" void exit_at_once(int /*signal*/) { _exit(static_cast<int>(ExitCode::kFailed)); }

void let_the_next_signal_exit() {
  const sigset_t set = stop_signal_set();
  struct sigaction action{};
  action.sa_handler = exit_at_once;
  for (const int signal : kStopSignals) {
    if (sigismember(&set, signal) == 1) sigaction(signal, &action, nullptr);
  }
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

int checked(int descriptor, const char* what) {
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), what);
  return descriptor;
}

// Takes what is pending; the content does not matter.
template <class Record>
void drain(int descriptor) {
  Record record{};
  while (::read(descriptor, &record, sizeof record) > 0) {
  }
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t set = stop_signal_set();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = checked(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
  wakes_ = checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
  // A peer that hangs up is an error of that connection, not the end of the program.
  std::signal(SIGPIPE, SIG_IGN);
  // A write beyond the limit of file sizes is an error of that file.
  std::signal(SIGXFSZ, SIG_IGN);
}

StopSignals::~StopSignals() {
  close(wakes_);
  close(signals_);
}

StopSignals::Event StopSignals::wait(std::optional<std::chrono::milliseconds> timeout) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + timeout.value_or(std::chrono::milliseconds(0));
  std::array<pollfd, 2> descriptors = {pollfd{signals_, POLLIN, 0}, pollfd{wakes_, POLLIN, 0}};
  for (;;) {
    int left_ms = -1;
    if (timeout) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      left_ms = static_cast<int>(std::max<std::int64_t>(0, left.count()));
    }
    const int ready = poll(descriptors.data(), descriptors.size(), left_ms);
    if (ready < 0 && errno != EINTR)
      throw std::system_error(errno, std::generic_category(), "poll");
    if (ready == 0) return Event::kTimeout;
    if (ready < 0) continue;
    if ((descriptors[0].revents & POLLIN) != 0) {
      drain<signalfd_siginfo>(signals_);
      let_the_next_signal_exit();
      return Event::kStop;
    }
    drain<std::uint64_t>(wakes_);
    return Event::kWake;
  }
}

void StopSignals::wake() noexcept {
  const std::uint64_t one = 1;
  // It can only fail when the counter is full, and then the wait has ended long ago.
  [[maybe_unused]] const ssize_t written = ::write(wakes_, &one, sizeof one);
}

}  // namespace walferry::daemon
