#include "net/http_client.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <exception>
#include <string>
#include <system_error>

#include "net/http_message.h"

namespace walferry::net {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr long kReceiveBytes = 512L * 1024;
constexpr std::size_t kMaxErrorBody = std::size_t{64} * 1024;
constexpr std::size_t kMaxBody = std::size_t{64} * 1024 * 1024;
/// How much of a refusal's body is read past what is kept, to save the connection.
constexpr std::uint64_t kMaxSkippedBody = std::uint64_t{1024} * 1024;
/// How far ahead of its rate a transfer may run before it pauses: the grain of the pacing.
constexpr milliseconds kPacingSlack{50};
/// The longest wait without a look around; nothing depends on its length.
constexpr milliseconds kLongestWait{60'000};

template <auto cleanup>
struct CurlDelete {
  void operator()(auto* handle) const { cleanup(handle); }
};
using EasyHandle = std::unique_ptr<CURL, CurlDelete<curl_easy_cleanup>>;
using MultiHandle = std::unique_ptr<CURLM, CurlDelete<curl_multi_cleanup>>;
using UrlHandle = std::unique_ptr<CURLU, CurlDelete<curl_url_cleanup>>;
using HeaderList = std::unique_ptr<curl_slist, CurlDelete<curl_slist_free_all>>;

bool curl_is_ready() {
  // A local static: initialised once, whichever thread comes first. Never undone, because others
  // in the process may use libcurl too.
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ready;
}

/// Where a call goes, as messages name it.
struct Destination {
  std::string url;        ///< without user and password
  std::string host;       ///< as is_loopback_address() and people read it
  std::string authority;  ///< "HOST:PORT"
};

std::string url_part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

Result<Destination> parse_url(const std::string& text) {
  // The text is not repeated in full: whatever it is, it may hold a password.
  const UrlHandle url(curl_url());
  if (!url) return fail(ErrorCode::kInternal, "out of memory");
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
    return fail(ErrorCode::kInvalidArgument,
                "the URL cannot be understood: give one such as http://host:8080/path");
  }
  const std::string scheme = url_part(url.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") {
    return fail(ErrorCode::kInvalidArgument,
                "the URL has the scheme \"" + scheme + "\": only http and https are spoken");
  }
  Destination destination;
  destination.host = url_part(url.get(), CURLUPART_HOST);
  destination.authority =
      destination.host + ":" + url_part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  curl_url_set(url.get(), CURLUPART_USER, nullptr, 0);
  curl_url_set(url.get(), CURLUPART_PASSWORD, nullptr, 0);
  destination.url = url_part(url.get(), CURLUPART_URL);
  return destination;
}

Result<HeaderList> header_list(const HttpCall& call) {
  HeaderList list;
  const auto add = [&list](const std::string& line) {
    curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
    if (!list) list.reset(longer);  // later lines are hung on to the first
    return longer != nullptr;
  };
  // Without "Expect:" libcurl waits for a go-ahead before larger bodies; without "Content-Type:"
  // it calls every body a form. Such a line without value takes the header out.
  bool added = add("Expect:");
  if (!find_header(call.headers, "content-type")) added = added && add("Content-Type:");
  for (const auto& [name, value] : call.headers) {
    const auto breaks = [](char c) { return c == '\r' || c == '\n' || c == '\0'; };
    if (name.empty() || std::ranges::any_of(name, breaks) || std::ranges::any_of(value, breaks)) {
      return fail(ErrorCode::kInvalidArgument,
                  "a request header has no name, or a line break inside");
    }
    // An empty value is written with a semicolon, or libcurl would leave the header out.
    std::string line = name;
    line.append(value.empty() ? ";" : ": ").append(value);
    added = added && add(line);
  }
  if (!added) return fail(ErrorCode::kInternal, "out of memory");
  return list;
}

/// What one perform() has received and when; the callbacks write it.
///
/// It also keeps the rate. libcurl has an option for that, but looks at it only after as many as a
/// hundred reads: megabytes come at once, and nothing for many seconds after.
class Transfer {
 public:
  Transfer(CURL* easy, const DataSink& sink, std::uint64_t limit_rate,
           const std::atomic<bool>& cancelled)
      : easy_(easy), sink_(sink), limit_rate_(limit_rate), cancelled_(cancelled) {}

  /// libcurl is C: no exception may leave through it.
  template <class Function>
  static std::size_t shielded(void* self, Function function) {
    auto& transfer = *static_cast<Transfer*>(self);
    try {
      return function(transfer);
    } catch (const std::exception& failure) {
      transfer.error_ = Error{ErrorCode::kInternal, std::string("exception: ") + failure.what()};
    } catch (...) {
      transfer.error_ = Error{ErrorCode::kInternal, "unknown exception"};
    }
    return CURL_WRITEFUNC_ERROR;
  }

  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) {
    return shielded(self, [&](Transfer& transfer) {
      const std::size_t bytes = size * count;
      if (transfer.must_pause()) return std::size_t{CURL_WRITEFUNC_PAUSE};  // it is offered again
      transfer.pace(bytes);
      const bool taken = transfer.take({data, bytes});
      transfer.active_at_ = Clock::now();  // after the sink: its time is not the peer's
      return taken ? bytes : std::size_t{CURL_WRITEFUNC_ERROR};
    });
  }

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) {
    return shielded(self, [&](Transfer& transfer) {
      transfer.take_header({data, size * count});
      transfer.active_at_ = Clock::now();
      return size * count;
    });
  }

  /// The connection stands and the request goes out: the peer's time runs.
  static int on_connected(void* self, char*, char*, int, int) {
    static_cast<Transfer*>(self)->active_at_ = Clock::now();
    return CURL_PREREQFUNC_OK;
  }

  /// Uploading is no idleness either.
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t sent) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (sent != transfer.sent_) transfer.active_at_ = Clock::now();
    transfer.sent_ = sent;
    return transfer.cancelled_ ? 1 : 0;
  }

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] std::optional<Clock::time_point> active_at() const { return active_at_; }
  [[nodiscard]] bool enough() const { return enough_; }
  /// While the transfer keeps to its rate: when to resume().
  [[nodiscard]] std::optional<Clock::time_point> paused_until() const {
    return paused_ ? std::optional(due_at_) : std::nullopt;
  }
  /// Offers the sink what was held back.
  CURLcode resume() {
    paused_ = false;
    active_at_ = Clock::now();
    return curl_easy_pause(easy_, CURLPAUSE_CONT);
  }
  HttpReply& reply() { return reply_; }

 private:
  bool must_pause() {
    paused_ = limit_rate_ > 0 && due_at_ > Clock::now() + kPacingSlack;
    return paused_;
  }
  void pace(std::size_t bytes) {
    if (limit_rate_ == 0) return;
    const std::chrono::duration<double> cost(static_cast<double>(bytes) /
                                             static_cast<double>(limit_rate_));
    due_at_ = std::max(due_at_, Clock::now()) + std::chrono::duration_cast<Clock::duration>(cost);
  }

  bool take(std::string_view data) {
    if (cancelled_) return false;
    if (reply_.status == 0) curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &reply_.status);
    reply_.bytes_received += data.size();
    const bool success = reply_.status >= 200 && reply_.status < 300;
    if (success && sink_) {
      Status taken = sink_(std::as_bytes(std::span(data)));
      if (!taken) error_ = std::move(taken.error());
      return !error_;
    }
    const std::size_t limit = success ? kMaxBody : kMaxErrorBody;
    reply_.body.append(data.substr(0, limit - reply_.body.size()));
    if (success && reply_.bytes_received > limit) {
      error_ = Error{ErrorCode::kProtocol, "the answer is larger than 64 MiB"};
      return false;
    }
    enough_ = !success && reply_.bytes_received > limit + kMaxSkippedBody;
    return !enough_;
  }

  void take_header(std::string_view line) {
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) {  // also after an interim answer, whose headers do not count
      reply_.headers.clear();
      return;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    auto& [name, value] = reply_.headers.emplace_back(line.substr(0, colon), "");
    std::ranges::transform(name, name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    line.remove_prefix(colon + 1);
    const std::size_t first = line.find_first_not_of(" \t");
    if (first != std::string_view::npos) {
      value = line.substr(first, line.find_last_not_of(" \t") - first + 1);
    }
  }

  CURL* const easy_;
  const DataSink& sink_;
  const std::uint64_t limit_rate_;
  const std::atomic<bool>& cancelled_;
  HttpReply reply_;
  std::optional<Error> error_;                  ///< the sink's, or ours about the body
  std::optional<Clock::time_point> active_at_;  ///< when something last came or went
  curl_off_t sent_ = 0;
  Clock::time_point due_at_{};  ///< when the bytes taken so far are due at the limited rate
  bool paused_ = false;
  bool enough_ = false;  ///< of a refusal's body: the rest is not waited for
};

class CurlClient final : public HttpClient {
 public:
  CurlClient(MultiHandle multi, EasyHandle easy)
      : multi_(std::move(multi)), easy_(std::move(easy)) {}

  Result<HttpReply> perform(const HttpCall& call, const DataSink& sink, const Tick& tick) override;
  void wake() override {
    woken_ = true;
    curl_multi_wakeup(multi_.get());
  }
  void cancel() override {
    cancelled_ = true;
    curl_multi_wakeup(multi_.get());
  }
  void reset() override { cancelled_ = false; }

 private:
  Status prepare(const HttpCall& call, const Destination& to, const curl_slist* headers,
                 Transfer& transfer);
  Result<CURLcode> drive(const HttpCall& call, const Tick& tick, const Destination& to,
                         Transfer& transfer);
  [[nodiscard]] std::optional<CURLcode> finished();
  [[nodiscard]] Error transfer_error(CURLcode code, const HttpCall& call, const Destination& to,
                                     const Transfer& transfer, std::uint64_t received) const;
  [[nodiscard]] Error connect_error(CURLcode code, const HttpCall& call,
                                    const Destination& to) const;

  MultiHandle multi_;  // outlives the easy handle, whose connections it holds
  EasyHandle easy_;
  std::array<char, CURL_ERROR_SIZE> reason_{};
  std::atomic<bool> woken_ = false;
  std::atomic<bool> cancelled_ = false;
};

/// What libcurl does not tell: that it was refused a descriptor. The text for that; empty
/// otherwise.
std::string lack_of_descriptors() {
  const int probe = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
  if (probe >= 0) ::close(probe);
  if (probe >= 0 || (errno != EMFILE && errno != ENFILE)) return {};
  return std::generic_category().message(errno) +
         ": no file descriptors left; raise the limit (ulimit -n)";
}

Error cancelled_error(const Destination& to) {
  return {ErrorCode::kCancelled, "requesting " + to.url + ": cancelled"};
}

std::string in_milliseconds(milliseconds time) { return std::to_string(time.count()) + " ms"; }

Status CurlClient::prepare(const HttpCall& call, const Destination& to, const curl_slist* headers,
                           Transfer& transfer) {
  CURL* const easy = easy_.get();
  curl_easy_reset(easy);  // keeps connections and resolved names
  reason_[0] = '\0';
  CURLcode worst = CURLE_OK;
  const auto set = [&](CURLoption option, auto value) {
    const CURLcode code = curl_easy_setopt(easy, option, value);
    if (code != CURLE_OK) worst = code;
  };
  set(CURLOPT_URL, call.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_USERAGENT, "walferry");
  set(CURLOPT_HTTPHEADER, headers);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_ERRORBUFFER, reason_.data());
  // An empty proxy means none, whatever the environment says.
  if (is_loopback_address(to.host)) set(CURLOPT_PROXY, "");

  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_KEEPIDLE, 30L);
  set(CURLOPT_TCP_KEEPINTVL, 10L);
  set(CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(std::clamp<std::int64_t>(call.connect_timeout.count(), 1, INT_MAX)));
  // Bytes that are read but held back for the rate's sake are in memory: small reads, few bytes.
  const auto read_bytes = call.limit_rate > 0
                              ? static_cast<long>(std::clamp<std::uint64_t>(
                                    call.limit_rate / 8, 1024, std::uint64_t{kReceiveBytes}))
                              : kReceiveBytes;
  set(CURLOPT_BUFFERSIZE, read_bytes);

  if (call.method == "POST") {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    set(CURLOPT_POSTFIELDS, call.body.data());
  } else {
    set(CURLOPT_HTTPGET, 1L);
  }
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  set(CURLOPT_PREREQFUNCTION, &Transfer::on_connected);
  set(CURLOPT_PREREQDATA, static_cast<void*>(&transfer));
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
  set(CURLOPT_XFERINFODATA, static_cast<void*>(&transfer));
  if (worst == CURLE_OK) return {};
  return fail(ErrorCode::kInternal,
              std::string("setting up libcurl: ") + curl_easy_strerror(worst));
}

std::optional<CURLcode> CurlClient::finished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg == CURLMSG_DONE) return message->data.result;
  }
  return std::nullopt;
}

/// Runs the transfer to its end. An error here is one that libcurl knows nothing of.
Result<CURLcode> CurlClient::drive(const HttpCall& call, const Tick& tick, const Destination& to,
                                   Transfer& transfer) {
  const auto started = Clock::now();
  auto tick_at = started;
  for (;;) {
    if (cancelled_) return fail(cancelled_error(to));
    if (transfer.paused_until() && Clock::now() >= *transfer.paused_until()) {
      if (const CURLcode code = transfer.resume(); code != CURLE_OK) return code;
    }
    // What has arrived is taken first: if this thread was held up, in sink or tick or by the
    // system, the peer must not be blamed for the time.
    int running = 0;
    if (const CURLMcode code = curl_multi_perform(multi_.get(), &running); code != CURLM_OK) {
      return fail(ErrorCode::kInternal,
                  std::string("running libcurl: ") + curl_multi_strerror(code));
    }
    if (const auto code = finished()) return *code;

    auto now = Clock::now();
    auto wait_until = now + kLongestWait;
    if (call.total_timeout.count() > 0) {
      if (now >= started + call.total_timeout) {
        return fail(ErrorCode::kTimeout, "requesting " + to.url + ": not complete after " +
                                             in_milliseconds(call.total_timeout) +
                                             " (total timeout), " +
                                             std::to_string(transfer.reply().bytes_received) +
                                             " bytes of the body arrived");
      }
      wait_until = std::min(wait_until, started + call.total_timeout);
    }
    if (transfer.paused_until()) {
      wait_until = std::min(wait_until, *transfer.paused_until());
    } else if (transfer.active_at() && call.idle_timeout.count() > 0) {
      const auto idle_at = *transfer.active_at() + call.idle_timeout;
      if (now >= idle_at) {
        return fail(ErrorCode::kTimeout, "requesting " + to.url + ": nothing received for " +
                                             in_milliseconds(call.idle_timeout) +
                                             " (idle timeout) after " +
                                             std::to_string(transfer.reply().bytes_received) +
                                             " bytes of the body: is the server alive?");
      }
      wait_until = std::min(wait_until, idle_at);
    }
    if (tick) {
      if (woken_.exchange(false) || now >= tick_at) {
        Result<milliseconds> pause = tick();
        if (!pause) return fail(std::move(pause.error()));
        now = Clock::now();
        tick_at = now + std::clamp(*pause, milliseconds(0), kLongestWait * 60);
      }
      wait_until = std::min(wait_until, tick_at);
    }
    const auto wait = std::max(std::chrono::ceil<milliseconds>(wait_until - now), milliseconds(0));
    const CURLMcode polled =
        curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(wait.count()), nullptr);
    if (polled != CURLM_OK) {
      return fail(ErrorCode::kInternal,
                  std::string("waiting in libcurl: ") + curl_multi_strerror(polled));
    }
  }
}

Error CurlClient::connect_error(CURLcode code, const HttpCall& call, const Destination& to) const {
  if (code == CURLE_OPERATION_TIMEDOUT) {
    return {ErrorCode::kTimeout,
            "connecting to " + to.authority + ": no connection after " +
                in_milliseconds(call.connect_timeout) +
                " (connect timeout): is the host up, and does a firewall stand between?"};
  }
  if (const std::string lack = lack_of_descriptors(); !lack.empty())
    return {ErrorCode::kNetwork, "connecting to " + to.authority + ": " + lack};
  if (code == CURLE_COULDNT_RESOLVE_HOST) {
    return {ErrorCode::kNetwork, "connecting to " + to.authority +
                                     ": the host name is not known: check its spelling, and the "
                                     "name service of this machine"};
  }
  long number = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &number);
  if (number == ECONNREFUSED) {
    return {ErrorCode::kNetwork,
            "connecting to " + to.authority + ": refused: is the server running there?"};
  }
  return {ErrorCode::kNetwork,
          "connecting to " + to.authority + ": " +
              (number != 0 ? std::generic_category().message(static_cast<int>(number))
                           : std::string(reason_.data()))};
}

Error CurlClient::transfer_error(CURLcode code, const HttpCall& call, const Destination& to,
                                 const Transfer& transfer, std::uint64_t received) const {
  if (transfer.error()) return *transfer.error();
  if (cancelled_) return cancelled_error(to);
  const std::string reason = reason_[0] != '\0' ? reason_.data() : curl_easy_strerror(code);
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
      return connect_error(code, call, to);
    case CURLE_WRITE_ERROR:
    case CURLE_ABORTED_BY_CALLBACK:
      return cancelled_error(to);  // and reset() since
    case CURLE_URL_MALFORMAT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
      return {ErrorCode::kInvalidArgument, "requesting " + to.url + ": " + reason};
    case CURLE_OUT_OF_MEMORY:
      return {ErrorCode::kInternal, "requesting " + to.url + ": out of memory"};
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return {ErrorCode::kProtocol, "requesting " + to.url + ": no HTTP answer: " + reason +
                                        ": is it a walferry server that listens there?"};
    default:
      return {ErrorCode::kNetwork, "requesting " + to.url + ": the connection broke after " +
                                       std::to_string(received) + " bytes of the body: " + reason};
  }
}

Result<HttpReply> CurlClient::perform(const HttpCall& call, const DataSink& sink,
                                      const Tick& tick) {
  if (call.method != "GET" && call.method != "POST") {
    return fail(ErrorCode::kInvalidArgument,
                "the method is " + call.method + ": only GET and POST");
  }
  const auto to = parse_url(call.url);
  if (!to) return fail(to.error());
  if (cancelled_) return fail(cancelled_error(*to));
  const auto headers = header_list(call);
  if (!headers) return fail(headers.error().while_doing("requesting " + to->url));

  Transfer transfer(easy_.get(), sink, call.limit_rate, cancelled_);
  if (Status ready = prepare(call, *to, headers->get(), transfer); !ready) {
    return fail(std::move(ready.error()));
  }
  if (const CURLMcode code = curl_multi_add_handle(multi_.get(), easy_.get()); code != CURLM_OK) {
    return fail(ErrorCode::kInternal, std::string("running libcurl: ") + curl_multi_strerror(code));
  }
  Result<CURLcode> end = [&]() -> Result<CURLcode> {
    try {
      return drive(call, tick, *to, transfer);
    } catch (const std::exception& failure) {
      return fail(ErrorCode::kInternal, "requesting " + to->url + ": " + failure.what());
    } catch (...) {
      return fail(ErrorCode::kInternal, "requesting " + to->url + ": unknown exception");
    }
  }();
  HttpReply& reply = transfer.reply();
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &reply.status);
  std::optional<Error> error;
  if (!end) {
    error = std::move(end.error());
  } else if (*end != CURLE_OK && !transfer.enough()) {
    error = transfer_error(*end, call, *to, transfer, reply.bytes_received);
  }
  curl_multi_remove_handle(multi_.get(), easy_.get());
  if (error) return fail(std::move(*error));
  return std::move(reply);
}

}  // namespace

std::optional<std::string_view> HttpReply::header(std::string_view lower_case_name) const {
  return find_header(headers, lower_case_name);
}

Result<std::unique_ptr<HttpClient>> HttpClient::create() {
  if (!curl_is_ready()) return fail(ErrorCode::kInternal, "libcurl cannot be initialised");
  MultiHandle multi(curl_multi_init());
  EasyHandle easy(curl_easy_init());
  if (!multi || !easy) return fail(ErrorCode::kInternal, "starting libcurl: out of memory");
  curl_multi_setopt(multi.get(), CURLMOPT_MAXCONNECTS, 4L);
  return std::make_unique<CurlClient>(std::move(multi), std::move(easy));
}

}  // namespace walferry::net
