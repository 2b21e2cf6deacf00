// Danger 22, from a server whose messages are whole but untrue: nothing of it may reach the file,
// the error says what is wrong, and all goes on when the server behaves.
#include <gtest/gtest.h>

#include <mutex>

#include "net/http_client.h"
#include "net/http_server.h"
#include "tests/support/ferry_fixture.h"
#include "wal/message_codec.h"
#include "wal/message_format.h"

namespace walferry::tests {
namespace {

using wal::MessageType;

struct Message {
  MessageType type;
  wal::Bytes payload;
};
using Messages = std::vector<Message>;
using Lie = std::function<void(Messages&)>;

/// Answers what a primary answers, changed by a lie where the path contains a word.
class LyingServer {
 public:
  explicit LyingServer(std::string root) : root_(std::move(root)) {
    auto server = net::HttpServer::start(
        {}, [this](const net::HttpRequest& request) { return answer(request); });
    if (!server) throw std::runtime_error(server.error().message);
    server_ = std::move(*server);
  }
  ~LyingServer() { server_->stop(); }
  [[nodiscard]] std::string url() const {
    return "http://127.0.0.1:" + std::to_string(server_->port()) + "/db/app.db";
  }
  void tell(std::string where, Lie lie) {
    const std::lock_guard lock(mutex_);
    where_ = std::move(where);
    lie_ = std::move(lie);
  }

 private:
  net::HttpResponse answer(const net::HttpRequest& request) {
    const std::lock_guard lock(mutex_);
    net::HttpCall call;
    call.method = request.method;
    call.url = root_ + request.path;
    char separator = '?';
    for (const auto& [name, value] : request.query) {
      call.url.append(1, std::exchange(separator, '&')).append(name).append("=").append(value);
    }
    call.body = request.body;
    // A stream has no end: what comes at once is all of it.
    call.idle_timeout = std::chrono::milliseconds(300);
    net::HttpResponse response;
    auto client = net::HttpClient::create();
    const auto reply = (*client)->perform(call, [&](std::span<const std::byte> bytes) -> Status {
      response.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return {};
    });
    if (reply) {
      response.status = static_cast<unsigned>(reply->status);
      response.body += reply->body;
    }
    if (!where_.empty() && request.path.find(where_) != std::string::npos) lie_to(response.body);
    return response;
  }
  void lie_to(std::string& body) const {
    Messages messages;
    wal::MessageParser parser;
    EXPECT_TRUE(parser.feed(std::as_bytes(std::span(body)),
                            [&](MessageType type, std::span<const std::byte> payload) -> Status {
                              messages.push_back({type, {payload.begin(), payload.end()}});
                              return {};
                            }));
    lie_(messages);
    body.clear();
    for (const Message& message : messages) {
      const wal::Bytes bytes =
          wal::encode_message(message.type, message.payload, wal::Compression::kNever);
      body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
  }

  const std::string root_;
  std::mutex mutex_;
  std::string where_;
  Lie lie_;
  std::unique_ptr<net::HttpServer> server_;
};

/// A lie about the first message of a type.
Lie about(MessageType type, const std::function<void(wal::Bytes&)>& change) {
  return [=](Messages& messages) {
    for (Message& message : messages) {
      if (message.type == type) return change(message.payload);
    }
    ADD_FAILURE() << "there is no such message to lie about";
  };
}
template <class Header>
std::function<void(wal::Bytes&)> with_header(const std::function<void(Header&)>& change) {
  return [=](wal::Bytes& payload) {
    auto header = Header::decode(payload);
    ASSERT_TRUE(header);
    change(*header);
    header->encode(payload.data());
  };
}
/// The numbers of a message of pages.
void set_number(wal::Bytes& payload, std::uint32_t index, std::uint32_t number) {
  wal::store_le(payload.data() + wal::PagesHeader::kSize + std::size_t{4} * index, number);
}
std::uint32_t number_of(const wal::Bytes& payload, std::uint32_t index) {
  return wal::load_le<std::uint32_t>(payload.data() + wal::PagesHeader::kSize +
                                     std::size_t{4} * index);
}
void flip_last(wal::Bytes& payload) { payload.back() ^= std::byte{1}; }

struct Case {
  std::string name;
  std::string where;
  Lie lie;
  std::string error;  ///< words of the refusal

  friend void PrintTo(const Case& lie, std::ostream* out) { *out << lie.name; }
};

class Danger22_LyingServer : public FerryTest, public testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    sql(origin_, "PRAGMA journal_mode=WAL;" + filled_table("t", 1000, 380));
    ASSERT_NO_FATAL_FAILURE(serve());
    server_ = std::make_unique<LyingServer>("http://127.0.0.1:" + std::to_string(primary_->port()));
  }
  Finished sync() { return walferry({"replicate", server_->url(), local_, "--once"}); }
  void expect_refused() {
    server_->tell(GetParam().where, GetParam().lie);
    const Finished refused = sync();
    EXPECT_NE(refused.exit_code, 0);
    EXPECT_NE(refused.error.find(GetParam().error), std::string::npos) << refused.error;
  }
  void expect_recovery() {
    server_->tell("", {});
    const Finished synced = sync();
    EXPECT_EQ(synced.exit_code, 0) << synced.error;
    EXPECT_EQ(difference_of_files(origin_, local_), "");
  }
  std::unique_ptr<LyingServer> server_;
};

std::string name_of(const testing::TestParamInfo<Case>& info) { return info.param.name; }

class Danger22_LiesAboutTheFirstCopy : public Danger22_LyingServer {};

TEST_P(Danger22_LiesAboutTheFirstCopy, NothingAppears) {
  expect_refused();
  EXPECT_FALSE(std::filesystem::exists(local_));
  expect_recovery();
}

INSTANTIATE_TEST_SUITE_P(
    Lie, Danger22_LiesAboutTheFirstCopy,
    testing::Values(Case{"AnotherPage", "/snapshot/", about(MessageType::kPages, flip_last),
                         "the first copy has root "},
                    Case{"PagesInAnotherOrder", "/snapshot/",
                         about(MessageType::kPages,
                               [](wal::Bytes& payload) {
                                 set_number(payload, 4, number_of(payload, 5));
                               }),
                         "page 6 of the snapshot where 5 should be"},
                    Case{"MorePagesThanThereAre", "/snapshot/",
                         [](Messages& messages) {
                           Message more{MessageType::kPages,
                                        wal::Bytes(wal::PagesHeader::kSize +
                                                   wal::PagesHeader::numbers_size(1) + 4096)};
                           wal::PagesHeader{4096, 1}.encode(more.payload.data());
                           const auto& last = messages.back().payload;
                           const std::uint32_t count = wal::PagesHeader::decode(last)->count;
                           set_number(more.payload, 0, number_of(last, count - 1) + 1);
                           messages.push_back(std::move(more));
                         },
                         " of the snapshot where "}),
    name_of);

class Danger22_LiesInTheStream : public Danger22_LyingServer {};

TEST_P(Danger22_LiesInTheStream, TheFileStaysAsItWas) {
  ASSERT_EQ(sync().exit_code, 0);
  const std::string before = StockDatabase(local_).text("SELECT group_concat(text) FROM t");
  sql(origin_, "UPDATE t SET text = 'new' || id WHERE id % 9 = 0;");
  ASSERT_TRUE(wait_until([&] { return json_number(primary_->status(), "commits") > 0; }));
  expect_refused();
  EXPECT_EQ(StockDatabase(local_).text("SELECT group_concat(text) FROM t"), before);
  expect_recovery();
}

INSTANTIATE_TEST_SUITE_P(
    Lie, Danger22_LiesInTheStream,
    testing::Values(Case{"AnotherPage", "/stream", about(MessageType::kBatch, flip_last),
                         "breaks SQLite's checksum chain"},
                    Case{"AnotherRoot", "/stream",
                         about(MessageType::kBatch,
                               with_header<wal::BatchHeader>([](auto& h) { ++h.root_low; })),
                         "the pages lead to root "},
                    Case{"AnotherPosition", "/stream",
                         about(MessageType::kBatch,
                               with_header<wal::BatchHeader>([](auto& h) { ++h.first_frame; })),
                         "where the next after "},
                    Case{"AnotherPredecessor", "/stream",
                         about(MessageType::kBatch,
                               with_header<wal::BatchHeader>([](auto& h) { ++h.checksum_before; })),
                         "do not fit on position "},
                    Case{"AnotherLog", "/stream",
                         about(MessageType::kTail,
                               with_header<wal::Tail>([](auto& tail) { tail.log[0] ^= 1; })),
                         "a stream of another log"},
                    Case{"AnotherPageSize", "/stream",
                         about(MessageType::kTail,
                               with_header<wal::Tail>([](auto& tail) { tail.page_size = 8192; })),
                         "a stream of another page size"}),
    name_of);

class Danger22_LiesToAReconcile : public Danger22_LyingServer {};

TEST_P(Danger22_LiesToAReconcile, TheFileStaysAsItWas) {
  ASSERT_EQ(sync().exit_code, 0);
  const std::string before = StockDatabase(local_).text("SELECT group_concat(text) FROM t");
  std::filesystem::remove(local_ + "-walferry");  // nothing is known of the file any more
  sql(origin_, "UPDATE t SET text = 'new' || id WHERE id % 300 = 0;");
  // The generation ends: no frame brings these pages once more.
  EXPECT_EQ(primary_->stop(), 0);
  ASSERT_NO_FATAL_FAILURE(serve());
  expect_refused();
  EXPECT_EQ(StockDatabase(local_).text("SELECT group_concat(text) FROM t"), before);
  expect_recovery();
}

INSTANTIATE_TEST_SUITE_P(
    Lie, Danger22_LiesToAReconcile,
    testing::Values(Case{"AnotherPage", "/pages/", about(MessageType::kPages, flip_last),
                         "the pages lead to root "},
                    Case{"APageNobodyAskedFor", "/pages/",
                         about(MessageType::kPages,
                               [](wal::Bytes& payload) { set_number(payload, 0, 100'000); }),
                         "a page that was not asked for"},
                    Case{"AnotherNode", "/manifest/",
                         about(MessageType::kHashes,
                               with_header<wal::HashesHeader>([](auto& h) { h.first += 256; })),
                         "a manifest answer that was not asked for"},
                    Case{"AnotherLevel", "/manifest/",
                         about(MessageType::kHashes,
                               with_header<wal::HashesHeader>([](auto& h) { ++h.level; })),
                         "a manifest answer that was not asked for"},
                    Case{"ANodeTooFew", "/manifest/",
                         [](Messages& messages) { messages.pop_back(); },
                         "a manifest answer that is too short"}),
    name_of);

}  // namespace
}  // namespace walferry::tests
