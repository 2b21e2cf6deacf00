#include "tests/support/damaging_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <stdexcept>

namespace walferry::tests {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool send_all(int to, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = send(to, bytes, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

}  // namespace

std::string to_string(Damage damage) {
  switch (damage) {
    case Damage::kNone:
      return "none";
    case Damage::kFlip:
      return "flip";
    case Damage::kCut:
      return "cut";
    case Damage::kBreak:
      return "break";
    case Damage::kRepeat:
      return "repeat";
    case Damage::kReorder:
      return "reorder";
  }
  return "";
}

DamagingProxy::DamagingProxy(std::uint16_t server_port, std::uint32_t seed)
    : server_port_(server_port), random_(seed) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      listen(listener_, 16) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("the proxy cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

DamagingProxy::~DamagingProxy() {
  stopping_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  cut_connections();
  for (const auto& connection : connections_) connection->thread.join();
}

void DamagingProxy::set_damage(Damage damage, std::uint64_t reach) {
  {
    const std::lock_guard lock(mutex_);
    damage_ = damage;
    reach_ = reach;
  }
  cut_connections();
}

void DamagingProxy::cut_connections() {
  const std::lock_guard lock(mutex_);
  for (const auto& connection : connections_) {
    if (!connection->open) continue;
    shutdown(connection->client, SHUT_RDWR);
    shutdown(connection->server, SHUT_RDWR);
  }
}

DamagingProxy::Plan DamagingProxy::draw_plan() {
  // Small offsets (headers, first messages) are as likely as each larger magnitude.
  const double exponent = std::uniform_real_distribution<>(0, 1)(random_);
  Plan plan;
  plan.damage = damage_;
  plan.offset = static_cast<std::uint64_t>(std::pow(static_cast<double>(reach_), exponent)) - 1;
  plan.length = 1 + static_cast<std::uint32_t>(random_() % 600);
  return plan;
}

void DamagingProxy::accept_all() {
  while (!stopping_) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(server_port_);
    const bool connected =
        connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    if (!connected || stopping_) {
      close(client);
      close(server);
      continue;
    }
    const std::lock_guard lock(mutex_);
    auto connection = std::make_unique<Connection>();
    connection->client = client;
    connection->server = server;
    Connection& ours = *connection;
    const Plan plan = draw_plan();
    ours.thread = std::thread([this, &ours, plan] { carry(ours, plan); });
    connections_.push_back(std::move(connection));
  }
}

void DamagingProxy::carry(Connection& connection, Plan plan) {
  std::string buffer(64 * 1024, '\0');
  std::uint64_t passed = 0;
  for (bool open = true; open;) {
    pollfd ends[] = {{connection.client, POLLIN, 0}, {connection.server, POLLIN, 0}};
    if (poll(ends, 2, -1) < 0) break;
    for (int i = 0; i < 2 && open; ++i) {
      if (ends[i].revents == 0) continue;
      const ssize_t got = recv(ends[i].fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) {
        open = false;
        break;
      }
      const auto size = static_cast<std::size_t>(got);
      if (i == 0) {
        open = send_all(connection.server, buffer.data(), size);
        continue;
      }
      bytes_from_server_ += size;
      open = pass_damaged(connection.client, buffer.substr(0, size), passed, plan);
      passed += size;
      if (plan.damage == Damage::kNone) {
        // Some damage has no effect (a date in a header): there will be more.
        const std::lock_guard lock(mutex_);
        plan = draw_plan();
        plan.offset += passed;
      }
      if (const std::uint64_t rate = rate_) {
        std::this_thread::sleep_for(std::chrono::microseconds(size * 1'000'000 / rate));
      }
    }
  }
  const std::lock_guard lock(mutex_);
  connection.open = false;
  close(connection.client);
  close(connection.server);
}

bool DamagingProxy::pass_damaged(int to, std::string bytes, std::uint64_t begin, Plan& plan) {
  if (plan.damage != Damage::kNone && plan.offset < begin + bytes.size()) {
    const std::size_t at = plan.offset > begin ? plan.offset - begin : 0;
    const std::size_t length = std::min<std::size_t>(plan.length, bytes.size() - at);
    const Damage damage = plan.damage;
    plan.damage = Damage::kNone;
    ++damages_done_;
    switch (damage) {
      case Damage::kNone:
        break;
      case Damage::kFlip:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << (length % 8)));
        break;
      case Damage::kCut:
        bytes.erase(at, length);
        break;
      case Damage::kBreak:
        (void)send_all(to, bytes.data(), at);
        return false;
      case Damage::kRepeat:
        bytes.insert(at, bytes.substr(at, length));
        break;
      case Damage::kReorder:
        // The two halves of the stretch change places.
        bytes.replace(
            at, length,
            bytes.substr(at + length / 2, length - length / 2) + bytes.substr(at, length / 2));
        break;
    }
  }
  return send_all(to, bytes.data(), bytes.size());
}

}  // namespace walferry::tests
