/// The queue of those who want to write to one database: first come, first served.
///
/// SQLite has one write lock and no queue for it: whoever polls at the right moment gets it. Here
/// at most one ticket is out at a time, and the longest waiting gets the next.
///
/// Thread safety: everything may be called from any thread. The queue starts no thread and reads no
/// clock; a callback runs on the thread that lets the ticket go (or asks for it, when it is free),
/// or that calls expire() or close(), with no lock held. It should hand its work on rather than do
/// it: while it runs, a ticket let go within it waits for its end. Tickets may outlive the queue.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "engine/sql_errors.h"

namespace walferry::engine {

class WriteQueue;

/// The right to write, until it is destroyed or released.
class WriteTicket {
 public:
  WriteTicket() = default;
  WriteTicket(WriteTicket&& other) noexcept = default;
  WriteTicket& operator=(WriteTicket&& other) noexcept;
  ~WriteTicket() { release(); }

  void release();
  [[nodiscard]] bool valid() const noexcept { return queue_ != nullptr; }

 private:
  friend class WriteQueue;
  struct State;
  explicit WriteTicket(std::shared_ptr<State> queue) : queue_(std::move(queue)) {}

  std::shared_ptr<State> queue_;
};

class WriteQueue {
 public:
  using Clock = std::chrono::steady_clock;
  /// Called once: with a ticket, or with SQLITE_BUSY when the deadline passed or the queue closed.
  using Callback = std::function<void(SqlResult<WriteTicket>)>;
  using WaitId = std::uint64_t;

  WriteQueue();
  ~WriteQueue();
  WriteQueue(const WriteQueue&) = delete;
  WriteQueue& operator=(const WriteQueue&) = delete;

  /// Calls `callback` at once if nobody holds the ticket or waits for it.
  WaitId acquire(Callback callback, Clock::time_point deadline = Clock::time_point::max());
  /// The callback will not be called: true. It has been or is being called: false.
  bool cancel(WaitId id);

  /// Ends the waits whose deadline is not after `now`.
  void expire(Clock::time_point now);
  /// When expire() has something to do next.
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  [[nodiscard]] std::size_t waiting() const;

  /// Ends all waits, and those that come later at once.
  void close();

 private:
  std::shared_ptr<WriteTicket::State> state_;
};

}  // namespace walferry::engine
