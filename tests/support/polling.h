/// Waiting in tests: for a condition, never for a time.
#pragma once

#include <chrono>
#include <thread>

namespace walferry::tests {

/// Whether `condition()` became true before the patience ended. Asked every few milliseconds.
template <class Condition>
bool wait_until(Condition condition,
                std::chrono::milliseconds patience = std::chrono::milliseconds(30'000),
                std::chrono::milliseconds pause = std::chrono::milliseconds(10)) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return condition();
    std::this_thread::sleep_for(pause);
  }
  return true;
}

}  // namespace walferry::tests
