#include "tests/support/daemons.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>
#include <stdexcept>

#include "tests/support/polling.h"
#include "tests/support/temporary_directory.h"

namespace walferry::tests {
namespace {

std::string percent_encoded(const std::string& text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '.' || c == '-' || c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4U];
      out += kDigits[byte & 15U];
    }
  }
  return out;
}

std::vector<std::string> joined(std::vector<std::string> begin,
                                const std::vector<std::string>& end) {
  begin.insert(begin.end(), end.begin(), end.end());
  return begin;
}

// The start of a generation is the state in which the one before ended, and has its checksum.
bool same_state(const std::string& a, const std::string& b) {
  return a.size() > 33 && b.size() > 33 && a.substr(0, 32) == b.substr(0, 32) &&
         a.substr(a.rfind('.')) == b.substr(b.rfind('.'));
}

}  // namespace

std::uint16_t free_port() {
  static std::minstd_rand random(std::random_device{}());
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const auto port = static_cast<std::uint16_t>(12'000 + random() % 20'000);
    const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int bound = bind(socket_fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    close(socket_fd);
    if (bound == 0) return port;
  }
  throw std::runtime_error("no free port");
}

std::string json_field(const std::string& json, const std::string& name) {
  const std::string key = "\"" + name + "\":";
  auto at = json.find(key);
  if (at == std::string::npos) return "";
  at += key.size();
  if (json[at] != '"') return json.substr(at, json.find_first_of(",}]", at) - at);
  std::string value;
  for (++at; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] == '\\') ++at;
    value += json[at];
  }
  return value;
}

std::uint64_t json_number(const std::string& json, const std::string& name) {
  const std::string text = json_field(json, name);
  return text.empty() ? 0 : std::stoull(text);
}

Finished walferry(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), WALFERRY_PROGRAM);
  return run_to_end(arguments);
}

void Daemon::start() {
  std::vector<std::string> command = runner_;
  command.emplace_back(WALFERRY_PROGRAM);
  command.insert(command.end(), arguments_.begin(), arguments_.end());
  process_ = ChildProcess(command, {"/dev/null", log_});
}

void Daemon::kill_hard() {
  if (process_.started()) (void)process_.end(SIGKILL);
}

int Daemon::stop() { return process_.end(SIGTERM); }

std::string Daemon::log() const { return content_of(log_); }

std::size_t Daemon::count_in_log(const std::string& text) const {
  const std::string all = log();
  std::size_t count = 0;
  for (auto at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++count;
  return count;
}

bool Daemon::wait_for_log(const std::string& text, std::size_t times) const {
  return wait_until([&] { return count_in_log(text) >= times; });
}

PrimaryDaemon::PrimaryDaemon(const std::filesystem::path& database,
                             const std::filesystem::path& log,
                             const std::vector<std::string>& options, std::uint16_t port)
    : Daemon(joined({"serve", database.string(), "--listen", "127.0.0.1:" + std::to_string(port)},
                    options),
             log),
      port_(port) {
  name_ = database.filename();
}

std::string PrimaryDaemon::url() const {
  return "http://127.0.0.1:" + std::to_string(port_) + "/db/" + percent_encoded(name_);
}

std::string PrimaryDaemon::status() const {
  return walferry({"status", "http://127.0.0.1:" + std::to_string(port_), "--json"}).output;
}

bool PrimaryDaemon::wait_until_serving() const {
  return wait_until([&] { return json_field(status(), "state") == "published"; });
}

ReplicaDaemon::ReplicaDaemon(const std::string& url, std::filesystem::path local,
                             const std::filesystem::path& log,
                             const std::vector<std::string>& options)
    : Daemon(joined({"replicate", url, local.string()}, options), log), local_(std::move(local)) {}

std::string ReplicaDaemon::status() const {
  return walferry({"status", local_.string(), "--json"}).output;
}

bool wait_until_equal(const PrimaryDaemon& primary, const ReplicaDaemon& replica,
                      std::chrono::milliseconds patience) {
  // The primary notices a commit within milliseconds; standing still over two looks is enough.
  std::string before = "none";
  return wait_until(
      [&] {
        const std::string there = primary.position();
        const bool still = there == before;
        before = there;
        if (there.empty() || !still) return false;
        const std::string here = replica.status();
        return same_state(json_field(here, "position"), there) &&
               json_field(here, "state") == "live";
      },
      patience, std::chrono::milliseconds(50));
}

}  // namespace walferry::tests
