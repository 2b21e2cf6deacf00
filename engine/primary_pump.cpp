#include "engine/primary_pump.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "wal/own_file.h"

namespace walferry::engine {

using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t kEvents = IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF;

timespec to_timespec(Clock::duration wait) {
  const auto ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::max(wait, Clock::duration::zero()))
          .count();
  return {ns / 1'000'000'000, ns % 1'000'000'000};
}

}  // namespace

Result<std::unique_ptr<PrimaryPump>> PrimaryPump::start(
    std::vector<std::unique_ptr<Primary>> primaries, LogSink log) {
  std::unique_ptr<PrimaryPump> pump(new PrimaryPump);
  pump->log_ = std::move(log);
  pump->inotify_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  pump->wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (pump->inotify_ < 0 || pump->wake_ < 0)
    return fail(wal::system_error(errno, "watching for writes (inotify)"));
  for (auto& primary : primaries) pump->watched_.push_back({.primary = std::move(primary)});
  for (auto& watched : pump->watched_) {
    pump->watch_again(watched);
    if (watched.watch < 0) {
      return fail(wal::system_error(
          errno, "watching " + watched.primary->wal_path().string() +
                     " (raise fs.inotify.max_user_watches if that is the limit)"));
    }
  }
  pump->thread_ = std::thread([raw = pump.get()] { raw->run(); });
  return pump;
}

PrimaryPump::~PrimaryPump() {
  stop();
  if (inotify_ >= 0) ::close(inotify_);
  if (wake_ >= 0) ::close(wake_);
}

void PrimaryPump::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  const std::uint64_t one = 1;
  while (::write(wake_, &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.join();
}

/// After an attach the WAL is another file: the old watch looks at a dead one.
void PrimaryPump::watch_again(Watched& watched) {
  if (watched.watch >= 0) ::inotify_rm_watch(inotify_, watched.watch);
  watched.watch = ::inotify_add_watch(inotify_, watched.primary->wal_path().c_str(), kEvents);
  watched.attached = watched.primary->attached();
  watched.written = true;
}

void PrimaryPump::read_events() {
  alignas(inotify_event) std::array<char, std::size_t{16} << 10> buffer;
  for (;;) {
    const ssize_t n = ::read(inotify_, buffer.data(), buffer.size());
    if (n <= 0) return;
    for (ssize_t at = 0; at < n;) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      at += static_cast<ssize_t>(sizeof event + event.len);
      const bool overflow = (event.mask & IN_Q_OVERFLOW) != 0;
      for (auto& watched : watched_) {
        if (overflow || watched.watch == event.wd) watched.written = true;
      }
    }
  }
}

void PrimaryPump::run() {
  constexpr auto kHeartbeat = 5s;
  while (!stopping_) {
    auto now = Clock::now();
    Clock::time_point next = now + kHeartbeat;
    for (auto& watched : watched_) {
      if (watched.written || watched.due <= now) {
        const bool written = std::exchange(watched.written, false);
        const auto wait = watched.primary->step(now, written);
        now = Clock::now();
        watched.due = now + wait;
        if (watched.attached != watched.primary->attached() || watched.watch < 0) {
          const bool attached = watched.primary->attached();
          if (attached) watch_again(watched);
          watched.attached = attached;
        }
      }
      if (now >= watched.heartbeat) {
        watched.heartbeat = now + kHeartbeat;
        watched.primary->wake_followers();
      }
      next = std::min({next, watched.written ? now : watched.due, watched.heartbeat});
    }
    const timespec wait = to_timespec(next - Clock::now());
    std::array<pollfd, 2> fds{{{inotify_, POLLIN, 0}, {wake_, POLLIN, 0}}};
    if (::ppoll(fds.data(), fds.size(), &wait, nullptr) > 0 && (fds[0].revents & POLLIN) != 0)
      read_events();
  }
  for (auto& watched : watched_) watched.primary->settle();
}

}  // namespace walferry::engine
