#include "engine/write_queue.h"

#include <sqlite3.h>

#include <algorithm>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace walferry::engine {

namespace {

struct Wait {
  WriteQueue::WaitId id = 0;
  WriteQueue::Clock::time_point deadline;
  WriteQueue::Callback callback;
};

// The queue whose hand_out() runs on this thread. A ticket that is let go within a callback is
// handed on by the loop that called it: otherwise a thousand short writers would nest.
thread_local const void* handing_out_here = nullptr;

void refuse(std::vector<Wait>& waits, const char* why) {
  for (Wait& wait : waits) wait.callback(fail_sql(sqlite_failure(SQLITE_BUSY, why)));
}

}  // namespace

struct WriteTicket::State : std::enable_shared_from_this<WriteTicket::State> {
  mutable std::mutex mutex;
  std::deque<Wait> waits;
  WriteQueue::WaitId last_id = 0;
  bool held = false;
  bool closed = false;

  /// Gives the ticket to the longest waiting, as long as it is free.
  void hand_out() {
    if (handing_out_here == this) return;
    const auto self = shared_from_this();  // the last ticket may go within a callback
    const void* outer = std::exchange(handing_out_here, this);
    while (auto wait = next_in_turn()) wait->callback(WriteTicket(self));
    handing_out_here = outer;
  }

  std::optional<Wait> next_in_turn() {
    const std::lock_guard lock(mutex);
    if (held || waits.empty()) return std::nullopt;
    held = true;
    Wait wait = std::move(waits.front());
    waits.pop_front();
    return wait;
  }

  void let_go() {
    {
      const std::lock_guard lock(mutex);
      held = false;
    }
    hand_out();
  }

  template <class Predicate>
  std::vector<Wait> take_out(Predicate leaves) {
    std::vector<Wait> gone;
    const std::lock_guard lock(mutex);
    std::deque<Wait> staying;
    for (Wait& wait : waits) {
      if (leaves(wait)) {
        gone.push_back(std::move(wait));
      } else {
        staying.push_back(std::move(wait));
      }
    }
    waits.swap(staying);
    return gone;
  }
};

WriteTicket& WriteTicket::operator=(WriteTicket&& other) noexcept {
  if (this != &other) {
    release();
    queue_ = std::move(other.queue_);
  }
  return *this;
}

void WriteTicket::release() {
  if (const auto queue = std::exchange(queue_, nullptr)) queue->let_go();
}

WriteQueue::WriteQueue() : state_(std::make_shared<WriteTicket::State>()) {}
WriteQueue::~WriteQueue() { close(); }

WriteQueue::WaitId WriteQueue::acquire(Callback callback, Clock::time_point deadline) {
  WaitId id = 0;
  {
    const std::lock_guard lock(state_->mutex);
    id = ++state_->last_id;
    if (!state_->closed) state_->waits.push_back({id, deadline, std::exchange(callback, nullptr)});
  }
  if (callback != nullptr) {
    callback(fail_sql(sqlite_failure(SQLITE_BUSY, "the database is being closed")));
  } else {
    state_->hand_out();
  }
  return id;
}

bool WriteQueue::cancel(WaitId id) {
  return !state_->take_out([id](const Wait& wait) { return wait.id == id; }).empty();
}

void WriteQueue::expire(Clock::time_point now) {
  auto late = state_->take_out([now](const Wait& wait) { return wait.deadline <= now; });
  refuse(late, "database is locked: other writers were before this one until its time was up");
}

std::optional<WriteQueue::Clock::time_point> WriteQueue::next_deadline() const {
  const std::lock_guard lock(state_->mutex);
  const auto first = std::ranges::min_element(state_->waits, {}, &Wait::deadline);
  if (first == state_->waits.end() || first->deadline == Clock::time_point::max()) {
    return std::nullopt;
  }
  return first->deadline;
}

std::size_t WriteQueue::waiting() const {
  const std::lock_guard lock(state_->mutex);
  return state_->waits.size();
}

void WriteQueue::close() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
  }
  auto all = state_->take_out([](const Wait&) { return true; });
  refuse(all, "the database is being closed");
}

}  // namespace walferry::engine
