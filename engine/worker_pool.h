/// Threads that run what is handed to them, in the order in which it comes. For work that may wait
/// on disk or on SQLite's locks, which has no place on the threads of the network.
///
/// Thread-safe. Jobs must not throw.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace walferry::engine {

class WorkerPool {
 public:
  explicit WorkerPool(unsigned threads);
  ~WorkerPool() { stop(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// After stop() the job is dropped.
  void post(std::function<void()> job);
  /// Waits for the jobs under way; those that wait are dropped. Idempotent; not from a job.
  void stop();

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace walferry::engine
