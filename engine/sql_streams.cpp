#include "engine/sql_streams.h"

#include <sys/random.h>

#include <array>
#include <cassert>
#include <utility>

namespace walferry::engine {

namespace {

constexpr std::size_t kBatonSize = 32;
constexpr std::string_view kDigits = "0123456789abcdef";

std::string new_baton() {
  std::array<unsigned char, kBatonSize / 2> bits{};
  // So few bytes come whole, and without waiting once the system is up.
  [[maybe_unused]] const auto got = getrandom(bits.data(), bits.size(), 0);
  assert(got == static_cast<ssize_t>(bits.size()));
  std::string baton;
  baton.reserve(kBatonSize);
  for (const unsigned char byte : bits) {
    baton.push_back(kDigits[byte >> 4]);
    baton.push_back(kDigits[byte & 15]);
  }
  return baton;
}

}  // namespace

std::expected<std::shared_ptr<SqlStream>, net::SqlError> SqlStreams::take(std::string_view baton) {
  if (baton.size() != kBatonSize || baton.find_first_not_of(kDigits) != std::string_view::npos) {
    return std::unexpected(net::SqlError{
        "The baton is invalid: it was not given out by this server", "BATON_INVALID"});
  }
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(std::string(baton));
  if (found == kept_.end()) {
    return std::unexpected(
        net::SqlError{"The stream has expired due to inactivity, or its baton was used before",
                      "STREAM_EXPIRED"});
  }
  std::shared_ptr<SqlStream> stream = std::move(found->second.stream);
  kept_.erase(found);
  return stream;
}

std::string SqlStreams::put(std::shared_ptr<SqlStream> stream, Clock::time_point expires_at) {
  std::string baton = new_baton();
  const std::lock_guard lock(mutex_);
  kept_.insert_or_assign(baton, Kept{std::move(stream), expires_at});
  return baton;
}

std::vector<std::shared_ptr<SqlStream>> SqlStreams::take_expired(Clock::time_point now) {
  std::vector<std::shared_ptr<SqlStream>> expired;
  const std::lock_guard lock(mutex_);
  std::erase_if(kept_, [&](auto& entry) {
    if (entry.second.expires_at > now) return false;
    expired.push_back(std::move(entry.second.stream));
    return true;
  });
  return expired;
}

std::vector<std::shared_ptr<SqlStream>> SqlStreams::take_all() {
  return take_expired(Clock::time_point::max());
}

std::size_t SqlStreams::size() const {
  const std::lock_guard lock(mutex_);
  return kept_.size();
}

}  // namespace walferry::engine
