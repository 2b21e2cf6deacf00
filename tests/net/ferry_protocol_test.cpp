#include "net/ferry_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

namespace walferry::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Position some_position(std::uint64_t n) { return {LogId{{9, 8, 7}}, n, n + 1, n + 2}; }

Info some_info() {
  Info info;
  info.server_version = "1.2 \"quoted\" \\ \u00fc";
  info.position = some_position(UINT64_MAX - 2);
  info.generation_start = some_position(4);
  info.page_size = 65536;
  info.page_count = UINT32_MAX - 1;
  info.snapshot_page_count = 7;
  info.manifest_height = 3;
  info.root = "0123456789abcdef0123456789abcdef";
  return info;
}

/// The text with one piece of it replaced.
std::string with(std::string text, const std::string& what, const std::string& by) {
  const auto at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what << " in " << text;
  return at == std::string::npos ? text : text.replace(at, what.size(), by);
}

TEST(FerryInfo, RoundTrips) {
  const Info info = some_info();
  const auto parsed = parse_info(to_json(info));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->oldest_protocol, info.oldest_protocol);
  EXPECT_EQ(parsed->newest_protocol, info.newest_protocol);
  EXPECT_EQ(parsed->server_version, info.server_version);
  EXPECT_EQ(parsed->position, info.position);
  EXPECT_EQ(parsed->generation_start, info.generation_start);
  EXPECT_EQ(parsed->page_size, info.page_size);
  EXPECT_EQ(parsed->page_count, info.page_count);
  EXPECT_EQ(parsed->snapshot_page_count, info.snapshot_page_count);
  EXPECT_EQ(parsed->manifest_height, info.manifest_height);
  EXPECT_EQ(parsed->root, info.root);
  EXPECT_EQ(to_json(*parsed), to_json(info));
}

TEST(FerryInfo, IgnoresWhatItDoesNotKnow) {
  const std::string text = to_json(some_info());
  EXPECT_TRUE(parse_info(with(text, "{", R"({"new_member":[1,{"a":null}],)")));
}

TEST(FerryInfo, NamesTheMemberThatIsMissingOrWrong) {
  const std::string text = to_json(some_info());
  for (const std::string name :
       {"protocol", "oldest", "newest", "server_version", "position", "generation_start",
        "page_size", "page_count", "snapshot_page_count", "manifest_height", "root"}) {
    const auto parsed = parse_info(with(text, "\"" + name + "\"", "\"other\""));
    ASSERT_FALSE(parsed) << name;
    EXPECT_EQ(parsed.error().code, ErrorCode::kProtocol);
    EXPECT_THAT(parsed.error().message, HasSubstr("\"" + name + "\""));
  }
  for (const std::string number : {"-1", "1.5", "4294967296", "\"512\"", "null", "[]", "1e30"}) {
    EXPECT_FALSE(parse_info(with(text, "\"page_size\":65536", "\"page_size\":" + number)))
        << number;
  }
  EXPECT_FALSE(parse_info(with(text, "\"root\":\"0", "\"root\":7,\"other\":\"")));
  // Numbers, but none that a database can have.
  for (const auto& [member, number] :
       {std::pair{"\"page_size\":65536", "\"page_size\":0"},
        std::pair{"\"page_size\":65536", "\"page_size\":65535"},
        std::pair{"\"page_size\":65536", "\"page_size\":131072"},
        std::pair{"\"page_count\":4294967294", "\"page_count\":4294967295"},
        std::pair{"\"snapshot_page_count\":7", "\"snapshot_page_count\":4294967295"},
        std::pair{"\"manifest_height\":3", "\"manifest_height\":5"}}) {
    const auto parsed = parse_info(with(text, member, number));
    ASSERT_FALSE(parsed) << number;
    EXPECT_EQ(parsed.error().code, ErrorCode::kProtocol);
    const std::string name(number, std::string(number).find(':'));
    EXPECT_THAT(parsed.error().message, HasSubstr(name));
  }
  EXPECT_FALSE(parse_info(with(text, some_info().position.to_text(), "1.2.3.4")));
}

TEST(FerryInfo, RefusesWhatIsNotJson) {
  std::string deep(100'000, '[');
  for (const std::string& text : {std::string(), std::string("<html>"), std::string("[]"),
                                  std::string("7"), std::string("{\"protocol\":"), deep}) {
    const auto parsed = parse_info(text);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, ErrorCode::kProtocol);
    EXPECT_THAT(parsed.error().message, HasSubstr("is this a walferry server?"));
  }
  const std::string whole = to_json(some_info());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse_info(whole.substr(0, size))) << size;
  }
}

TEST(FerryInfo, WithoutACommonVersionBothRangesAreNamed) {
  Info info = some_info();
  info.oldest_protocol = kNewestProtocol + 1;
  info.newest_protocol = kNewestProtocol + 4;
  const auto parsed = parse_info(to_json(info));
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(parsed.error().message, HasSubstr("2 to 5"));
  EXPECT_THAT(parsed.error().message, HasSubstr("1 to 1"));
  // A newer server that still speaks ours is welcome.
  info.oldest_protocol = kNewestProtocol;
  EXPECT_TRUE(parse_info(to_json(info)));
}

TEST(FerryRoot, RoundTrips) {
  EXPECT_EQ(parse_root(to_json(RootAnswer{"abc"}))->root, "abc");
  EXPECT_FALSE(parse_root("{}"));
  EXPECT_FALSE(parse_root("{\"root\":1}"));
}

TEST(ServerStatusJson, RoundTrips) {
  ServerStatus status;
  status.address = "127.0.0.1";
  status.port = 65535;
  for (std::uint32_t i = 1; i <= 2; ++i) {
    DatabaseStatus d;
    d.name = "app" + std::to_string(i);
    d.path = "/srv/a \"b\"/app.db";
    d.position = some_position(i);
    d.page_size = 512;
    d.page_count = i;
    d.wal_bytes = std::uint64_t{1} << 40;
    d.generations_ended = i + 2;
    d.commits = i + 3;
    d.frames = i + 4;
    d.bridges = i + 5;
    d.header_repairs = i + 6;
    d.writer_hold_last_us = i + 7;
    d.writer_hold_max_us = i + 8;
    d.writer_hold_p99_us = i + 9;
    d.oldest_reader_seconds = 1.25;
    d.followers = i + 10;
    d.error = i == 1 ? "" : "no space";
    status.databases.push_back(d);
  }
  const std::string text = to_json(status);
  const auto parsed = parse_server_status(text);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(to_json(*parsed), text);
  ASSERT_EQ(parsed->databases.size(), 2u);
  EXPECT_EQ(parsed->databases[1].position, some_position(2));
  EXPECT_EQ(parsed->databases[1].error, "no space");
  EXPECT_EQ(parsed->port, 65535);
}

TEST(ServerStatusJson, RefusesOtherTypes) {
  const std::string good = R"({"address":"a","port":1,"databases":[]})";
  EXPECT_TRUE(parse_server_status(good));
  for (const std::string& text :
       {with(good, "\"port\":1", "\"port\":65536"), with(good, "\"port\":1", "\"port\":-1"),
        with(good, "[]", "7"), with(good, "[]", "{}"), with(good, "[]", "[1]"),
        with(good, "[]", "[{}]")}) {
    const auto parsed = parse_server_status(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kProtocol);
  }
}

TEST(ReplicaStatusJson, RoundTripsInEveryState) {
  for (int state = 0; state <= static_cast<int>(ReplicaState::kStopped); ++state) {
    ReplicaStatus status;
    status.state = static_cast<ReplicaState>(state);
    status.url = "http://primary:7070/db/app";
    status.path = "/srv/copy.db";
    if (state % 2 == 0) status.position = some_position(3);
    status.lag_frames = 1;
    status.lag_seconds = 2.5;
    status.last_success_unix = 1.7e9;
    status.last_error = "refused\n";
    status.bytes_received = 3;
    status.snapshot_bytes_received = 4;
    status.batches_applied = 5;
    status.pages_applied = 6;
    status.reconciles = 7;
    status.wal_bytes = 8;
    status.oldest_reader_seconds = 0.5;
    status.apply_lag_seconds = 0.001;
    const std::string text = to_json(status);
    const auto parsed = parse_replica_status(text);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(to_json(*parsed), text);
    EXPECT_EQ(parsed->state, status.state);
    EXPECT_EQ(parsed->position, status.position);
  }
  EXPECT_FALSE(parse_replica_status("{}"));
}

TEST(ErrorAnswer, KeepsCodeAndText) {
  for (const ErrorCode code :
       {ErrorCode::kInvalidArgument, ErrorCode::kNotFound, ErrorCode::kHistoryChanged,
        ErrorCode::kRefused, ErrorCode::kBusy, ErrorCode::kUnsupported}) {
    const Error error{code, "why \"so\""};
    const unsigned status = http_status_of(code);
    EXPECT_GE(status, 400u);
    const Error received =
        error_of_answer(static_cast<long>(status), error_json(error), "http://p");
    EXPECT_EQ(received.code, code);
    EXPECT_EQ(received.message,
              "http://p answers " + std::to_string(status) + ": " + error.message);
  }
}

TEST(ErrorAnswer, MakesSenseOfStrangers) {
  for (const std::string body : {"", "<html>Bad Gateway</html>", "[]", "{\"error\":7}",
                                 "{\"error\":{\"message\":7}}", "{\"error\":{\"message\":\"\"}}"}) {
    const Error error = error_of_answer(502, body, "http://p");
    EXPECT_EQ(error.code, ErrorCode::kNetwork);
    EXPECT_THAT(error.message, HasSubstr("http://p answers 502: no explanation"));
    EXPECT_EQ(error_of_answer(418, body, "http://p").code, ErrorCode::kProtocol);
  }
}

TEST(FerryUrl, IsMadeWithAndWithoutATrailingSlash) {
  EXPECT_EQ(ferry_url("http://h:1", "info"), "http://h:1/ferry/info");
  EXPECT_EQ(ferry_url("http://h:1/db/a//", "1/root?position=x"),
            "http://h:1/db/a/ferry/1/root?position=x");
}

TEST(SnapshotBlock, HasSixteenMebibytes) {
  EXPECT_EQ(snapshot_block_pages(512), 32'768u);
  EXPECT_EQ(snapshot_block_pages(65'536), 256u);
}

TEST(NumberList, WritesRuns) {
  EXPECT_EQ(number_list({}), "");
  EXPECT_EQ(number_list({0}), "0");
  EXPECT_EQ(number_list({1, 4, 9, 10, 11, 12}), "1,4,9-12");
  EXPECT_EQ(number_list({3, 4}), "3-4");
  EXPECT_EQ(number_list({UINT32_MAX - 1, UINT32_MAX}), "4294967294-4294967295");
}

TEST(NumberList, ReadsWhatItWrites) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::minstd_rand random(seed);
  for (int i = 0; i < 300; ++i) {
    std::set<std::uint32_t> numbers;
    const auto most = static_cast<std::uint32_t>(1 + random() % 400);
    for (std::uint32_t j = 0; j < random() % 200; ++j)
      numbers.insert(static_cast<std::uint32_t>(random() % most));
    const std::vector<std::uint32_t> list(numbers.begin(), numbers.end());
    const auto parsed = parse_number_list(number_list(list), std::max<std::size_t>(list.size(), 1));
    ASSERT_TRUE(parsed);
    ASSERT_EQ(*parsed, list);
    if (list.empty()) continue;
    EXPECT_FALSE(parse_number_list(number_list(list), list.size() - 1));
  }
}

TEST(NumberList, HoldsAtMostItsLimit) {
  EXPECT_THAT(*parse_number_list("", 3), IsEmpty());
  EXPECT_THAT(*parse_number_list("1,4,9", 3), ElementsAre(1, 4, 9));
  EXPECT_THAT(*parse_number_list("4294967293-4294967295", 3),
              ElementsAre(4294967293u, 4294967294u, 4294967295u));
  for (const std::string text : {"1,4,9,10", "1-4", "1,2-4", "0-4294967295", "1,0-4294967295"}) {
    const auto parsed = parse_number_list(text, 3);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(parsed.error().message, HasSubstr("at most 3 ascending numbers"));
  }
}

TEST(NumberList, RefusesEveryTextThatIsNotAscendingInTheOneSpelling) {
  for (const std::string text :
       {",",    "1,",   ",1",    "1,,2", "-",          "1-",           "-1",
        "1--2", "2-1",  "1-2-3", "a",    "1a",         "1 ",           " 1",
        "1, 2", "+1",   "0x1",   "1.5",  "4294967296", "1-4294967296", "99999999999999999999",
        "1;2",  "1-,2", "1,1",   "2,1",  "1-3,3",      "1-3,2",        "5,1-7",
        "01",   "1,02", "1-02",  "00"}) {
    EXPECT_FALSE(parse_number_list(text, 100)) << text;
  }
}

}  // namespace
}  // namespace walferry::net
