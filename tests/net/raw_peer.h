/// Plain sockets on loopback for tests: peers that say and close exactly what a test wants.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace walferry::net::test {

/// Waits until `condition` holds; false when it does not within what is ample on any machine.
template <class Condition>
bool eventually(Condition condition) {
  for (int count = 0; count < 3'000; ++count) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

inline sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// One end of a connection. Closes it when it goes.
class RawPeer {
 public:
  explicit RawPeer(int descriptor) : descriptor_(descriptor) {
    const timeval limit{.tv_sec = 30, .tv_usec = 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  }
  RawPeer(RawPeer&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  RawPeer& operator=(RawPeer&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~RawPeer() { close(); }

  /// `receive_buffer` bounds how much the kernel takes in without being asked; 0: as it likes.
  static RawPeer connect(std::uint16_t port, int receive_buffer = 0) {
    RawPeer peer(::socket(AF_INET, SOCK_STREAM, 0));
    if (receive_buffer > 0) {
      setsockopt(peer.descriptor_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
    EXPECT_TRUE(peer.connect_to(port));
    return peer;
  }
  bool connect_to(std::uint16_t port) {
    const sockaddr_in address = loopback(port);
    return ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) ==
           0;
  }

  /// False when the other end is gone.
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  /// What comes next, "" at the end of the connection.
  std::string receive_some(std::size_t limit = 65'536) {
    std::string text(limit, '\0');
    const ssize_t count = ::recv(descriptor_, text.data(), text.size(), 0);
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    reset_seen_ = count < 0;
    return text;
  }
  /// All up to and with `mark`, or up to the end of the connection.
  std::string receive_through(std::string_view mark) {
    while (kept_.find(mark) == std::string::npos) {
      const std::string more = receive_some();
      if (more.empty()) return std::exchange(kept_, "");
      kept_ += more;
    }
    const std::size_t size = kept_.find(mark) + mark.size();
    std::string result = kept_.substr(0, size);
    kept_.erase(0, size);
    return result;
  }
  std::string receive_all() {
    for (;;) {
      const std::string more = receive_some();
      if (more.empty()) return std::exchange(kept_, "");
      kept_ += more;
    }
  }
  /// Whether the last receive ended with an error instead of an orderly end.
  [[nodiscard]] bool reset_seen() const { return reset_seen_; }

  void end_sending() const { ::shutdown(descriptor_, SHUT_WR); }
  /// Drops the connection the hard way.
  void reset() {
    const linger hard{.l_onoff = 1, .l_linger = 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close();
  }
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

 private:
  int descriptor_;
  std::string kept_;
  bool reset_seen_ = false;
};

/// A listening socket on a free port of 127.0.0.1.
class RawListener {
 public:
  explicit RawListener(int backlog = 16) : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (descriptor_ < 0) throw std::runtime_error("no socket for a listener");
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(descriptor_, generic, size), 0);
    EXPECT_EQ(::listen(descriptor_, backlog), 0);
    EXPECT_EQ(::getsockname(descriptor_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  RawListener(const RawListener&) = delete;
  RawListener& operator=(const RawListener&) = delete;
  ~RawListener() { ::close(descriptor_); }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] RawPeer accept() const { return RawPeer(::accept(descriptor_, nullptr, nullptr)); }

 private:
  int descriptor_;
  std::uint16_t port_ = 0;
};

}  // namespace walferry::net::test
