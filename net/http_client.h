/// HTTP requests over libcurl's multi interface, driven by the calling thread.
///
/// A client keeps its connections alive between calls. One thread at a time may call perform();
/// wake() and cancel() may be called from any thread at any moment. Sole user of libcurl.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "walferry/error.hpp"

namespace walferry::net {

struct HttpCall {
  std::string method = "GET";  ///< GET or POST
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  ///< of a POST
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds idle_timeout{30'000};  ///< no byte received for so long
  std::chrono::milliseconds total_timeout{0};      ///< 0: none
  std::uint64_t limit_rate = 0;                    ///< bytes per second; 0: no limit
};

struct HttpReply {
  long status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
  std::string body;  ///< of a non-2xx answer (at most 64 KiB of it), or all when there is no sink
  std::uint64_t bytes_received = 0;

  [[nodiscard]] std::optional<std::string_view> header(std::string_view lower_case_name) const;
};

/// Receives the body of a 2xx answer piece by piece on the calling thread, at its own pace: while
/// it runs nothing more is read. An error ends the call and is what perform() returns.
using DataSink = std::function<Status(std::span<const std::byte>)>;

/// Called on the calling thread when the wait of the last tick is over or after wake(). Returns
/// how long to wait at most until the next one, or an error that ends the call.
using Tick = std::function<Result<std::chrono::milliseconds>()>;

class HttpClient {
 public:
  static Result<std::unique_ptr<HttpClient>> create();
  virtual ~HttpClient() = default;

  /// Runs one request to its end. A non-2xx status is not an error here. Errors: kNetwork,
  /// kTimeout (which deadline, and where), kCancelled, or what sink or tick returned.
  /// A body without sink is limited to 64 MiB.
  virtual Result<HttpReply> perform(const HttpCall& call, const DataSink& sink = {},
                                    const Tick& tick = {}) = 0;
  virtual void wake() = 0;
  /// The running call and all later ones end at once with kCancelled, until reset().
  virtual void cancel() = 0;
  virtual void reset() = 0;
};

}  // namespace walferry::net
