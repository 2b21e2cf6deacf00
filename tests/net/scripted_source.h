/// Body sources that do what a test says, and a log that a test can look into.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/http_server.h"

namespace walferry::net::test {

/// What a scripted source does; shared by the test and the source, which the server owns.
struct Script {
  std::mutex mutex;
  std::deque<std::string> pieces;
  PullState when_empty = PullState::kPending;
  std::function<void()> waker;
  std::function<void()> before_pending;  ///< called inside pull()
  std::atomic<std::uint64_t> pulled_bytes = 0;
  std::atomic<unsigned> pending_count = 0;
  std::atomic<bool> released = false;

  void add(std::string piece) {
    {
      const std::lock_guard lock(mutex);
      pieces.push_back(std::move(piece));
    }
    wake();
  }
  void finish(PullState state) {
    {
      const std::lock_guard lock(mutex);
      when_empty = state;
    }
    wake();
  }
  void wake() {
    std::function<void()> call;
    {
      const std::lock_guard lock(mutex);
      call = waker;
    }
    if (call) call();
  }
};

class ScriptedSource final : public BodySource {
 public:
  explicit ScriptedSource(std::shared_ptr<Script> script) : script_(std::move(script)) {}
  ~ScriptedSource() override { script_->released = true; }

  PullState pull(BodyPiece& piece) override {
    std::unique_lock lock(script_->mutex);
    if (script_->pieces.empty()) {
      const PullState state = script_->when_empty;
      if (state != PullState::kPending) return state;
      const auto hook = std::exchange(script_->before_pending, nullptr);
      lock.unlock();
      if (hook) hook();
      ++script_->pending_count;
      return PullState::kPending;
    }
    auto bytes = std::make_shared<std::string>(std::move(script_->pieces.front()));
    script_->pieces.pop_front();
    script_->pulled_bytes += bytes->size();
    piece.bytes = std::as_bytes(std::span(*bytes));
    piece.owner = std::move(bytes);
    return PullState::kReady;
  }
  void set_waker(std::function<void()> waker) override {
    const std::lock_guard lock(script_->mutex);
    script_->waker = std::move(waker);
  }

 private:
  std::shared_ptr<Script> script_;
};

/// Yields the same piece again and again.
class EndlessSource final : public BodySource {
 public:
  EndlessSource(std::size_t piece_bytes, std::shared_ptr<std::atomic<std::uint64_t>> pulled)
      : piece_(std::make_shared<std::string>(piece_bytes, 'e')), pulled_(std::move(pulled)) {}
  PullState pull(BodyPiece& piece) override {
    *pulled_ += piece_->size();
    piece = {piece_, std::as_bytes(std::span(*piece_))};
    return PullState::kReady;
  }
  void set_waker(std::function<void()>) override {}

 private:
  std::shared_ptr<std::string> piece_;
  std::shared_ptr<std::atomic<std::uint64_t>> pulled_;
};

struct Log {
  std::mutex mutex;
  std::vector<std::string> lines;
  LogSink sink() {
    return [this](LogLevel, std::string_view line) {
      const std::lock_guard lock(mutex);
      lines.emplace_back(line);
    };
  }
  std::size_t count(std::string_view text) {
    const std::lock_guard lock(mutex);
    return static_cast<std::size_t>(std::ranges::count_if(
        lines, [&](const std::string& line) { return line.find(text) != std::string::npos; }));
  }
};

}  // namespace walferry::net::test
