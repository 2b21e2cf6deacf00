/// A TCP proxy before a server that damages what the server sends, at offsets drawn from a seed.
/// What the client sends passes as it is.
/// Thread safety: every member may be called from any thread. Destruction ends all connections.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace walferry::tests {

enum class Damage {
  kNone,
  kFlip,     ///< one byte is another
  kCut,      ///< some bytes are missing
  kBreak,    ///< the connection ends in the middle
  kRepeat,   ///< some bytes come twice
  kReorder,  ///< two neighbouring stretches change places
};
std::string to_string(Damage damage);

class DamagingProxy {
 public:
  DamagingProxy(std::uint16_t server_port, std::uint32_t seed);
  ~DamagingProxy();
  DamagingProxy(const DamagingProxy&) = delete;
  DamagingProxy& operator=(const DamagingProxy&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// From now on each connection is damaged at the latest after `reach` bytes from the server,
  /// again and again; connections that are open are cut.
  void set_damage(Damage damage, std::uint64_t reach);
  /// Lets at most so many bytes per second of the server pass on each connection; 0: no limit.
  void set_rate(std::uint64_t bytes_per_second) { rate_ = bytes_per_second; }
  /// Ends each connection now; new ones are accepted.
  void cut_connections();
  [[nodiscard]] std::uint64_t damages_done() const noexcept { return damages_done_; }
  /// Bytes that the server sent through.
  [[nodiscard]] std::uint64_t bytes_from_server() const noexcept { return bytes_from_server_; }

 private:
  struct Connection {
    int client = -1;
    int server = -1;
    bool open = true;
    std::thread thread;
  };
  struct Plan {
    Damage damage = Damage::kNone;
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
  };

  void accept_all();
  void carry(Connection& connection, Plan plan);
  bool pass_damaged(int to, std::string bytes, std::uint64_t begin, Plan& plan);
  Plan draw_plan();

  std::uint16_t server_port_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  std::mutex mutex_;
  std::minstd_rand random_;
  Damage damage_ = Damage::kNone;
  std::uint64_t reach_ = 1;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> damages_done_ = 0;
  std::atomic<std::uint64_t> bytes_from_server_ = 0;
  std::atomic<std::uint64_t> rate_ = 0;
  std::thread acceptor_;
};

}  // namespace walferry::tests
