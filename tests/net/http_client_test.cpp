#include "net/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/http_server.h"
#include "tests/net/raw_peer.h"

namespace walferry::net::test {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\n";

std::unique_ptr<HttpClient> new_client() {
  auto client = HttpClient::create();
  EXPECT_TRUE(client);
  return std::move(client.value());
}

HttpCall call_to(std::uint16_t port, const std::string& path = "/") {
  HttpCall call;
  call.url = "http://127.0.0.1:" + std::to_string(port) + path;
  return call;
}

std::unique_ptr<HttpServer> started(HttpHandler handler) {
  auto server = HttpServer::start({}, std::move(handler));
  EXPECT_TRUE(server) << server.error().message;
  return std::move(server.value());
}

HttpResponse response_of(unsigned status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

/// A server of one script, run on its own thread against each connection in turn.
class ScriptedServer {
 public:
  ScriptedServer(int connection_count, std::function<void(RawPeer&)> script)
      : thread_([this, connection_count, script = std::move(script)] {
          for (int count = 0; count < connection_count; ++count) {
            RawPeer peer = listener_.accept();
            script(peer);
          }
        }) {}
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer() { thread_.join(); }
  [[nodiscard]] std::uint16_t port() const { return listener_.port(); }

 private:
  RawListener listener_;
  std::thread thread_;
};

/// Answers the first request with `answer`; then waits until the client leaves, or leaves first.
std::function<void(RawPeer&)> answering(std::string answer, bool leave = true) {
  return [answer = std::move(answer), leave](RawPeer& peer) {
    peer.receive_through("\r\n\r\n");
    peer.send(answer);
    if (!leave) peer.receive_all();
  };
}

TEST(HttpClient, GetsAWholeBody) {
  const auto server = started([](const HttpRequest& request) {
    HttpResponse response = response_of(200, request.path + " " + request.method);
    response.headers.emplace_back("X-Mixed-Case", "Some Value");
    response.headers.emplace_back("X-Seen", std::string(request.header("x-mine").value_or("-")));
    response.headers.emplace_back("X-Empty", std::string(request.header("x-empty").value_or("-")));
    return response;
  });
  HttpCall call = call_to(server->port(), "/some/path");
  call.headers = {{"X-Mine", "mine"}, {"X-Empty", ""}};
  const auto reply = new_client()->perform(call);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->body, "/some/path GET");
  EXPECT_EQ(reply->bytes_received, reply->body.size());
  EXPECT_EQ(reply->header("x-mixed-case"), "Some Value");
  EXPECT_EQ(reply->header("x-seen"), "mine");
  EXPECT_EQ(reply->header("x-empty"), "");
  EXPECT_EQ(reply->header("x-absent"), std::nullopt);
}

TEST(HttpClient, PostsWithoutFuss) {
  std::string request;
  ScriptedServer server(1, [&](RawPeer& peer) {
    request = peer.receive_through("\r\n\r\n");
    request += peer.receive_through("the end");
    peer.send(std::string(kOk) + "Content-Length: 0\r\n\r\n");
  });
  HttpCall call = call_to(server.port(), "/p?q=1");
  call.method = "POST";
  call.body = std::string(5'000, 'x') + "the end";
  const auto reply = new_client()->perform(call);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_THAT(request, AllOf(StartsWith("POST /p?q=1 HTTP/1.1\r\n"),
                             HasSubstr("\r\nUser-Agent: walferry\r\n"),
                             HasSubstr("\r\nContent-Length: 5007\r\n"), Not(HasSubstr("Expect")),
                             Not(HasSubstr("Content-Type")), EndsWith("the end")));
}

TEST(HttpClient, FeedsTheSinkInOrder) {
  std::string body;
  for (int number = 0; body.size() < 3'000'000; ++number) body += std::to_string(number) + "\n";
  const auto server = started([&](const HttpRequest&) { return response_of(200, body); });
  std::string received;
  const auto caller = std::this_thread::get_id();
  const auto reply = new_client()->perform(
      call_to(server->port()), [&](std::span<const std::byte> bytes) -> Status {
        EXPECT_EQ(std::this_thread::get_id(), caller);
        received.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return {};
      });
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_TRUE(received == body);
  EXPECT_EQ(reply->bytes_received, body.size());
  EXPECT_EQ(reply->body, "");
}

TEST(HttpClient, ReusesItsConnection) {
  std::mutex mutex;
  std::set<std::string> peers;
  const auto server = started([&](const HttpRequest& request) {
    const std::lock_guard lock(mutex);
    peers.insert(request.peer);
    return response_of(request.path == "/missing" ? 404 : 200, std::string(100'000, 'x'));
  });
  const auto client = new_client();
  for (const std::string path : {"/a", "/missing", "/b", "/missing", "/c"}) {
    ASSERT_TRUE(client->perform(call_to(server->port(), path)));
  }
  EXPECT_EQ(peers.size(), 1U);
}

TEST(HttpClient, ReplacesAConnectionThatDiedMeanwhile) {
  ScriptedServer server(2, answering(std::string(kOk) + "Content-Length: 1\r\n\r\nx"));
  const auto client = new_client();
  for (int count = 0; count < 2; ++count) {
    const auto reply = client->perform(call_to(server.port()));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->body, "x");
  }
}

TEST(HttpClient, ReturnsRefusalsAsReplies) {
  const auto server =
      started([](const HttpRequest&) { return response_of(503, std::string(200'000, 'r')); });
  bool sink_called = false;
  const auto reply = new_client()->perform(call_to(server->port()), [&](auto) -> Status {
    sink_called = true;
    return {};
  });
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->status, 503);
  EXPECT_EQ(reply->body, std::string(std::size_t{64} * 1024, 'r'));
  EXPECT_FALSE(sink_called);
}

TEST(HttpClient, DoesNotListenToEndlessRefusals) {
  ScriptedServer server(1, [](RawPeer& peer) {
    peer.receive_through("\r\n\r\n");
    peer.send("HTTP/1.1 500 Oh\r\n\r\n");
    while (peer.send(std::string(10'000, 'n'))) {
    }
  });
  const auto client = new_client();
  const auto reply = client->perform(call_to(server.port()));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->status, 500);
  EXPECT_EQ(reply->body.size(), 64U * 1024);
}

TEST(HttpClient, LimitsBodiesWithoutSink) {
  ScriptedServer server(1, [](RawPeer& peer) {
    peer.receive_through("\r\n\r\n");
    peer.send(std::string(kOk) + "\r\n");
    while (peer.send(std::string(1'000'000, 'n'))) {
    }
  });
  const auto client = new_client();
  const auto reply = client->perform(call_to(server.port()));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kProtocol);
  EXPECT_THAT(reply.error().message, HasSubstr("64 MiB"));
}

TEST(HttpClient, FollowsNoRedirect) {
  ScriptedServer server(
      1, answering("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"));
  const auto reply = new_client()->perform(call_to(server.port()));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->status, 302);
  EXPECT_EQ(reply->header("location"), "/other");
}

TEST(HttpClient, ForgetsTheHeadersOfInterimAnswers) {
  ScriptedServer server(
      1, answering("HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" + std::string(kOk) +
                   "X-Late: 2\r\nContent-Length: 2\r\n\r\nok"));
  const auto reply = new_client()->perform(call_to(server.port()));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->header("x-early"), std::nullopt);
  EXPECT_EQ(reply->header("x-late"), "2");
}

TEST(HttpClient, ReturnsExactlyTheErrorOfTheSink) {
  const auto server =
      started([](const HttpRequest&) { return response_of(200, std::string(500'000, 'x')); });
  const auto client = new_client();
  int calls = 0;
  const auto reply = client->perform(call_to(server->port()), [&](auto) -> Status {
    ++calls;
    return fail(ErrorCode::kNoSpace, "the disk is full");
  });
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(reply.error().message, "the disk is full");
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(client->perform(call_to(server->port())));
}

TEST(HttpClient, LetsNoExceptionThrough) {
  const auto server = started([](const HttpRequest&) { return response_of(200, "x"); });
  const auto client = new_client();
  const auto by_sink = client->perform(
      call_to(server->port()), [](auto) -> Status { throw std::runtime_error("thrown by sink"); });
  ASSERT_FALSE(by_sink);
  EXPECT_EQ(by_sink.error().code, ErrorCode::kInternal);
  EXPECT_THAT(by_sink.error().message, HasSubstr("thrown by sink"));
  const auto by_tick =
      client->perform(call_to(server->port()), {}, []() -> Result<milliseconds> { throw 42; });
  ASSERT_FALSE(by_tick);
  EXPECT_EQ(by_tick.error().code, ErrorCode::kInternal);
  EXPECT_TRUE(client->perform(call_to(server->port())));
}

// Broken connections.

TEST(HttpClient, ReportsAnAnswerCutShort) {
  for (const std::string framing :
       {"Content-Length: 100\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "Transfer-Encoding: chunked\r\n\r\n64\r\nhello"}) {
    ScriptedServer server(1, answering(std::string(kOk) + framing));
    const HttpCall call = call_to(server.port(), "/cut");
    const auto reply = new_client()->perform(call);
    ASSERT_FALSE(reply) << framing;
    EXPECT_EQ(reply.error().code, ErrorCode::kNetwork);
    EXPECT_THAT(reply.error().message, AllOf(HasSubstr(call.url), HasSubstr(" 5 bytes")));
  }
}

TEST(HttpClient, ReportsAConnectionThatEndsWithoutAnswer) {
  ScriptedServer server(1, answering(""));
  const auto reply = new_client()->perform(call_to(server.port()));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kNetwork);
  EXPECT_THAT(reply.error().message, HasSubstr(" 0 bytes"));
}

TEST(HttpClient, ReportsPeersThatDoNotSpeakHttp) {
  ScriptedServer server(1, answering("SSH-2.0-OpenSSH_9.2\r\n"));
  const auto reply = new_client()->perform(call_to(server.port()));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kProtocol);
}

TEST(HttpClient, NamesWhereTheConnectionWasRefused) {
  std::uint16_t port = 0;
  {
    const RawListener listener;
    port = listener.port();
  }
  const auto reply = new_client()->perform(call_to(port));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kNetwork);
  EXPECT_EQ(reply.error().message, "connecting to 127.0.0.1:" + std::to_string(port) +
                                       ": refused: is the server running there?");
}

TEST(HttpClient, NamesAHostThatIsNotKnown) {
  HttpCall call;
  call.url = "http://no-such-host.invalid:8080/";
  const auto reply = new_client()->perform(call);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kNetwork);
  EXPECT_THAT(reply.error().message, HasSubstr("no-such-host.invalid:8080"));
}

TEST(HttpClient, RejectsCallsThatMakeNoSense) {
  const auto client = new_client();
  HttpCall call;
  call.url = "http://user:secret@127.0.0.1:1/";
  call.method = "DELETE";
  const auto expect_invalid = [&] {
    const auto reply = client->perform(call);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(reply.error().message, Not(HasSubstr("secret")));
  };
  expect_invalid();
  call.method = "GET";
  call.headers = {{"X", "a\r\nEvil: b"}};
  expect_invalid();
  call.headers = {};
  for (const std::string url :
       {"", "file:///etc/passwd", "ftp://secret@host/", "http://:secret/"}) {
    call.url = url;
    expect_invalid();
  }
}

TEST(HttpClient, KeepsPasswordsOutOfMessages) {
  ScriptedServer server(1, answering(""));
  HttpCall call;
  call.url = "http://user:secret@127.0.0.1:" + std::to_string(server.port()) + "/path";
  const auto reply = new_client()->perform(call);
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().message,
              AllOf(HasSubstr("http://127.0.0.1:"), HasSubstr("/path"), Not(HasSubstr("secret"))));
}

TEST(HttpClient, AsksNoProxyForLoopback) {
  const auto server = started([](const HttpRequest&) { return response_of(200, "direct"); });
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread reads it
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  const auto reply = new_client()->perform(call_to(server->port()));
  unsetenv("http_proxy");  // NOLINT(concurrency-mt-unsafe)
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->body, "direct");
}

// Deadlines.

TEST(HttpClient, TimesOutOnASilentPeer) {
  const std::string head = std::string(kOk) + "Content-Length: 100\r\n\r\n";
  for (const std::string& answer : {std::string(), head, head + "hello"}) {
    ScriptedServer server(1, answering(answer, false));
    HttpCall call = call_to(server.port());
    call.idle_timeout = milliseconds(150);
    const auto client = new_client();
    const auto reply = client->perform(call);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, ErrorCode::kTimeout);
    EXPECT_THAT(reply.error().message, AllOf(HasSubstr("idle timeout"), HasSubstr(call.url)));
  }
}

TEST(HttpClient, TimesOutWhenAllTakesTooLong) {
  ScriptedServer server(1, [](RawPeer& peer) {
    peer.receive_through("\r\n\r\n");
    peer.send(std::string(kOk) + "Content-Length: 100000\r\n\r\n");
    while (peer.send("drip")) std::this_thread::sleep_for(milliseconds(20));
  });
  HttpCall call = call_to(server.port());
  call.total_timeout = milliseconds(300);
  const auto client = new_client();
  const auto reply = client->perform(call);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kTimeout);
  EXPECT_THAT(reply.error().message, HasSubstr("total timeout"));
}

TEST(HttpClient, TimesOutWhileConnecting) {
  // A listener whose queue is full answers no further attempt.
  const RawListener listener(0);
  std::vector<int> descriptors;
  for (int count = 0; count < 4; ++count) {
    descriptors.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    const sockaddr_in address = loopback(listener.port());
    EXPECT_LE(
        ::connect(descriptors.back(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
        0);
  }
  HttpCall call = call_to(listener.port());
  call.connect_timeout = milliseconds(200);
  call.idle_timeout = milliseconds(50);  // not yet: nobody is there to be idle
  const auto reply = new_client()->perform(call);
  for (const int descriptor : descriptors) ::close(descriptor);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kTimeout);
  EXPECT_THAT(reply.error().message,
              AllOf(HasSubstr("connect timeout"), HasSubstr(std::to_string(listener.port()))));
}

TEST(HttpClient, DoesNotBlameThePeerForASlowSinkOrTick) {
  const auto server =
      started([](const HttpRequest&) { return response_of(200, std::string(100'000, 'x')); });
  HttpCall call = call_to(server->port());
  call.idle_timeout = milliseconds(200);
  bool slept = false;
  int ticks = 0;
  const auto reply = new_client()->perform(
      call,
      [&](auto) -> Status {
        if (!std::exchange(slept, true)) std::this_thread::sleep_for(milliseconds(400));
        return {};
      },
      [&]() -> Result<milliseconds> {
        if (++ticks == 2) std::this_thread::sleep_for(milliseconds(400));
        return milliseconds(1);
      });
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->bytes_received, 100'000U);
}

TEST(HttpClient, KeepsARateWithoutSeemingIdle) {
  const auto server =
      started([](const HttpRequest&) { return response_of(200, std::string(100'000, 'x')); });
  HttpCall call = call_to(server->port());
  call.limit_rate = 100'000;
  call.idle_timeout = milliseconds(400);
  const auto client = new_client();
  for (int count = 0; count < 2; ++count) {
    const auto begin = std::chrono::steady_clock::now();
    const auto reply = client->perform(call);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->body, std::string(100'000, 'x'));
    EXPECT_GT(std::chrono::steady_clock::now() - begin, milliseconds(700));  // no burst
  }
}

TEST(HttpClient, ReturnsTheErrorOfASinkThatWasPaused) {
  const auto server =
      started([](const HttpRequest&) { return response_of(200, std::string(100'000, 'x')); });
  HttpCall call = call_to(server->port());
  call.limit_rate = 50'000;
  const auto client = new_client();
  std::size_t received = 0;
  const auto reply = client->perform(call, [&](std::span<const std::byte> bytes) -> Status {
    received += bytes.size();
    if (received > 20'000) return fail(ErrorCode::kNoSpace, "the disk is full");
    return {};
  });
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().message, "the disk is full");
  call.limit_rate = 0;
  EXPECT_TRUE(client->perform(call));
}

TEST(HttpClient, TakesNoMoreThanTheSink) {
  auto sent = std::make_shared<std::atomic<std::uint64_t>>(0);
  ScriptedServer server(1, [sent](RawPeer& peer) {
    peer.receive_through("\r\n\r\n");
    peer.send(std::string(kOk) + "\r\n");
    while (peer.send(std::string(100'000, 'x'))) *sent += 100'000;
  });
  const auto client = new_client();
  std::uint64_t sent_while_busy = 0;
  const auto reply = client->perform(call_to(server.port()), [&](auto) -> Status {
    std::uint64_t seen = 0;
    do {
      seen = *sent;
      std::this_thread::sleep_for(milliseconds(200));
    } while (seen != *sent);  // until the peer cannot get rid of more
    sent_while_busy = seen;
    return fail(ErrorCode::kCancelled, "enough");
  });
  EXPECT_FALSE(reply);
  EXPECT_LT(sent_while_busy, 64U * 1024 * 1024);
}

// Tick, wake, cancel.

TEST(HttpClient, TicksFromTheStartAndOnWake) {
  ScriptedServer server(1, [](RawPeer& peer) {
    peer.receive_through("\r\n\r\n");
    peer.receive_all();
  });
  const auto client = new_client();
  std::atomic<int> ticks = 0;
  std::thread waker([&] {
    for (int seen = 1; seen <= 3; ++seen) {
      EXPECT_TRUE(eventually([&] { return ticks >= seen; }));
      client->wake();
    }
  });
  const auto reply = client->perform(call_to(server.port()), {}, [&]() -> Result<milliseconds> {
    if (++ticks == 4) return fail(ErrorCode::kBusy, "the tick has had enough");
    return milliseconds(3'600'000);
  });
  waker.join();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kBusy);
  EXPECT_EQ(reply.error().message, "the tick has had enough");
}

TEST(HttpClient, TicksAgainAfterThePauseOfTheLastTick) {
  ScriptedServer server(1, [](RawPeer& peer) {
    peer.receive_through("\r\n\r\n");
    peer.receive_all();
  });
  const auto client = new_client();
  int ticks = 0;
  const auto reply = client->perform(call_to(server.port()), {}, [&]() -> Result<milliseconds> {
    if (++ticks == 20) return fail(ErrorCode::kBusy, "");
    return milliseconds(5);
  });
  ASSERT_FALSE(reply);
  EXPECT_EQ(ticks, 20);
}

TEST(HttpClient, CancelsTheRunningCallAndLaterOnesUntilReset) {
  ScriptedServer silent(1, answering("", false));
  const auto server = started([](const HttpRequest&) { return response_of(200, "x"); });
  const auto client = new_client();
  std::thread canceller([&] {
    std::this_thread::sleep_for(milliseconds(100));
    client->cancel();
  });
  for (const std::uint16_t port : {silent.port(), server->port()}) {
    const auto reply = client->perform(call_to(port));
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, ErrorCode::kCancelled);
  }
  canceller.join();
  client->reset();
  EXPECT_TRUE(client->perform(call_to(server->port())));
}

TEST(HttpClient, CancelsBetweenTwoPieces) {
  ScriptedServer server(1, [](RawPeer& peer) {
    peer.receive_through("\r\n\r\n");
    peer.send(std::string(kOk) + "\r\n");
    while (peer.send(std::string(100'000, 'x'))) {
    }
  });
  const auto client = new_client();
  int calls = 0;
  const auto reply = client->perform(call_to(server.port()), [&](auto) -> Status {
    ++calls;
    client->cancel();
    return {};
  });
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace walferry::net::test
