/// One accepted connection: reads requests, asks the handler, writes answers, one after another.
///
/// Everything about a connection happens on its strand, so it needs no lock; only wakers come
/// from outside, through a gate that closes with the stream it belongs to. A connection stays in
/// the service's set until it closes, which is what keeps it alive.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/http_server.h"

namespace walferry::net {

using ConnectionStrand = boost::asio::strand<boost::asio::io_context::executor_type>;
using ConnectionSocket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, ConnectionStrand>;

class HttpConnection {
 public:
  HttpConnection() = default;
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;
  virtual ~HttpConnection() = default;
  /// Ends the connection and releases its body source. On the strand, or when no thread runs it.
  virtual void close() = 0;
};

/// The open connections of a server. Thread-safe.
class HttpConnectionSet {
 public:
  void add(std::shared_ptr<HttpConnection> connection);
  void remove(HttpConnection* connection);
  std::vector<std::shared_ptr<HttpConnection>> take_all();

 private:
  std::mutex mutex_;
  std::unordered_map<HttpConnection*, std::shared_ptr<HttpConnection>> open_;
};

/// What the connections of one server share. Outlives them.
struct HttpService {
  HttpServerOptions options;
  HttpHandler handler;
  HttpConnectionSet open{};
  std::atomic<unsigned> served_count = 0;   ///< open connections that get answers
  std::atomic<unsigned> refused_count = 0;  ///< open connections that are being told 503

  void log(LogLevel level, std::string_view message) const {
    if (options.log) options.log(level, message);
  }
};

enum class Admission { kServe, kRefuse };

/// Runs a connection on `socket`, from any thread. With kRefuse it only tells the peer 503.
void run_connection(HttpService& service, ConnectionSocket socket, Admission admission);

}  // namespace walferry::net
