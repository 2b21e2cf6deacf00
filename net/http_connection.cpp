#include "net/http_connection.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/socket_base.hpp>
#include <chrono>
#include <climits>
#include <ctime>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "net/http_body_batch.h"
#include "net/http_message.h"
#include "net/http_request_reader.h"

namespace walferry::net {
namespace {

namespace asio = boost::asio;
using BoostError = boost::system::error_code;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kReadBytes = std::size_t{32} * 1024;
/// How much of later requests is taken in while a stream is being answered.
constexpr std::size_t kReadAheadBytes = std::size_t{64} * 1024;
/// How long a peer that we leave has to read our last words before the connection is closed.
constexpr milliseconds kDrainTime{1'000};

constexpr HttpProblem kTooManyConnections{503, "too_many_connections",
                                          "the server has as many connections as it may have"};
constexpr HttpProblem kRequestTimeout{408, "request_timeout",
                                      "the request took too long to arrive"};
constexpr HttpProblem kHandlerFailed{500, "internal", "the server failed to answer"};

class Connection;

/// The way from a source's waker, on any thread, to the strand. Wakes between two visits of the
/// strand become one. Once closed it does nothing, which is all that a stale waker may do.
class WakeGate : public std::enable_shared_from_this<WakeGate> {
 public:
  explicit WakeGate(std::weak_ptr<Connection> target) : target_(std::move(target)) {}

  void wake();

  /// On the strand: a wake from now on posts anew.
  void arrived() {
    const std::lock_guard lock(mutex_);
    posted_ = false;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }

 private:
  std::mutex mutex_;
  const std::weak_ptr<Connection> target_;
  bool open_ = true;
  bool posted_ = false;
};

/// The way of an answer that comes later, from any thread, to the strand. Once closed, which is
/// when the connection closes, it does nothing.
class AnswerGate : public std::enable_shared_from_this<AnswerGate> {
 public:
  explicit AnswerGate(std::weak_ptr<Connection> target) : target_(std::move(target)) {}

  void answer(HttpResponse response);
  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }

 private:
  std::mutex mutex_;
  const std::weak_ptr<Connection> target_;
  bool open_ = true;
};

/// Answers through the gate, and for a handler that forgets to.
class Answerer {
 public:
  explicit Answerer(std::shared_ptr<AnswerGate> gate) : gate_(std::move(gate)) {}
  Answerer(const Answerer&) = delete;
  Answerer& operator=(const Answerer&) = delete;
  ~Answerer();

  void answer(HttpResponse response) const { gate_->answer(std::move(response)); }

 private:
  const std::shared_ptr<AnswerGate> gate_;
};

std::string name_of(const ConnectionSocket& socket) {
  BoostError error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return "unknown";
  asio::ip::address address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  const std::string text = address.to_string();
  return (address.is_v6() ? "[" + text + "]" : text) + ":" + std::to_string(endpoint.port());
}

template <int name>
using TcpOption = asio::detail::socket_option::integer<IPPROTO_TCP, name>;

void tune(ConnectionSocket& socket, milliseconds stall_timeout) {
  BoostError ignored;
  socket.non_blocking(true, ignored);
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  socket.set_option(TcpOption<TCP_KEEPIDLE>(30), ignored);
  socket.set_option(TcpOption<TCP_KEEPINTVL>(10), ignored);
  socket.set_option(TcpOption<TCP_KEEPCNT>(3), ignored);
  // A peer that vanished with bytes on the way: keepalive does not look then, and our own clock
  // runs only while a write waits.
  const auto limit = std::clamp<std::int64_t>(stall_timeout.count(), 0, INT_MAX);
  socket.set_option(TcpOption<TCP_USER_TIMEOUT>(static_cast<int>(limit)), ignored);
}

/// Bytes that the kernel holds for the peer; the number falls as the peer takes some.
int unsent_bytes(ConnectionSocket& socket) {
  int count = 0;
  return ioctl(socket.native_handle(), SIOCOUTQ, &count) == 0 ? count : 0;
}

class Connection final : public HttpConnection, public std::enable_shared_from_this<Connection> {
 public:
  Connection(HttpService& service, ConnectionSocket socket, Admission admission)
      : service_(service),
        admission_(admission),
        socket_(std::move(socket)),
        reader_(service.options.max_header_bytes, service.options.max_body_bytes),
        timer_(socket_.get_executor()) {
    ++(admission_ == Admission::kServe ? service_.served_count : service_.refused_count);
  }
  ~Connection() override {
    --(admission_ == Admission::kServe ? service_.served_count : service_.refused_count);
  }

  void start();
  void close() override;
  void woken(const WakeGate* gate);
  void answered(const AnswerGate* gate, HttpResponse response);
  [[nodiscard]] ConnectionStrand strand() { return socket_.get_executor(); }

 private:
  enum class Phase {
    kIdle,            ///< no byte of a request yet
    kReceiving,       ///< a part of a request is here
    kAwaitingAnswer,  ///< the handler answers later: the gate comes next
    kWriting,         ///< a write is on its way; after_write_ comes next
    kAwaitingSource,  ///< the stream is pending: the waker comes next
    kDraining,        ///< all is said: waiting for the peer's end, so that it reads it
    kClosed,
  };
  using Step = void (Connection::*)();

  template <class Function>
  auto guarded(Function function);

  void next_request();
  void parse();
  void answer();
  void answer_later(const std::function<void(HttpResponder)>& later);
  void refuse(const HttpProblem& problem);
  void respond(HttpResponse response);
  void continue_receiving();

  void begin_stream(std::unique_ptr<BodySource> source, BodyFraming framing, std::uint64_t length);
  void pump();
  void batch_written();
  void finish_response();
  void drop_stream();

  void write(Step after);
  void write_some();
  void written(std::size_t count);
  void wait_readable();
  void readable();
  void drain();
  void reset();

  void arm(milliseconds limit);
  void set_timer();
  void timer_fired();

  HttpService& service_;
  const Admission admission_;
  ConnectionSocket socket_;
  std::string peer_;
  Phase phase_ = Phase::kIdle;

  std::string in_;  ///< received, not yet used
  bool read_waiting_ = false;
  bool peer_ended_ = false;  ///< the peer will send no more
  HttpRequestReader reader_;

  bool keep_alive_ = false;
  std::string head_;
  std::string body_;
  std::vector<asio::const_buffer> out_;
  std::size_t out_index_ = 0;  ///< the first buffer of out_ that is not fully written
  Step after_write_ = nullptr;

  std::unique_ptr<BodySource> source_;
  std::shared_ptr<WakeGate> gate_;
  std::shared_ptr<AnswerGate> answer_gate_;
  std::optional<HttpBodyBatch> batch_;
  PullState last_pull_ = PullState::kReady;
  bool until_close_ = false;

  /// One timer serves all deadlines. It is not moved when a deadline moves back, which happens
  /// with every write: it fires, sees that it is early, and goes on.
  asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, ConnectionStrand> timer_;
  Clock::time_point deadline_ = Clock::time_point::max();
  bool timer_set_ = false;
  int unsent_at_arming_ = 0;
};

void WakeGate::wake() {
  const std::lock_guard lock(mutex_);
  if (!open_ || posted_) return;
  auto target = target_.lock();
  if (!target) return;
  // Under the lock: the server, and with it the strand, may be gone as soon as close() returns.
  const ConnectionStrand strand = target->strand();
  asio::post(strand, [self = shared_from_this(), target = std::move(target)] {
    self->arrived();
    target->woken(self.get());
  });
  posted_ = true;
}

void AnswerGate::answer(HttpResponse response) {
  const std::lock_guard lock(mutex_);
  if (!open_) return;
  open_ = false;
  auto target = target_.lock();
  if (!target) return;
  // Under the lock, for the reason that WakeGate has.
  const ConnectionStrand strand = target->strand();
  asio::post(strand, [self = shared_from_this(), target = std::move(target),
                      response = std::move(response)]() mutable {
    target->answered(self.get(), std::move(response));
  });
}

Answerer::~Answerer() { gate_->answer(problem_response(kHandlerFailed)); }

/// A completion handler that keeps the connection alive, does nothing once it is closed, and lets
/// no exception into Asio.
template <class Function>
auto Connection::guarded(Function function) {
  return [self = shared_from_this(), function](auto... arguments) {
    if (self->phase_ == Phase::kClosed) return;
    try {
      function(arguments...);
    } catch (const std::exception& failure) {
      self->service_.log(LogLevel::kError,
                         "serving " + self->peer_ + ": " + failure.what() + ": connection closed");
      self->close();
    } catch (...) {
      self->service_.log(LogLevel::kError,
                         "serving " + self->peer_ + ": unknown exception: connection closed");
      self->close();
    }
  };
}

void Connection::start() {
  asio::dispatch(socket_.get_executor(), guarded([this] {
                   peer_ = name_of(socket_);
                   tune(socket_, service_.options.write_stall_timeout);
                   if (admission_ == Admission::kRefuse) {
                     refuse(kTooManyConnections);
                   } else {
                     next_request();
                   }
                 }));
}

void Connection::close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  const auto self = shared_from_this();
  BoostError ignored;
  socket_.close(ignored);
  timer_.cancel();
  service_.open.remove(this);
  if (answer_gate_) answer_gate_->close();
  answer_gate_.reset();
  drop_stream();
}

/// Closes so that the peer notices even where the end of the connection would be a good end.
void Connection::reset() {
  BoostError ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  close();
}

// Receiving.

void Connection::next_request() {
  phase_ = Phase::kIdle;
  reader_.restart();
  arm(service_.options.keep_alive_timeout);
  parse();
}

void Connection::parse() {
  for (;;) {
    if (phase_ == Phase::kIdle) {
      // Some clients end a body with an extra line; it is nobody's request.
      in_.erase(0, std::min(in_.find_first_not_of("\r\n"), in_.size()));
      if (in_.empty()) break;
      phase_ = Phase::kReceiving;
      arm(service_.options.header_timeout);
    }
    std::size_t consumed = 0;
    const auto step = reader_.feed(in_, consumed);
    in_.erase(0, consumed);
    if (step == HttpRequestReader::Step::kNeedMore) break;
    if (step == HttpRequestReader::Step::kRejected) return refuse(reader_.problem());
    if (step == HttpRequestReader::Step::kComplete) return answer();
    if (reader_.expects_continue() && in_.empty()) {
      static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      out_.assign(1, asio::const_buffer(kContinue.data(), kContinue.size()));
      return write(&Connection::continue_receiving);
    }
  }
  if (in_.empty() && in_.capacity() > kReadBytes) std::string().swap(in_);
  if (peer_ended_) return close();
  wait_readable();
}

void Connection::continue_receiving() {
  phase_ = Phase::kReceiving;
  arm(service_.options.header_timeout);
  parse();
}

void Connection::wait_readable() {
  if (read_waiting_ || peer_ended_) return;
  read_waiting_ = true;
  socket_.async_wait(asio::socket_base::wait_read, guarded([this](BoostError error) {
                       read_waiting_ = false;
                       if (error) return close();
                       readable();
                     }));
}

void Connection::readable() {
  std::array<char, kReadBytes> bytes;  // NOLINT: left uninitialised, for it is overwritten
  BoostError error;
  const std::size_t count = socket_.read_some(asio::buffer(bytes), error);
  if (error == asio::error::would_block || error == asio::error::interrupted) {
    return wait_readable();
  }
  if (error && error != asio::error::eof) return close();
  peer_ended_ = error == asio::error::eof;
  switch (phase_) {
    case Phase::kIdle:
    case Phase::kReceiving:
      if (peer_ended_) return close();
      in_.append(bytes.data(), count);
      return parse();
    case Phase::kAwaitingAnswer:
    case Phase::kWriting:
    case Phase::kAwaitingSource:
      // A peer that only half-closed may still read a stream that flows, and a write tells if it
      // does not. While the stream is silent nothing would ever tell: it counts as gone.
      if (peer_ended_ && phase_ == Phase::kAwaitingSource) return close();
      in_.append(bytes.data(), count);
      if (in_.size() < kReadAheadBytes) wait_readable();
      return;
    case Phase::kDraining:
      return peer_ended_ ? close() : wait_readable();
    case Phase::kClosed:
      return;
  }
}

// Answering.

void Connection::answer() {
  deadline_ = Clock::time_point::max();
  keep_alive_ = reader_.keep_alive();
  HttpRequest request = reader_.take();
  request.peer = peer_;
  std::optional<HttpResponse> response;
  std::string failure;
  try {
    response = service_.handler(request);
  } catch (const std::exception& exception) {
    failure = exception.what();
  } catch (...) {
    failure = "unknown exception";
  }
  if (!response) {
    service_.log(LogLevel::kError,
                 "handling " + request.method + " " + request.path + ": " + failure);
    return respond(problem_response(kHandlerFailed));
  }
  if (response->later) return answer_later(response->later);
  const auto condition = request.header("if-none-match");
  const auto etag = find_header(response->headers, "etag");
  if (condition && etag && request.method == "GET" && response->status == 200 &&
      etag_matches(*condition, *etag)) {
    response->status = 304;
  }
  respond(std::move(*response));
}

void Connection::answer_later(const std::function<void(HttpResponder)>& later) {
  phase_ = Phase::kAwaitingAnswer;
  answer_gate_ = std::make_shared<AnswerGate>(weak_from_this());
  auto answerer = std::make_shared<Answerer>(answer_gate_);
  later([answerer](HttpResponse response) { answerer->answer(std::move(response)); });
  wait_readable();
}

void Connection::answered(const AnswerGate* gate, HttpResponse response) {
  if (phase_ != Phase::kAwaitingAnswer || gate != answer_gate_.get()) return;
  answer_gate_.reset();
  guarded([this, &response] { respond(std::move(response)); })();
}

void Connection::refuse(const HttpProblem& problem) {
  keep_alive_ = false;
  respond(problem_response(problem));
}

void Connection::respond(HttpResponse response) {
  const bool from_1_0 = admission_ == Admission::kServe && reader_.is_http_1_0();
  ResponseHeadPlan plan{.length = response.body.size(),
                        .keep_alive = keep_alive_,
                        .http_1_0_peer = from_1_0,
                        .now = std::time(nullptr)};
  if (response.status == 204 || response.status == 304) {
    plan.framing = BodyFraming::kNone;
  } else if (response.stream && response.stream_length) {
    plan.length = *response.stream_length;
  } else if (response.stream) {
    plan.framing = from_1_0 ? BodyFraming::kUntilClose : BodyFraming::kChunked;
    if (from_1_0) plan.keep_alive = false;
  }
  auto head = response_head(response, plan);
  if (!head) {
    service_.log(LogLevel::kError, "answering " + peer_ + ": the handler's status or one of its " +
                                       "headers cannot be sent");
    return respond(problem_response(kHandlerFailed));
  }
  keep_alive_ = plan.keep_alive;
  head_ = std::move(*head);
  out_.assign(1, asio::buffer(head_));
  const bool send_body = plan.framing != BodyFraming::kNone && !reader_.is_head();
  if (send_body && response.stream) {
    return begin_stream(std::move(response.stream), plan.framing, plan.length);
  }
  if (send_body) {
    body_ = std::move(response.body);
    out_.emplace_back(asio::buffer(body_));
  }
  write(&Connection::finish_response);
}

void Connection::begin_stream(std::unique_ptr<BodySource> source, BodyFraming framing,
                              std::uint64_t length) {
  source_ = std::move(source);
  batch_.emplace(framing, length);
  until_close_ = framing == BodyFraming::kUntilClose;
  gate_ = std::make_shared<WakeGate>(weak_from_this());
  source_->set_waker([gate = gate_] { gate->wake(); });
  wait_readable();  // to notice that the peer left
  pump();
}

/// Draws a batch and writes it, behind what out_ holds already: the head, the first time.
void Connection::pump() {
  last_pull_ = batch_->fill(*source_);
  batch_->append_to(out_);
  if (!out_.empty()) return write(&Connection::batch_written);
  if (last_pull_ != PullState::kPending) return batch_written();
  if (peer_ended_) return close();
  phase_ = Phase::kAwaitingSource;
  deadline_ = Clock::time_point::max();
}

void Connection::batch_written() {
  batch_->clear();
  if (last_pull_ == PullState::kEnd) return finish_response();
  if (last_pull_ != PullState::kFailed) return pump();
  if (batch_->length_broken()) {
    service_.log(LogLevel::kError, "answering " + peer_ +
                                       ": the body has another length than announced: connection "
                                       "closed");
  }
  return until_close_ ? reset() : close();
}

void Connection::woken(const WakeGate* gate) {
  if (phase_ != Phase::kAwaitingSource || gate != gate_.get()) return;
  guarded([this] { pump(); })();
}

void Connection::finish_response() {
  drop_stream();
  std::string().swap(body_);
  if (keep_alive_) return next_request();
  drain();
}

void Connection::drop_stream() {
  if (gate_) gate_->close();
  gate_.reset();
  batch_.reset();
  source_.reset();
}

/// Closing at once would reset the connection when bytes of the peer are unread, and the answer
/// could be lost with it: our end first, then the peer's, or no longer than kDrainTime.
void Connection::drain() {
  phase_ = Phase::kDraining;
  BoostError error;
  socket_.shutdown(asio::socket_base::shutdown_send, error);
  if (error || peer_ended_) return close();
  arm(kDrainTime);
  wait_readable();
}

// Writing.

void Connection::write(Step after) {
  phase_ = Phase::kWriting;
  after_write_ = after;
  out_index_ = 0;
  write_some();
}

void Connection::write_some() {
  arm(service_.options.write_stall_timeout);
  unsent_at_arming_ = unsent_bytes(socket_);
  socket_.async_write_some(std::span<const asio::const_buffer>(out_).subspan(out_index_),
                           guarded([this](BoostError error, std::size_t count) {
                             if (error) return close();
                             written(count);
                           }));
}

void Connection::written(std::size_t count) {
  while (out_index_ < out_.size() && count >= out_[out_index_].size()) {
    count -= out_[out_index_].size();
    ++out_index_;
  }
  if (out_index_ < out_.size()) {
    out_[out_index_] += count;
    return write_some();
  }
  out_.clear();
  (this->*after_write_)();
}

// Deadlines.

void Connection::arm(milliseconds limit) {
  deadline_ = limit.count() > 0 ? Clock::now() + limit : Clock::time_point::max();
  if (deadline_ != Clock::time_point::max() && (!timer_set_ || timer_.expiry() > deadline_)) {
    set_timer();
  }
}

void Connection::set_timer() {
  timer_set_ = true;
  timer_.expires_at(deadline_);
  timer_.async_wait(guarded([this](BoostError error) {
    if (error == asio::error::operation_aborted) return;  // it was set anew
    timer_set_ = false;
    timer_fired();
  }));
}

void Connection::timer_fired() {
  if (deadline_ == Clock::time_point::max()) return;
  if (Clock::now() < deadline_) return set_timer();
  switch (phase_) {
    case Phase::kReceiving:
      return refuse(kRequestTimeout);
    case Phase::kWriting: {
      // The kernel reports room only when there is much of it; a slow peer may well be reading.
      const int unsent = unsent_bytes(socket_);
      if (unsent < unsent_at_arming_) {
        unsent_at_arming_ = unsent;
        return arm(service_.options.write_stall_timeout);
      }
      service_.log(LogLevel::kInfo, "answering " + peer_ +
                                        ": it took nothing for the write stall timeout: "
                                        "connection closed");
      return reset();
    }
    case Phase::kIdle:
    case Phase::kAwaitingAnswer:
    case Phase::kAwaitingSource:
    case Phase::kDraining:
    case Phase::kClosed:
      return close();
  }
}

}  // namespace

void HttpConnectionSet::add(std::shared_ptr<HttpConnection> connection) {
  const std::lock_guard lock(mutex_);
  HttpConnection* const key = connection.get();
  open_.emplace(key, std::move(connection));
}

void HttpConnectionSet::remove(HttpConnection* connection) {
  const std::lock_guard lock(mutex_);
  open_.erase(connection);
}

std::vector<std::shared_ptr<HttpConnection>> HttpConnectionSet::take_all() {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<HttpConnection>> all;
  all.reserve(open_.size());
  for (auto& [key, connection] : open_) all.push_back(std::move(connection));
  open_.clear();
  return all;
}

void run_connection(HttpService& service, ConnectionSocket socket, Admission admission) {
  auto connection = std::make_shared<Connection>(service, std::move(socket), admission);
  service.open.add(connection);
  connection->start();
}

}  // namespace walferry::net
