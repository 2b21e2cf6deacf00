#include "net/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/net/raw_peer.h"
#include "tests/net/scripted_source.h"
#include "tests/support/polling.h"

namespace walferry::net::test {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::unique_ptr<HttpServer> started(HttpHandler handler, HttpServerOptions options = {}) {
  auto server = HttpServer::start(std::move(options), std::move(handler));
  EXPECT_TRUE(server) << server.error().message;
  return std::move(server.value());
}

HttpResponse text_response(std::string body) {
  HttpResponse response;
  response.content_type = "text/plain";
  response.body = std::move(body);
  return response;
}

HttpResponse echo(const HttpRequest& request) {
  std::string text = request.method + " " + request.path + "\n";
  for (const auto& [name, value] : request.query)
    text.append(name).append("=").append(value).append("\n");
  return text_response(text + request.body);
}

HttpHandler streaming(const std::shared_ptr<Script>& script,
                      std::optional<std::uint64_t> length = std::nullopt) {
  return [script, length](const HttpRequest&) {
    HttpResponse response;
    response.stream = std::make_unique<ScriptedSource>(script);
    response.stream_length = length;
    return response;
  };
}

std::string get(std::string_view path, std::string_view more_headers = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(more_headers) +
         "\r\n";
}

/// All that a server says to `request` when it is asked to close the connection afterwards.
std::string answer_of(const HttpServer& server, const std::string& request) {
  RawPeer peer = RawPeer::connect(server.port());
  EXPECT_TRUE(peer.send(request));
  return peer.receive_all();
}

std::string body_of(const std::string& answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "" : answer.substr(end + 4);
}

/// Undoes chunked transfer coding; "BROKEN" when it is not complete.
std::string dechunked(std::string_view text) {
  std::string body;
  for (;;) {
    const std::size_t line = text.find("\r\n");
    if (line == std::string_view::npos) return "BROKEN";
    const std::size_t size = std::stoul(std::string(text.substr(0, line)), nullptr, 16);
    text.remove_prefix(line + 2);
    if (text.size() < size + 2) return "BROKEN";
    if (size == 0) return text == "\r\n" ? body : "BROKEN";
    body += text.substr(0, size);
    text.remove_prefix(size + 2);
  }
}

std::string output_of(const std::string& command) {
  std::string output;
  FILE* const pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::array<char, 4096> bytes{};
  while (const std::size_t count = std::fread(bytes.data(), 1, bytes.size(), pipe)) {
    output.append(bytes.data(), count);
  }
  pclose(pipe);
  return output;
}

std::string url_of(const HttpServer& server, std::string_view path) {
  return "http://127.0.0.1:" + std::to_string(server.port()) + std::string(path);
}

// Requests.

TEST(HttpServer, DecodesTheTarget) {
  const auto server = started(echo);
  EXPECT_THAT(answer_of(*server, get("/a%20b/c?x=1&y=%26+z&&flag", "Connection: close\r\n")),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                    EndsWith("\r\n\r\nGET /a b/c\nx=1\ny=& z\nflag=\n")));
  EXPECT_THAT(answer_of(*server, get("http://test:80/there", "Connection: close\r\n")),
              EndsWith("GET /there\n"));
}

TEST(HttpServer, HandsOverHeadersBodyAndPeer) {
  const auto server = started([](const HttpRequest& request) {
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.header("x-mixed-case"), "Value here");
    EXPECT_EQ(request.header("absent"), std::nullopt);
    EXPECT_EQ(request.query_value("q"), "1");
    EXPECT_THAT(request.peer, StartsWith("127.0.0.1:"));
    return text_response(request.body);
  });
  EXPECT_EQ(body_of(answer_of(*server,
                              "POST /?q=1 HTTP/1.1\r\nHost: t\r\nX-Mixed-Case:  Value here \r\n"
                              "Content-Length: 5\r\nConnection: close\r\n\r\nhello")),
            "hello");
  EXPECT_EQ(body_of(answer_of(*server,
                              "POST /?q=1 HTTP/1.1\r\nHost: t\r\nX-Mixed-Case: Value here\r\n"
                              "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                              "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nAbsent: trailer\r\n\r\n")),
            "abcde");
}

TEST(HttpServer, SaysDateServerTypeAndLength) {
  const auto server = started(echo);
  EXPECT_THAT(
      answer_of(*server, get("/", "Connection: close\r\n")),
      AllOf(HasSubstr("\r\nDate: "), HasSubstr(" GMT\r\n"), HasSubstr("\r\nServer: walferry\r\n"),
            HasSubstr("\r\nContent-Length: 6\r\n"), HasSubstr("\r\nContent-Type: text/plain\r\n"),
            HasSubstr("\r\nConnection: close\r\n")));
}

TEST(HttpServer, AnswersHeadWithoutBody) {
  auto script = std::make_shared<Script>();
  const auto server = started([&](const HttpRequest& request) {
    EXPECT_EQ(request.method, "GET");
    if (request.path == "/stream") return streaming(script, 1234)(request);
    return text_response("twelve bytes");
  });
  const std::string rest = " HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
  EXPECT_THAT(answer_of(*server, "HEAD /" + rest),
              AllOf(HasSubstr("\r\nContent-Length: 12\r\n"), EndsWith("\r\n\r\n")));
  EXPECT_THAT(answer_of(*server, "HEAD /stream" + rest),
              AllOf(HasSubstr("\r\nContent-Length: 1234\r\n"), EndsWith("\r\n\r\n")));
  EXPECT_TRUE(eventually([&] { return script->released.load(); }));
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  const auto server = started(echo);
  std::string requests;
  for (int index = 0; index < 300; ++index) requests += get("/" + std::to_string(index));
  const std::string all = answer_of(*server, requests + get("/last", "Connection: close\r\n"));
  std::size_t at = 0;
  for (int index = 0; index < 300; ++index) {
    at = all.find("GET /" + std::to_string(index) + "\n", at);
    ASSERT_NE(at, std::string::npos) << index;
  }
  EXPECT_THAT(all, EndsWith("GET /last\n"));
}

TEST(HttpServer, TakesRequestsByteByByte) {
  const auto server = started(echo);
  RawPeer peer = RawPeer::connect(server->port());
  const std::string request =
      "\r\nPOST /slow HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody";
  for (const char c : request) ASSERT_TRUE(peer.send({&c, 1}));
  EXPECT_THAT(peer.receive_all(), EndsWith("POST /slow\nbody"));
}

TEST(HttpServer, InvitesBodiesThatAreHeldBack) {
  const auto server = started(echo);
  RawPeer peer = RawPeer::connect(server->port());
  ASSERT_TRUE(peer.send(
      "POST /x HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"));
  EXPECT_EQ(peer.receive_through("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(peer.send("body"));
  EXPECT_THAT(peer.receive_through("body"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer_of(*server,
                        "POST / HTTP/1.1\r\nHost: t\r\nExpect: miracles\r\n"
                        "Content-Length: 1\r\n\r\n"),
              StartsWith("HTTP/1.1 417 "));
}

TEST(HttpServer, RejectsWhatCouldBeReadInTwoWays) {
  const auto server = started(echo);
  const std::vector<std::string> requests{
      "nonsense\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
      "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n",
      "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\n",
      "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
  };
  for (const std::string& request : requests) {
    EXPECT_THAT(answer_of(*server, request + get("/smuggled")),
                AllOf(StartsWith("HTTP/1.1 400 Bad Request\r\n"), Not(HasSubstr("smuggled")),
                      HasSubstr("{\"error\":{\"code\":\"bad_request\",\"message\":\"")))
        << request;
  }
  EXPECT_THAT(answer_of(*server, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"), StartsWith("HTTP/1.1 505 "));
}

TEST(HttpServer, LimitsHeads) {
  HttpServerOptions options;
  options.max_header_bytes = 1000;
  const auto server = started(echo, options);
  const std::string fits = get("/", "Connection: close\r\nX: " + std::string(800, 'x') + "\r\n");
  EXPECT_THAT(answer_of(*server, fits), StartsWith("HTTP/1.1 200 "));
  const auto too_large = AllOf(StartsWith("HTTP/1.1 431 "), HasSubstr("headers_too_large"));
  EXPECT_THAT(answer_of(*server, get("/", "X: " + std::string(1000, 'x') + "\r\n")), too_large);
  EXPECT_THAT(answer_of(*server, get("/" + std::string(200'000, 'x'))), too_large);
  const std::string chunked = get("/", "Transfer-Encoding: chunked\r\n");
  EXPECT_THAT(answer_of(*server, chunked + "1;" + std::string(9000, 'x')), too_large);
  EXPECT_THAT(answer_of(*server, chunked + "0\r\nT: " + std::string(9000, 'x')), too_large);
}

TEST(HttpServer, LimitsBodies) {
  HttpServerOptions options;
  options.max_body_bytes = 100'000;
  const auto server = started(echo, options);
  const auto too_large = AllOf(StartsWith("HTTP/1.1 413 "), HasSubstr("body_too_large"));
  EXPECT_THAT(answer_of(*server,
                        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                        "Content-Length: 100001\r\n\r\n"),
              too_large);
  // The answer has to arrive although most of the body is never read.
  EXPECT_THAT(answer_of(*server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" +
                                     std::string(900'000, 'x')),
              too_large);
  EXPECT_THAT(answer_of(*server,
                        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "186a1\r\n" +
                            std::string(100'001, 'x') + "\r\n0\r\n\r\n"),
              too_large);
}

TEST(HttpServer, GivesUpOnRequestsThatDoNotComplete) {
  HttpServerOptions options;
  options.header_timeout = milliseconds(100);
  const auto server = started(echo, options);
  const auto timed_out = AllOf(StartsWith("HTTP/1.1 408 "), HasSubstr("request_timeout"));
  EXPECT_THAT(answer_of(*server, "GET / HTTP/1.1\r\nHo"), timed_out);
  EXPECT_THAT(answer_of(*server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"),
              timed_out);
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
}

TEST(HttpServer, ClosesIdleConnections) {
  HttpServerOptions options;
  options.keep_alive_timeout = milliseconds(100);
  const auto server = started(echo, options);
  EXPECT_EQ(answer_of(*server, ""), "");
  EXPECT_THAT(answer_of(*server, get("/x")), EndsWith("GET /x\n"));
}

TEST(HttpServer, TellsConnectionsBeyondTheLimit) {
  HttpServerOptions options;
  options.max_connections = 2;
  const auto server = started(echo, options);
  RawPeer first = RawPeer::connect(server->port());
  RawPeer second = RawPeer::connect(server->port());
  for (RawPeer* peer : {&first, &second}) {
    ASSERT_TRUE(peer->send(get("/in")));
    EXPECT_THAT(peer->receive_through("/in\n"), StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_EQ(server->connections(), 2U);
  EXPECT_THAT(answer_of(*server, get("/out")),
              AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("Connection: close"),
                    HasSubstr("too_many_connections")));
  first.close();
  ASSERT_TRUE(eventually([&] { return server->connections() == 1; }));
  EXPECT_THAT(answer_of(*server, get("/in", "Connection: close\r\n")), EndsWith("GET /in\n"));
}

TEST(HttpServer, SurvivesRunningOutOfDescriptors) {
  Log log;
  HttpServerOptions options;
  options.log = log.sink();
  const auto server = started(echo, options);
  RawPeer peer(::socket(AF_INET, SOCK_STREAM, 0));
  const std::uint16_t port = server->port();
  // UBSan needs descriptors to check a virtual call for the first time: every call that follows has
  // been made once before.
  EXPECT_THAT(answer_of(*server, get("/", "Connection: close\r\n")), StartsWith("HTTP/1.1 200 "));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const bool connected = peer.connect_to(port);
  const bool told = eventually([&] { return log.count("accepting connections") > 0; });
  std::this_thread::sleep_for(milliseconds(350));  // some more attempts, which are not told
  const std::size_t told_count = log.count("accepting connections");
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(connected && told);
  EXPECT_EQ(told_count, 1U);
  ASSERT_TRUE(peer.send(get("/", "Connection: close\r\n")));
  EXPECT_THAT(peer.receive_all(), StartsWith("HTTP/1.1 200 "));
}

// Answers.

TEST(HttpServer, AnswersNotModifiedToAKnownTag) {
  const auto server = started([](const HttpRequest& request) {
    HttpResponse response = text_response("content");
    response.headers.emplace_back("ETag", "\"v1\"");
    if (request.path == "/missing") response.status = 404;
    return response;
  });
  const auto ask = [&](std::string_view path, const std::string& tags) {
    return answer_of(*server, get(path, "Connection: close\r\nIf-None-Match: " + tags + "\r\n"));
  };
  const auto not_modified =
      AllOf(StartsWith("HTTP/1.1 304 Not Modified\r\n"), HasSubstr("ETag: \"v1\"\r\n"),
            Not(HasSubstr("Content-")), EndsWith("\r\n\r\n"));
  EXPECT_THAT(ask("/", "\"v1\""), not_modified);
  EXPECT_THAT(ask("/", "\"v0\", W/\"v1\""), not_modified);
  EXPECT_THAT(ask("/", "*"), not_modified);
  EXPECT_THAT(ask("/", "\"v2\""), EndsWith("content"));
  EXPECT_THAT(ask("/", "v1"), EndsWith("content"));
  EXPECT_THAT(ask("/missing", "\"v1\""), StartsWith("HTTP/1.1 404 "));
}

TEST(HttpServer, TurnsExceptionsIntoInternalErrors) {
  Log log;
  HttpServerOptions options;
  options.log = log.sink();
  const auto server = started(
      [](const HttpRequest& request) -> HttpResponse {
        if (request.path == "/odd") throw 42;
        throw std::runtime_error("the secret reason");
      },
      options);
  RawPeer peer = RawPeer::connect(server->port());
  for (const std::string_view path : {"/plain", "/odd"}) {
    ASSERT_TRUE(peer.send(get(path)));
    EXPECT_THAT(
        peer.receive_through("}}\n"),
        AllOf(StartsWith("HTTP/1.1 500 "), HasSubstr("\"internal\""), Not(HasSubstr("secret"))));
  }
  EXPECT_EQ(log.count("GET /plain: the secret reason"), 1U);
  EXPECT_EQ(log.count("GET /odd"), 1U);
}

TEST(HttpServer, SendsNoHeaderThatBreaksTheMessage) {
  const auto server = started([](const HttpRequest& request) {
    HttpResponse response = text_response("x");
    if (request.path == "/value") response.headers.emplace_back("x-a", "b\r\nx-evil: 1");
    if (request.path == "/name") response.headers.emplace_back("x a", "b");
    if (request.path == "/status") response.status = 1000;
    if (request.path == "/own") response.headers.emplace_back("Content-Length", "77");
    return response;
  });
  for (const std::string_view path : {"/value", "/name", "/status"}) {
    EXPECT_THAT(answer_of(*server, get(path, "Connection: close\r\n")),
                AllOf(StartsWith("HTTP/1.1 500 "), Not(HasSubstr("evil"))));
  }
  EXPECT_THAT(answer_of(*server, get("/own", "Connection: close\r\n")),
              AllOf(HasSubstr("Content-Length: 1\r\n"), Not(HasSubstr("77"))));
}

TEST(HttpServer, SpeaksToOldPeers) {
  auto script = std::make_shared<Script>();
  script->pieces = {"one", "two"};
  script->when_empty = PullState::kEnd;
  const auto server = started([&](const HttpRequest& request) {
    return request.path == "/stream" ? streaming(script)(request) : echo(request);
  });
  EXPECT_THAT(answer_of(*server, "GET / HTTP/1.0\r\n\r\n"), EndsWith("GET /\n"));
  EXPECT_THAT(answer_of(*server, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
              AllOf(Not(HasSubstr("chunked")), Not(HasSubstr("Content-Length")),
                    HasSubstr("Connection: close"), EndsWith("\r\n\r\nonetwo")));
  RawPeer peer = RawPeer::connect(server->port());
  for (int count = 0; count < 2; ++count) {
    ASSERT_TRUE(peer.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT_THAT(peer.receive_through("GET /\n"), HasSubstr("Connection: keep-alive\r\n"));
  }
}

TEST(HttpServer, AnswersAPeerThatHasEndedSending) {
  const auto server = started(echo);
  RawPeer peer = RawPeer::connect(server->port());
  ASSERT_TRUE(peer.send(get("/a") + get("/b")));
  peer.end_sending();
  EXPECT_THAT(peer.receive_all(), AllOf(HasSubstr("GET /a\n"), EndsWith("GET /b\n")));
}

// Streams.

TEST(HttpServer, StreamsPiecesInOrderAndKeepsTheConnection) {
  auto script = std::make_shared<Script>();
  const auto server = started([&](const HttpRequest& request) {
    return request.path == "/stream" ? streaming(script)(request) : echo(request);
  });
  std::string expected;
  for (std::size_t index = 0; index < 200; ++index) {
    script->pieces.emplace_back(index * 97 + 1, static_cast<char>('a' + index % 26));
    expected += script->pieces.back();
  }
  script->when_empty = PullState::kEnd;
  RawPeer peer = RawPeer::connect(server->port());
  ASSERT_TRUE(peer.send(get("/stream") + get("/next")));
  EXPECT_THAT(peer.receive_through("\r\n\r\n"), HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_EQ(dechunked(peer.receive_through("\r\n0\r\n\r\n")), expected);
  EXPECT_THAT(peer.receive_through("GET /next\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(eventually([&] { return script->released.load(); }));
}

TEST(HttpServer, SendsHeadAndPiecesAsTheyCome) {
  auto script = std::make_shared<Script>();
  const auto server = started(streaming(script));
  RawPeer peer = RawPeer::connect(server->port());
  ASSERT_TRUE(peer.send(get("/")));
  EXPECT_THAT(peer.receive_through("\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  for (const std::string_view word : {"first", "second", "third"}) {
    script->add(std::string(word));
    EXPECT_THAT(peer.receive_through(word), EndsWith("\r\n" + std::string(word)));
    const unsigned seen = script->pending_count;
    script->wake();  // a wake for nothing
    EXPECT_TRUE(eventually([&] { return script->pending_count > seen; }));
  }
  script->finish(PullState::kEnd);
  EXPECT_THAT(peer.receive_through("0\r\n\r\n"), EndsWith("0\r\n\r\n"));
}

TEST(HttpServer, LosesNoWakeThatComesInsidePull) {
  auto script = std::make_shared<Script>();
  script->before_pending = [&] { script->add("came meanwhile"); };
  const auto server = started(streaming(script));
  RawPeer peer = RawPeer::connect(server->port());
  ASSERT_TRUE(peer.send(get("/")));
  EXPECT_THAT(peer.receive_through("came meanwhile"), EndsWith("came meanwhile"));
}

TEST(HttpServer, LosesNoWakeUnderLoad) {
  HttpServerOptions options;
  options.threads = 3;
  std::vector<std::shared_ptr<Script>> scripts(4);
  for (auto& script : scripts) script = std::make_shared<Script>();
  const auto server = started(
      [&](const HttpRequest& request) {
        return streaming(scripts.at(std::stoul(request.path.substr(1))))(request);
      },
      options);
  std::vector<std::thread> threads;
  std::vector<std::string> received(scripts.size());
  for (std::size_t index = 0; index < scripts.size(); ++index) {
    threads.emplace_back([&, index] {
      RawPeer peer = RawPeer::connect(server->port());
      EXPECT_TRUE(peer.send(get("/" + std::to_string(index), "Connection: close\r\n")));
      received[index] = dechunked(body_of(peer.receive_all()));
    });
    threads.emplace_back([&, index] {
      for (int number = 0; number < 3'000; ++number) {
        scripts[index]->add(std::to_string(number) + ",");
      }
      scripts[index]->finish(PullState::kEnd);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::string expected;
  for (int number = 0; number < 3'000; ++number) expected += std::to_string(number) + ",";
  for (const std::string& text : received) EXPECT_EQ(text, expected);
}

TEST(HttpServer, IgnoresWakersOfThePast) {
  std::vector<std::shared_ptr<Script>> scripts;
  std::mutex mutex;
  auto server = started([&](const HttpRequest& request) {
    const std::lock_guard lock(mutex);
    scripts.push_back(std::make_shared<Script>());
    scripts.back()->pieces = {"x"};
    if (request.path == "/short") scripts.back()->when_empty = PullState::kEnd;
    return streaming(scripts.back())(request);
  });
  RawPeer peer = RawPeer::connect(server->port());
  ASSERT_TRUE(peer.send(get("/short") + get("/long")));
  peer.receive_through("0\r\n\r\n");
  peer.receive_through("\r\nx\r\n");
  std::atomic<bool> stopping = false;
  std::thread waker([&] {
    while (!stopping) {
      for (const auto& script : scripts) script->wake();
    }
  });
  std::this_thread::sleep_for(milliseconds(20));
  server->stop();
  server.reset();
  std::this_thread::sleep_for(milliseconds(20));
  stopping = true;
  waker.join();
  EXPECT_TRUE(scripts.at(0)->released);
  EXPECT_TRUE(scripts.at(1)->released);
}

TEST(HttpServer, ReleasesAPendingStreamWhenThePeerLeaves) {
  for (const bool hard : {false, true}) {
    auto script = std::make_shared<Script>();
    const auto server = started(streaming(script));
    RawPeer peer = RawPeer::connect(server->port());
    ASSERT_TRUE(peer.send(get("/")));
    peer.receive_through("\r\n\r\n");
    ASSERT_TRUE(eventually([&] { return script->pending_count > 0; }));
    EXPECT_FALSE(script->released);
    hard ? peer.reset() : peer.close();
    EXPECT_TRUE(eventually([&] { return script->released.load(); }));
    EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
    script->add("nobody is there");
  }
}

TEST(HttpServer, KeepsAPendingStreamWhosePeerSendsMuch) {
  auto script = std::make_shared<Script>();
  const auto server = started(streaming(script));
  RawPeer peer = RawPeer::connect(server->port());
  ASSERT_TRUE(peer.send(get("/") + std::string(150'000, 'x')));
  peer.receive_through("\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return script->pending_count > 0; }));
  script->add("still here");
  script->finish(PullState::kEnd);
  EXPECT_THAT(peer.receive_through("0\r\n\r\n"), HasSubstr("still here"));
  EXPECT_THAT(peer.receive_all(), StartsWith("HTTP/1.1 431 "));
}

TEST(HttpServer, CutsTheConnectionWhenASourceFails) {
  for (const bool old_peer : {false, true}) {
    auto script = std::make_shared<Script>();
    script->pieces = {"part"};
    const auto server = started(streaming(script));
    RawPeer peer = RawPeer::connect(server->port());
    ASSERT_TRUE(peer.send(old_peer ? "GET / HTTP/1.0\r\n\r\n" : get("/")));
    EXPECT_THAT(peer.receive_through("part"), EndsWith("part"));
    script->finish(PullState::kFailed);
    EXPECT_THAT(peer.receive_all(), Not(HasSubstr("0\r\n")));
    EXPECT_EQ(peer.reset_seen(), old_peer);  // where the end alone would look like success
    EXPECT_TRUE(eventually([&] { return script->released.load(); }));
  }
}

TEST(HttpServer, StreamsWithALengthThatIsKnown) {
  auto script = std::make_shared<Script>();
  script->pieces = {"1234", "567", "89"};
  script->when_empty = PullState::kEnd;
  const auto server = started(streaming(script, 9));
  EXPECT_THAT(answer_of(*server, get("/", "Connection: close\r\n")),
              AllOf(HasSubstr("Content-Length: 9\r\n"), Not(HasSubstr("chunked")),
                    EndsWith("\r\n\r\n123456789")));
}

TEST(HttpServer, CutsStreamsOfAnotherLengthThanAnnounced) {
  Log log;
  HttpServerOptions options;
  options.log = log.sink();
  for (const std::uint64_t length : {8U, 10U}) {
    auto script = std::make_shared<Script>();
    script->pieces = {"1234", "567", "89"};
    script->when_empty = PullState::kEnd;
    const auto server = started(streaming(script, length), options);
    EXPECT_LT(body_of(answer_of(*server, get("/"))).size(), length);
  }
  EXPECT_EQ(log.count("another length than announced"), 2U);
}

TEST(HttpServer, DrawsNoMoreThanThePeerTakes) {
  HttpServerOptions options;
  options.write_stall_timeout = milliseconds(300);
  Log log;
  options.log = log.sink();
  auto pulled = std::make_shared<std::atomic<std::uint64_t>>(0);
  const auto server = started(
      [&](const HttpRequest&) {
        HttpResponse response;
        response.stream = std::make_unique<EndlessSource>(100'000, pulled);
        return response;
      },
      options);
  RawPeer peer = RawPeer::connect(server->port(), 64 * 1024);
  ASSERT_TRUE(peer.send(get("/")));
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));  // cut: it takes nothing
  EXPECT_LT(*pulled, 64U * 1024 * 1024);
  // What the kernel itself gives up on first is not told.
  EXPECT_LE(log.count("took nothing"), 1U);
}

TEST(HttpServer, BearsWithASlowPeer) {
  HttpServerOptions options;
  options.write_stall_timeout = milliseconds(1'000);
  const std::string body(6'000'000, 'b');
  const auto server = started([&](const HttpRequest&) { return text_response(body); }, options);
  RawPeer peer = RawPeer::connect(server->port(), 32 * 1024);
  ASSERT_TRUE(peer.send(get("/", "Connection: close\r\n")));
  std::size_t count = 0;
  for (int step = 0; step < 40; ++step) {  // twice the stall timeout in all
    count += peer.receive_some(16'384).size();
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_GT(count + peer.receive_all().size(), body.size());
}

// The server itself.

/// A handler that keeps the responders of the requests it gets.
struct Postponed {
  std::mutex mutex;
  std::vector<std::pair<std::string, HttpResponder>> waiting;

  HttpHandler handler() {
    return [this](const HttpRequest& request) {
      HttpResponse response;
      response.later = [this, path = request.path](HttpResponder responder) {
        const std::lock_guard lock(mutex);
        waiting.emplace_back(path, std::move(responder));
      };
      return response;
    };
  }
  std::size_t count() {
    const std::lock_guard lock(mutex);
    return waiting.size();
  }
  bool wait_for(std::size_t number) {
    return walferry::tests::wait_until([&] { return count() >= number; });
  }
};

TEST(HttpServer, AnswersLaterFromAnotherThread) {
  Postponed postponed;
  const auto server = started(postponed.handler());
  RawPeer slow = RawPeer::connect(server->port());
  ASSERT_TRUE(slow.send(get("/slow") + get("/next", "Connection: close\r\n")));
  ASSERT_TRUE(postponed.wait_for(1));
  // Nobody waits for it: others are answered, and the next of the same connection is not asked for.
  RawPeer other = RawPeer::connect(server->port());
  ASSERT_TRUE(other.send(get("/other", "Connection: close\r\n")));
  ASSERT_TRUE(postponed.wait_for(2));
  EXPECT_EQ(postponed.waiting[1].first, "/other");
  std::thread([&] { postponed.waiting[1].second(text_response("other")); }).join();
  EXPECT_EQ(body_of(other.receive_all()), "other");
  EXPECT_EQ(postponed.count(), 2U);
  postponed.waiting[0].second(text_response("slow"));
  postponed.waiting[0].second(text_response("a second answer"));
  ASSERT_TRUE(postponed.wait_for(3));
  postponed.waiting[2].second(text_response("next"));
  EXPECT_THAT(slow.receive_all(),
              AllOf(HasSubstr("\r\n\r\nslowHTTP/1.1 200 OK"), EndsWith("\r\n\r\nnext")));
}

TEST(HttpServer, AnswersForAHandlerThatForgets) {
  Postponed postponed;
  const auto server = started(postponed.handler());
  RawPeer peer = RawPeer::connect(server->port());
  ASSERT_TRUE(peer.send(get("/", "Connection: close\r\n")));
  ASSERT_TRUE(postponed.wait_for(1));
  postponed.waiting.clear();
  EXPECT_THAT(peer.receive_all(), StartsWith("HTTP/1.1 500 "));
}

TEST(HttpServer, ForgetsAnswersToPeersThatAreGone) {
  Postponed postponed;
  auto server = started(postponed.handler());
  {
    RawPeer peer = RawPeer::connect(server->port());
    ASSERT_TRUE(peer.send(get("/")));
    ASSERT_TRUE(postponed.wait_for(1));
  }
  postponed.waiting[0].second(text_response("to nobody"));
  RawPeer another = RawPeer::connect(server->port());
  ASSERT_TRUE(another.send(get("/")));
  ASSERT_TRUE(postponed.wait_for(2));
  server->stop();
  server.reset();
  postponed.waiting[1].second(text_response("from nobody"));
}

TEST(HttpServer, StopsWithStreamsOpen) {
  auto script = std::make_shared<Script>();
  auto server = started(streaming(script));
  std::vector<RawPeer> peers;
  for (int count = 0; count < 5; ++count) {
    peers.push_back(RawPeer::connect(server->port()));
    ASSERT_TRUE(peers.back().send(get("/")));
    peers.back().receive_through("\r\n\r\n");
  }
  const std::uint16_t port = server->port();
  server->stop();
  EXPECT_TRUE(script->released);
  EXPECT_EQ(server->connections(), 0U);
  for (RawPeer& peer : peers) EXPECT_EQ(peer.receive_all(), "");
  server->stop();
  RawPeer late(::socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_FALSE(late.connect_to(port));
  server.reset();
}

TEST(HttpServer, NamesAnAddressInUse) {
  const auto first = started(echo);
  HttpServerOptions options;
  options.port = first->port();
  const auto second = HttpServer::start(options, echo);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kBusy);
  EXPECT_THAT(second.error().message, HasSubstr("127.0.0.1:" + std::to_string(options.port)));
}

TEST(HttpServer, NamesAnAddressThatCannotBeBound) {
  for (const std::string address : {"192.0.2.1", "", "no such address"}) {
    HttpServerOptions options;
    options.address = address;
    const auto server = HttpServer::start(options, echo);
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(server.error().message, HasSubstr(address));
  }
}

TEST(HttpServer, TakesAPortAgainAtOnce) {
  HttpServerOptions options;
  for (int count = 0; count < 3; ++count) {
    const auto server = started(echo, options);
    options.port = server->port();
    EXPECT_THAT(answer_of(*server, get("/", "Connection: close\r\n")), EndsWith("GET /\n"));
  }
}

TEST(HttpServer, ListensOnIpv6) {
  HttpServerOptions options;
  options.address = "::1";
  const auto server = HttpServer::start(
      options, [](const HttpRequest& request) { return text_response(request.peer); });
  if (!server) GTEST_SKIP() << "no IPv6 here: " << server.error().message;
  EXPECT_THAT(output_of("curl -s -g 'http://[::1]:" + std::to_string((*server)->port()) + "/'"),
              StartsWith("[::1]:"));
}

TEST(HttpServer, KnowsLoopbackAddresses) {
  for (const std::string_view address :
       {"127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost", "LocalHost", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(is_loopback_address(address)) << address;
  }
  for (const std::string_view address : {"0.0.0.0", "128.0.0.1", "::", "::2", "", "localhost.evil",
                                         "127.0.0.1.evil", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(is_loopback_address(address)) << address;
  }
}

TEST(HttpServer, ServesTheCurlProgram) {
  std::string body;
  for (int number = 0; body.size() < 3'000'000; ++number) body += std::to_string(number) + "\n";
  const auto server = started([&](const HttpRequest& request) {
    if (request.method == "POST") return text_response(std::to_string(request.body.size()));
    auto script = std::make_shared<Script>();
    for (std::size_t at = 0; at < body.size(); at += 70'000) {
      script->pieces.push_back(body.substr(at, 70'000));
    }
    script->when_empty = PullState::kEnd;
    return streaming(script)(request);
  });
  const std::string url = "'" + url_of(*server, "/") + "'";
  // Four times over one connection, and once with a body that asks for a go-ahead.
  const std::string four = output_of("curl -s " + url + " " + url + " " + url + " " + url);
  EXPECT_TRUE(four == body + body + body + body);
  EXPECT_EQ(output_of("head -c 2000000 /dev/zero | curl -s -H 'Expect: 100-continue' "
                      "--data-binary @- " +
                      url),
            "2000000");
  EXPECT_THAT(output_of("curl -s -I " + url), HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_TRUE(output_of("curl -s -0 " + url) == body);
}

}  // namespace
}  // namespace walferry::net::test
