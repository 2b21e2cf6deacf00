/// The HTTP side of published databases: walferry's own protocol (docs/protocol.md).
///
/// Thread safety: add() and remove() and handle() may be called from any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "engine/publication.h"
#include "net/http_server.h"
#include "walferry/server.hpp"

namespace walferry::engine {

class FerryService {
 public:
  /// `status` answers ferry/status.
  explicit FerryService(std::function<ServerStatus()> status) : status_(std::move(status)) {}

  void add(const std::string& name, std::shared_ptr<Publication> publication);
  void remove(const std::string& name);
  net::HttpResponse handle(const net::HttpRequest& request);

 private:
  /// The publication and the rest of the path after "/ferry/".
  Result<std::pair<std::shared_ptr<Publication>, std::string>> route(const std::string& path) const;

  std::function<ServerStatus()> status_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Publication>> publications_;
};

}  // namespace walferry::engine
