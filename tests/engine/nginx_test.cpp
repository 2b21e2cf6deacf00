// A real nginx in front of a primary: fans out what is immutable, passes the live stream, and
// refuses what it has cached to whoever has no valid token.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/support/child_process.h"
#include "tests/support/daemons.h"
#include "tests/support/polling.h"
#include "tests/support/stock_database.h"
#include "tests/support/temporary_directory.h"

namespace walferry::tests {
namespace {

constexpr const char* kToken = "Authorization: Bearer let-me-in";

class Nginx {
 public:
  Nginx(const TemporaryDirectory& directory, std::uint16_t backend)
      : directory_(directory.path()), port_(free_port()) {
    std::filesystem::create_directories(directory_ / "cache");
    const std::string root = directory_.string();
    // As in docs/operations.md; the token check is nginx's own here.
    write_content(directory_ / "nginx.conf",
                  "daemon off; master_process off; pid " + root + "/nginx.pid; error_log " + root +
                      "/error.log;\n"
                      "events {}\n"
                      "http {\n"
                      "  log_format cached '$upstream_cache_status $request_uri';\n"
                      "  access_log " +
                      root +
                      "/access.log cached;\n"
                      "  client_body_temp_path " +
                      root + "/body; proxy_temp_path " + root +
                      "/proxy;\n"
                      "  fastcgi_temp_path " +
                      root + "/f; uwsgi_temp_path " + root + "/u; scgi_temp_path " + root +
                      "/s;\n"
                      "  proxy_cache_path " +
                      root +
                      "/cache keys_zone=walferry:1m max_size=100m inactive=1h;\n"
                      "  server {\n"
                      "    listen 127.0.0.1:" +
                      std::to_string(port_) +
                      ";\n"
                      "    location = /auth {\n"
                      "      internal;\n"
                      "      if ($http_authorization != \"Bearer let-me-in\") { return 401; }\n"
                      "      return 204;\n"
                      "    }\n"
                      "    location / {\n"
                      "      auth_request /auth;\n"
                      "      proxy_pass http://127.0.0.1:" +
                      std::to_string(backend) +
                      ";\n"
                      "      proxy_http_version 1.1; proxy_set_header Connection \"\";\n"
                      "      proxy_set_header X-Forwarded-For $remote_addr;\n"
                      "      proxy_cache walferry; proxy_cache_lock on;\n"
                      "      add_header X-Cache $upstream_cache_status always;\n"
                      "    }\n"
                      "    location /open/ {\n"
                      "      proxy_pass http://127.0.0.1:" +
                      std::to_string(backend) +
                      "/;\n"
                      "      proxy_http_version 1.1; proxy_set_header Connection \"\";\n"
                      "      proxy_set_header X-Forwarded-For $remote_addr;\n"
                      "      proxy_cache walferry;\n"
                      "      add_header X-Cache $upstream_cache_status always;\n"
                      "    }\n"
                      "  }\n"
                      "}\n");
    process_ = ChildProcess({"nginx", "-p", root, "-c", root + "/nginx.conf"}, {});
  }
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] bool wait_until_serving() const {
    return wait_until(
        [&] { return run_to_end({"curl", "-s", "-o", "/dev/null", url()}).exit_code == 0; });
  }
  [[nodiscard]] std::string access_log() const { return content_of(directory_ / "access.log"); }

 private:
  std::filesystem::path directory_;
  std::uint16_t port_;
  ChildProcess process_;
};

struct Answer {
  std::string status;
  std::string headers;
  std::string body;
};

Answer get(const TemporaryDirectory& directory, const std::string& url, bool with_token) {
  const std::string headers = (directory / "headers").string();
  std::vector<std::string> command{
      "curl", "-s", "-D", headers, "-w", "%{http_code}", "-o", (directory / "body").string(), url};
  if (with_token) {
    command.emplace_back("-H");
    command.emplace_back(kToken);
  }
  Answer answer;
  answer.status = run_to_end(command).output;
  answer.headers = content_of(headers);
  answer.body = content_of(directory / "body");
  return answer;
}

class NginxTest : public testing::Test {
 protected:
  void SetUp() override {
    StockDatabase database(directory_ / "app.db");
    database.run("PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
    fill(database, 400);
    primary_ = std::make_unique<PrimaryDaemon>(directory_ / "app.db", directory_ / "primary.log",
                                               std::vector<std::string>{"--wal-limit", "256K"});
    primary_->start();
    ASSERT_TRUE(primary_->wait_until_serving()) << primary_->log();
    nginx_ = std::make_unique<Nginx>(nginx_directory_, primary_->port());
    ASSERT_TRUE(nginx_->wait_until_serving());
  }
  static void fill(StockDatabase& database, int rows) {
    for (int i = 0; i < rows; ++i) database.run("INSERT INTO t(b) VALUES(hex(randomblob(800)))");
  }
  [[nodiscard]] std::string log_id() const { return primary_->position().substr(0, 32); }

  TemporaryDirectory directory_;
  TemporaryDirectory nginx_directory_;
  std::unique_ptr<PrimaryDaemon> primary_;
  std::unique_ptr<Nginx> nginx_;
};

TEST_F(NginxTest, AnswersAnEndedGenerationFromItsCacheButNotWithoutAToken) {
  {
    StockDatabase database(directory_ / "app.db");
    ASSERT_TRUE(wait_until([&] {
      fill(database, 20);
      return json_number(primary_->status(), "generations_ended") >= 1;
    }));
  }
  const std::string url = nginx_->url() + "/ferry/1/frames/" + log_id() + "/1";
  const Answer first = get(directory_, url, true);
  EXPECT_EQ(first.status, "200");
  EXPECT_NE(first.headers.find("X-Cache: MISS"), std::string::npos) << first.headers;
  const Answer second = get(directory_, url, true);
  EXPECT_EQ(second.status, "200");
  EXPECT_NE(second.headers.find("X-Cache: HIT"), std::string::npos) << second.headers;
  EXPECT_EQ(first.body, second.body);
  EXPECT_GT(first.body.size(), 100'000u);
  EXPECT_EQ(get(directory_, url, false).status, "401");

  // The tag is strong, and asking with it transfers nothing.
  const std::size_t tag_at = first.headers.find("ETag: \"");
  const std::size_t lower_at = first.headers.find("etag: \"");
  const std::size_t at = tag_at != std::string::npos ? tag_at : lower_at;
  ASSERT_NE(at, std::string::npos) << first.headers;
  const std::string tag = first.headers.substr(at + 6, first.headers.find('\r', at) - at - 6);
  const Finished again = run_to_end({"curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H",
                                     kToken, "-H", "If-None-Match: " + tag, url});
  EXPECT_EQ(again.output, "304");
}

TEST_F(NginxTest, FansOutBootstrapsAndPassesTheLiveStream) {
  const std::string url = nginx_->url() + "/open";
  ReplicaDaemon first(url, directory_ / "first.db", directory_ / "first.log");
  ReplicaDaemon second(url, directory_ / "second.db", directory_ / "second.log");
  first.start();
  ASSERT_TRUE(wait_until_equal(*primary_, first)) << first.log();
  second.start();
  ASSERT_TRUE(wait_until_equal(*primary_, second)) << second.log();
  {
    StockDatabase database(directory_ / "app.db");
    fill(database, 50);
  }
  EXPECT_TRUE(wait_until_equal(*primary_, first)) << first.log();
  EXPECT_TRUE(wait_until_equal(*primary_, second)) << second.log();
  EXPECT_EQ(difference_of_files(directory_ / "app.db", directory_ / "first.db"), "");
  EXPECT_EQ(difference_of_files(directory_ / "app.db", directory_ / "second.db"), "");
  // The second snapshot came out of the cache.
  const std::string log_text = nginx_->access_log();
  EXPECT_NE(log_text.find("MISS /open/ferry/1/snapshot/"), std::string::npos) << log_text;
  EXPECT_NE(log_text.find("HIT /open/ferry/1/snapshot/"), std::string::npos) << log_text;
}

}  // namespace
}  // namespace walferry::tests
