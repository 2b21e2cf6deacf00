/// The streams that HTTP clients keep from one request to the next, each under a baton.
///
/// A baton is good for one request: take() gives the stream out and forgets it, put() keeps it
/// again under another. So a stream is in the hands of one request at a time. Batons are 128 bits
/// of the system's randomness: nobody guesses another's.
///
/// Reads no clock: the caller says what time it is. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/sql_value.h"

namespace walferry::engine {

class SqlStream;

class SqlStreams {
 public:
  using Clock = std::chrono::steady_clock;

  /// BATON_INVALID: it never was one. STREAM_EXPIRED: it was used, or its stream is gone.
  std::expected<std::shared_ptr<SqlStream>, net::SqlError> take(std::string_view baton);
  /// Keeps the stream until `expires_at`.
  std::string put(std::shared_ptr<SqlStream> stream, Clock::time_point expires_at);
  /// The streams whose time is over; nobody else has them.
  std::vector<std::shared_ptr<SqlStream>> take_expired(Clock::time_point now);
  std::vector<std::shared_ptr<SqlStream>> take_all();
  [[nodiscard]] std::size_t size() const;

 private:
  struct Kept {
    std::shared_ptr<SqlStream> stream;
    Clock::time_point expires_at;
  };

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Kept> kept_;
};

}  // namespace walferry::engine
