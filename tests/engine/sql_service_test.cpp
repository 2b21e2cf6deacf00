// Clients' SQL over HTTP, asked as the server asks it, on real databases.
#include "engine/sql_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <future>
#include <string>
#include <vector>

#include "tests/support/polling.h"
#include "tests/support/stock_database.h"
#include "tests/support/temporary_directory.h"

namespace walferry::engine {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using testing::HasSubstr;
using tests::StockDatabase;
using tests::TemporaryDirectory;
using tests::wait_until;

json::object execute(std::string_view sql) {
  return {{"type", "execute"}, {"stmt", json::object{{"sql", sql}}}};
}
const json::object kClose{{"type", "close"}};

class SqlServiceTest : public testing::Test {
 protected:
  SqlServiceTest() {
    for (const char* name : {"app.db", "other.db"}) {
      StockDatabase database(directory_ / name);
      database.run("PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
    }
  }

  void start(SqlServiceOptions options = {}) {
    service_ = std::make_unique<SqlService>(options);
    service_->add("app.db", directory_ / "app.db");
    service_->add("other.db", directory_ / "other.db");
  }

  struct Answer {
    unsigned status = 0;
    json::value body;
    [[nodiscard]] std::string baton() const {
      return body.at("baton").is_null() ? "" : std::string(body.at("baton").as_string());
    }
    [[nodiscard]] const json::value& result(std::size_t index) const {
      return body.at("results").at(index);
    }
    [[nodiscard]] std::string type(std::size_t index) const {
      return std::string(result(index).at("type").as_string());
    }
    [[nodiscard]] std::string code(std::size_t index) const {
      return std::string(result(index).at("error").at("code").as_string());
    }
    /// The first value of the first row.
    [[nodiscard]] std::string value(std::size_t index) const {
      const json::value& rows = result(index).at("response").at("result").at("rows");
      return std::string(rows.at(0).at(0).at("value").as_string());
    }
  };

  static net::HttpRequest post(const std::string& body) {
    net::HttpRequest request;
    request.method = "POST";
    request.body = body;
    return request;
  }

  std::future<Answer> begin(const net::HttpRequest& request, const std::string& endpoint,
                            const std::string& database = "app.db") {
    auto promise = std::make_shared<std::promise<Answer>>();
    const auto keep = [promise](const net::HttpResponse& response) {
      promise->set_value({response.status, json::parse(response.body)});
    };
    auto response = service_->handle(database, endpoint, request);
    if (response.later) {
      response.later(keep);
    } else {
      keep(response);
    }
    return promise->get_future();
  }
  std::future<Answer> begin(const std::vector<json::object>& requests,
                            const std::string& baton = "", const std::string& database = "app.db") {
    json::array list(requests.begin(), requests.end());
    json::object body{{"requests", list}};
    if (!baton.empty()) body["baton"] = baton;
    return begin(post(json::serialize(body)), "v3/pipeline", database);
  }
  Answer ask(const std::vector<json::object>& requests, const std::string& baton = "",
             const std::string& database = "app.db") {
    return begin(requests, baton, database).get();
  }

  TemporaryDirectory directory_;
  std::unique_ptr<SqlService> service_;
};

TEST_F(SqlServiceTest, RunsAllRequestsOfAPipelineWhateverFails) {
  start();
  const Answer answer = ask({execute("INSERT INTO t VALUES(7, 'x')"), execute("SELEC"),
                             execute("INSERT INTO t VALUES(7, 'y')"), execute("SELECT a FROM t"),
                             kClose, execute("SELECT 1")});
  EXPECT_EQ(answer.status, 200U);
  EXPECT_EQ(answer.type(0), "ok");
  EXPECT_EQ(answer.code(1), "SQL_PARSE_ERROR");
  EXPECT_EQ(answer.code(2), "SQLITE_CONSTRAINT");
  EXPECT_EQ(answer.value(3), "7");
  EXPECT_EQ(answer.type(4), "ok");
  EXPECT_EQ(answer.code(5), "STREAM_CLOSED");
  EXPECT_EQ(answer.baton(), "");
}

TEST_F(SqlServiceTest, KeepsAStreamUnderABatonThatIsGoodOnce) {
  start();
  const Answer first = ask({execute("BEGIN"), execute("INSERT INTO t VALUES(1, 1)")});
  ASSERT_NE(first.baton(), "");
  EXPECT_EQ(StockDatabase(directory_ / "app.db").number("SELECT count(*) FROM t"), 0);
  const Answer second = ask({{{"type", "get_autocommit"}}, execute("COMMIT")}, first.baton());
  EXPECT_FALSE(second.result(0).at("response").at("is_autocommit").as_bool());
  EXPECT_NE(second.baton(), first.baton());
  EXPECT_EQ(StockDatabase(directory_ / "app.db").number("SELECT count(*) FROM t"), 1);

  const Answer again = ask({execute("SELECT 1")}, first.baton());
  EXPECT_EQ(again.status, 400U);
  EXPECT_EQ(again.body.at("code"), "STREAM_EXPIRED");
  const Answer forged = ask({execute("SELECT 1")}, "made up");
  EXPECT_EQ(forged.status, 400U);
  EXPECT_EQ(forged.body.at("code"), "BATON_INVALID");
  const Answer elsewhere = ask({execute("SELECT 1")}, second.baton(), "other.db");
  EXPECT_EQ(elsewhere.body.at("code"), "BATON_INVALID");
}

TEST_F(SqlServiceTest, RunsTheStepsOfABatchAsTheirConditionsSay) {
  start();
  const auto step = [](std::string_view sql, const json::value& condition = nullptr) {
    return json::object{{"stmt", json::object{{"sql", sql}}}, {"condition", condition}};
  };
  const json::value ok0{{"type", "ok"}, {"step", 0}};
  const json::value error1{{"type", "error"}, {"step", 1}};
  const json::value not_ok0 = json::object{{"type", "not"}, {"cond", ok0}};
  const json::value none_of = json::object{{"type", "and"}, {"conds", json::array{}}};
  const json::value any_of = json::object{{"type", "or"}, {"conds", json::array{}}};
  const json::object batch{
      {"type", "batch"},
      {"batch",
       json::object{{"steps", json::array{step("INSERT INTO t VALUES(1, 1)"),
                                          step("INSERT INTO t VALUES(1, 1)", ok0),
                                          step("INSERT INTO t VALUES(2, 1)", not_ok0),
                                          step("INSERT INTO t VALUES(3, 1)", error1),
                                          step("INSERT INTO t VALUES(4, 1)", none_of),
                                          step("INSERT INTO t VALUES(5, 1)", any_of),
                                          step("INSERT INTO t VALUES(6, 1)",
                                               json::object{{"type", "is_autocommit"}})}}}}};
  const Answer answer = ask({batch, kClose});
  const json::value& result = answer.result(0).at("response").at("result");
  std::string ran;
  for (const json::value& one : result.at("step_results").as_array())
    ran += one.is_null() ? '-' : '+';
  EXPECT_EQ(ran, "+--++-+");
  std::string failed;
  for (const json::value& one : result.at("step_errors").as_array())
    failed += one.is_null() ? '-' : '!';
  EXPECT_EQ(failed, "-!-----");
  StockDatabase database(directory_ / "app.db");
  EXPECT_EQ(database.number("SELECT sum(a) FROM t"), 1 + 3 + 4 + 6);
}

TEST_F(SqlServiceTest, RunsSequencesAndStoredTexts) {
  start();
  const json::object store{{"type", "store_sql"}, {"sql_id", 5}, {"sql", "SELECT count(*) FROM t"}};
  const json::object stored{{"type", "execute"}, {"stmt", json::object{{"sql_id", 5}}}};
  const json::object sequence{
      {"type", "sequence"},
      {"sql",
       "INSERT INTO t VALUES(1, ';');\r\nCREATE TRIGGER g AFTER INSERT ON t BEGIN\r\n  UPDATE t "
       "SET "
       "b=CASE WHEN b IS NULL THEN 0 END WHERE a=new.a;\r\nEND; -- done\n"}};
  const json::object broken{{"type", "sequence"},
                            {"sql", "INSERT INTO t VALUES(2, 2); NONSENSE; DELETE FROM t"}};
  const Answer answer = ask({store,
                             sequence,
                             stored,
                             store,
                             broken,
                             stored,
                             {{"type", "close_sql"}, {"sql_id", 5}},
                             stored,
                             kClose});
  EXPECT_EQ(answer.type(1), "ok");
  EXPECT_EQ(answer.value(2), "1");
  EXPECT_EQ(answer.code(3), "SQL_ID_IN_USE");
  EXPECT_EQ(answer.code(4), "SQL_PARSE_ERROR");
  EXPECT_EQ(answer.value(5), "2");
  EXPECT_EQ(answer.code(7), "SQL_NOT_FOUND");
}

TEST_F(SqlServiceTest, GivesWritersTheirTurns) {
  start();
  const Answer holder = ask({execute("BEGIN IMMEDIATE"), execute("INSERT INTO t VALUES(1, 1)")});
  std::vector<std::future<Answer>> waiting;
  for (int i = 0; i < 40; ++i) {
    waiting.push_back(begin({execute("INSERT INTO t(b) VALUES(0)"), kClose}));
  }
  // More of them than threads, and readers are served all the same.
  EXPECT_EQ(ask({execute("SELECT count(*) FROM t"), kClose}).value(0), "0");
  for (auto& one : waiting) EXPECT_EQ(one.wait_for(milliseconds(0)), std::future_status::timeout);
  EXPECT_EQ(ask({execute("COMMIT"), kClose}, holder.baton()).type(0), "ok");
  for (auto& one : waiting) EXPECT_EQ(one.get().type(0), "ok");
  EXPECT_EQ(ask({execute("SELECT count(*) FROM t"), kClose}).value(0), "41");
}

TEST_F(SqlServiceTest, TellsAWriterWhoseTurnDoesNotCome) {
  SqlServiceOptions options;
  options.turn_timeout = milliseconds(150);
  start(options);
  const Answer holder = ask({execute("BEGIN IMMEDIATE")});
  const Answer late = ask({execute("INSERT INTO t VALUES(1, 1)"), execute("SELECT 1"), kClose});
  EXPECT_EQ(late.code(0), "SQLITE_BUSY");
  EXPECT_EQ(late.value(1), "1");
  EXPECT_EQ(ask({execute("ROLLBACK"), kClose}, holder.baton()).type(0), "ok");
}

TEST_F(SqlServiceTest, RollsBackWhoStaysAway) {
  SqlServiceOptions options;
  options.transaction_idle = milliseconds(100);
  options.stream_idle = milliseconds(60'000);
  start(options);
  const Answer quiet = ask({execute("SELECT 1")});
  const Answer away = ask({execute("BEGIN"), execute("INSERT INTO t VALUES(1, 1)")});
  // Who waits for the abandoned transaction gets the turn when it is given up.
  EXPECT_EQ(ask({execute("INSERT INTO t VALUES(2, 2)"), kClose}).type(0), "ok");
  const Answer expired = ask({execute("COMMIT")}, away.baton());
  EXPECT_EQ(expired.body.at("code"), "STREAM_EXPIRED");
  EXPECT_EQ(ask({execute("SELECT sum(a) FROM t"), kClose}, quiet.baton()).value(0), "2");
}

TEST_F(SqlServiceTest, RefusesWhatIsTooMuch) {
  SqlServiceOptions options;
  options.answer_bytes = 20'000;
  options.max_requests = 3;
  options.max_streams = 1;
  start(options);
  const std::string rows =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 5000) SELECT i FROM "
      "n";
  const Answer large = ask({execute("SELECT zeroblob(9000)"), execute(rows), execute("SELECT 1")});
  EXPECT_EQ(large.type(0), "ok");
  EXPECT_EQ(large.code(1), "RESPONSE_TOO_LARGE");
  EXPECT_EQ(large.value(2), "1");
  const Answer more = ask({execute("SELECT 1")});
  EXPECT_EQ(more.status, 503U);
  EXPECT_EQ(more.body.at("code"), "TOO_MANY_STREAMS");
  const Answer many = ask({kClose, kClose, kClose, kClose}, large.baton());
  EXPECT_EQ(many.status, 400U);
  EXPECT_EQ(many.body.at("code"), "TOO_MANY_REQUESTS");
}

TEST_F(SqlServiceTest, RefusesWhatIsNoRequestOfAProgram) {
  start();
  net::HttpRequest request = post("{\"requests\": 3}");
  EXPECT_EQ(begin(request, "v2/pipeline").get().status, 400U);
  EXPECT_EQ(begin(post("no json"), "v3/pipeline").get().status, 400U);
  EXPECT_EQ(begin(post("{\"requests\": []}"), "v2/pipeline", "absent.db").get().status, 404U);
  request.method = "GET";
  EXPECT_EQ(begin(request, "v2/pipeline").get().status, 405U);
  // A page in a browser on this machine.
  net::HttpRequest page = post("{\"requests\": []}");
  page.headers.emplace_back("origin", "https://elsewhere.example");
  const Answer refused = begin(page, "v2/pipeline").get();
  EXPECT_EQ(refused.status, 403U);
  EXPECT_EQ(refused.body.at("code"), "ORIGIN_REFUSED");
}

TEST_F(SqlServiceTest, AnswersTheOldestForm) {
  start();
  const std::string insert =
      json::serialize(json::object{{"stmt", json::object{{"sql", "INSERT INTO t VALUES(1, 1)"}}}});
  const Answer executed = begin(post(insert), "v1/execute").get();
  EXPECT_EQ(executed.status, 200U);
  EXPECT_EQ(executed.body.at("result").at("affected_row_count"), 1);
  const Answer failed = begin(post(insert), "v1/execute").get();
  EXPECT_EQ(failed.status, 400U);
  EXPECT_EQ(failed.body.at("code"), "SQLITE_CONSTRAINT");
  const auto step = [](std::string_view sql) {
    return json::object{{"stmt", json::object{{"sql", sql}}}};
  };
  const json::object batch{
      {"batch", json::object{{"steps", json::array{step("BEGIN"), step("DELETE FROM t")}}}}};
  const Answer ran = begin(post(json::serialize(batch)), "v1/batch").get();
  EXPECT_EQ(ran.body.at("result").at("step_results").as_array().size(), 2U);
  // Without a stream there is nobody to commit it.
  EXPECT_EQ(StockDatabase(directory_ / "app.db").number("SELECT count(*) FROM t"), 1);
}

TEST_F(SqlServiceTest, StopsWhileCallsAreUnderWay) {
  start();
  const Answer holder = ask({execute("BEGIN IMMEDIATE"), execute("DELETE FROM t")});
  std::vector<std::future<Answer>> waiting;
  for (int i = 0; i < 8; ++i) waiting.push_back(begin({execute("DELETE FROM t"), kClose}));
  service_->stop();
  EXPECT_EQ(ask({execute("SELECT 1")}).status, 404U);
  service_.reset();
  StockDatabase database(directory_ / "app.db");
  database.run("INSERT INTO t VALUES(1, 1)");
}

TEST_F(SqlServiceTest, TellsHowToNameADatabase) {
  start();
  const Answer absent = ask({execute("SELECT 1")}, "", "absent.db");
  EXPECT_EQ(absent.status, 404U);
  EXPECT_EQ(absent.body.at("message"), "no database \"absent.db\" is served here");
  const Answer unnamed = ask({execute("SELECT 1")}, "", "");
  EXPECT_EQ(unnamed.status, 404U);
  EXPECT_EQ(unnamed.body.at("code"), "NOT_FOUND");
  EXPECT_THAT(std::string(unnamed.body.at("message").as_string()), HasSubstr("/db/NAME/"));
}

TEST_F(SqlServiceTest, ServesOneDatabaseByEachOfItsNames) {
  start();
  EXPECT_EQ(ask({execute("INSERT INTO t VALUES(9, 9)"), kClose}, "", "other.db").type(0), "ok");
  EXPECT_EQ(ask({execute("SELECT count(*) FROM t"), kClose}).value(0), "0");
  EXPECT_TRUE(SqlService::serves("v3-protobuf/pipeline"));
  EXPECT_FALSE(SqlService::serves("v4/pipeline"));
  EXPECT_FALSE(SqlService::serves("ferry/info"));
}

}  // namespace
}  // namespace walferry::engine
