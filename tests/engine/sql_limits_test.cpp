// What ends a client's statement from outside, transactions that may not write, and how a
// connection is made ready for the next client.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "tests/engine/sql_fixture.h"

namespace walferry::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using tests::SqlFixture;

using SqlLimitsOfAConnection = SqlFixture;
using SqlReadingTransactions = SqlFixture;
using SqlReuse = SqlFixture;

constexpr const char* kForEver =
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT sum(x) FROM c";

TEST_F(SqlLimitsOfAConnection, EndAResultThatIsTooLarge) {
  limits.result_bytes = 100'000;
  open();
  EXPECT_EQ(code("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c"),
            "RESPONSE_TOO_LARGE");
  EXPECT_EQ(code("SELECT zeroblob(200000)"), "RESPONSE_TOO_LARGE");
  EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
}

TEST_F(SqlLimitsOfAConnection, TakeBackAWriteThatReturnsTooMuch) {
  limits.result_bytes = 10'000;
  open();
  run_all("CREATE TABLE t(a)");
  const char* insert =
      "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 5000) "
      "INSERT INTO t SELECT x FROM c RETURNING a";
  EXPECT_EQ(code(insert), "RESPONSE_TOO_LARGE");
  EXPECT_THAT(rows("SELECT count(*) FROM t"), ElementsAre("0"));
  EXPECT_EQ(run_all(insert), "ok");  // whoever wants no rows has none that are too many
  EXPECT_THAT(rows("SELECT count(*) FROM t"), ElementsAre("5000"));
}

TEST_F(SqlLimitsOfAConnection, EndAStatementThatIsTooSlow) {
  limits.statement_time = std::chrono::milliseconds(50);
  open();
  EXPECT_EQ(code(kForEver), "STATEMENT_TIMEOUT");
  EXPECT_THAT(error.message, HasSubstr("50 ms"));
  EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
}

TEST_F(SqlLimitsOfAConnection, DoNotCountTheTimeBetweenRows) {
  limits.statement_time = std::chrono::milliseconds(100);
  open();
  auto statement = connection->prepare(
      "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 3000) SELECT x FROM c");
  ASSERT_TRUE(statement);
  ASSERT_TRUE(*statement->step());
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  EXPECT_TRUE(statement->run());
}

TEST_F(SqlLimitsOfAConnection, EndAStatementOnRequestOfAnotherThread) {
  std::jthread impatient([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    connection->interrupt();
  });
  EXPECT_EQ(code(kForEver), "SQLITE_INTERRUPT");
  impatient.join();
  EXPECT_EQ(code("SELECT 1"), "SQLITE_INTERRUPT");  // later ones, too
  EXPECT_TRUE(connection->reset_for_reuse());
  EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
}

TEST_F(SqlLimitsOfAConnection, RefuseWhatIsTooBig) {
  limits.sql_bytes = 1'000;
  limits.value_bytes = 10'000;
  limits.variables = 5;
  open();
  EXPECT_EQ(code("SELECT '" + std::string(1'000, 'x') + "'"), "SQLITE_TOOBIG");
  EXPECT_EQ(run_all("SELECT '" + std::string(1'000, 'x') + "'"), "SQLITE_TOOBIG");
  EXPECT_EQ(rows("SELECT ?", {std::string(20'000, 'x')}).front(), "SQLITE_TOOBIG");
  EXPECT_EQ(code("SELECT zeroblob(20000)||'x'"), "SQLITE_TOOBIG");
  EXPECT_EQ(code("SELECT ?6"), "SQL_INPUT_ERROR");
}

TEST_F(SqlReadingTransactions, DoNotWriteWhateverTheirSpelling) {
  run_all("CREATE TABLE t(a UNIQUE)");
  for (const char* begin :
       {"BEGIN TRANSACTION READONLY", "begin readonly", "BEGIN/*x*/TRANSACTION -- y\n READONLY;",
        "BEGIN TRANSACTION \"ReadOnly\"", "BEGIN IMMEDIATE TRANSACTION READONLY"}) {
    ASSERT_EQ(code(begin), "ok") << begin;
    EXPECT_FALSE(connection->is_autocommit());
    EXPECT_FALSE(connection->holds_write_lock()) << begin;
    for (const char* sql :
         {"INSERT INTO t VALUES(1)", "CREATE TABLE u(a)", "PRAGMA user_version=9", "VACUUM",
          "CREATE TEMP TABLE x(a)", "PRAGMA optimize", "ANALYZE", "REINDEX"}) {
      EXPECT_EQ(code(sql), "SQLITE_READONLY") << begin << ": " << sql;
    }
    EXPECT_EQ(code("PRAGMA query_only=off"), "SQLITE_AUTH");
    EXPECT_THAT(rows("SELECT count(*) FROM t"), ElementsAre("0"));
    EXPECT_EQ(code("COMMIT"), "ok");
    EXPECT_THAT(rows("PRAGMA query_only"), ElementsAre("0"));
    EXPECT_EQ(run_all("INSERT INTO t VALUES(1); DELETE FROM t"), "ok");
  }
}

TEST_F(SqlReadingTransactions, BindStatementsThatWerePreparedBefore) {
  run_all("CREATE TABLE t(a)");
  auto insert = connection->prepare("INSERT INTO t VALUES(1)");
  ASSERT_TRUE(insert);
  ASSERT_EQ(code("BEGIN READONLY"), "ok");
  EXPECT_EQ(insert->step().error().code, "SQLITE_READONLY");
  EXPECT_EQ(code("INSERT INTO t VALUES(1)"), "SQLITE_READONLY");
}

TEST_F(SqlReadingTransactions, GoOnThroughSavepointsAndErrors) {
  run_all("CREATE TABLE t(a)");
  EXPECT_EQ(run_all("BEGIN READONLY; SAVEPOINT s; SELECT * FROM t; RELEASE s; SAVEPOINT r;"
                    "ROLLBACK TO r"),
            "ok");
  EXPECT_EQ(code("BEGIN"), "SQLITE_ERROR");
  EXPECT_EQ(code("SELECT missing"), "SQL_INPUT_ERROR");
  EXPECT_EQ(code("INSERT INTO t VALUES(1)"), "SQLITE_READONLY");
  EXPECT_EQ(code("ROLLBACK"), "ok");
  EXPECT_EQ(code("INSERT INTO t VALUES(1)"), "ok");
}

TEST_F(SqlReadingTransactions, DoNotBeginWithinAnother) {
  run_all("CREATE TABLE t(a); BEGIN; INSERT INTO t VALUES(1)");
  EXPECT_EQ(code("BEGIN READONLY"), "SQLITE_ERROR");
  EXPECT_EQ(code("INSERT INTO t VALUES(2)"), "ok");
  EXPECT_EQ(code("COMMIT"), "ok");
}

TEST_F(SqlReadingTransactions, KeepCompiledStatements) {
  run_all("CREATE TABLE t(a)");
  rows("SELECT a FROM t");
  run_all("BEGIN READONLY; COMMIT");
  auto statement = connection->prepare("SELECT a FROM t");
  ASSERT_TRUE(statement && statement->run());
  rows("SELECT a FROM t");
}

TEST_F(SqlReadingTransactions, AreAllThatARestrictedConnectionHas) {
  run_all("CREATE TABLE t(a)");
  ASSERT_TRUE(connection->restrict_to_reading());
  for (const char* sql : {"INSERT INTO t VALUES(1)", "BEGIN IMMEDIATE", "PRAGMA user_version=7"}) {
    EXPECT_EQ(code(sql), "SQLITE_READONLY") << sql;
  }
  EXPECT_EQ(run_all("BEGIN READONLY; SELECT * FROM t; COMMIT; BEGIN; SELECT * FROM t; END"), "ok");
  EXPECT_EQ(code("DELETE FROM t"), "SQLITE_READONLY");
  EXPECT_THAT(rows("PRAGMA journal_mode"), ElementsAre("'wal'"));
  EXPECT_TRUE(connection->reset_for_reuse());
  EXPECT_EQ(code("DELETE FROM t"), "ok");
}

TEST_F(SqlReuse, LeavesNothingOfTheClientBefore) {
  run_all(
      "CREATE TABLE t(a); INSERT INTO t VALUES(1), (2); PRAGMA foreign_keys=off;"
      "PRAGMA defer_foreign_keys=on; BEGIN; INSERT INTO t VALUES(3)");
  EXPECT_TRUE(connection->reset_for_reuse());
  EXPECT_TRUE(connection->is_autocommit());
  EXPECT_THAT(rows("SELECT changes(), total_changes(), last_insert_rowid()"), ElementsAre("0|0|0"));
  EXPECT_THAT(rows("PRAGMA foreign_keys"), ElementsAre("1"));
  EXPECT_THAT(rows("PRAGMA defer_foreign_keys"), ElementsAre("0"));
  EXPECT_THAT(rows("SELECT count(*) FROM t"), ElementsAre("2"));
  rows("INSERT INTO t VALUES(4), (5)");
  EXPECT_THAT(rows("SELECT changes(), total_changes(), last_insert_rowid()"), ElementsAre("2|2|4"));
}

TEST_F(SqlReuse, EndsAReadingTransaction) {
  run_all("CREATE TABLE t(a); BEGIN READONLY; SELECT * FROM t");
  EXPECT_TRUE(connection->reset_for_reuse());
  EXPECT_EQ(code("INSERT INTO t VALUES(1)"), "ok");
}

TEST_F(SqlReuse, IsRefusedWhereSomethingWouldStay) {
  for (const char* sql :
       {"CREATE TEMP TABLE x(a)", "CREATE TEMP VIEW x AS SELECT 1", "PRAGMA case_sensitive_like=1",
        "PRAGMA cache_size=100", "PRAGMA recursive_triggers=0", "PRAGMA busy_timeout=1",
        "PRAGMA synchronous=normal", "PRAGMA temp.user_version=3",
        "CREATE VIRTUAL TABLE temp.f USING fts5(a)"}) {
    EXPECT_EQ(code(sql), "ok") << sql << ": " << error.message;
    EXPECT_FALSE(connection->reset_for_reuse()) << sql;
    open();
  }
  auto statement = connection->prepare("SELECT 1");
  EXPECT_FALSE(connection->reset_for_reuse());
}

TEST_F(SqlReuse, IsNotPreventedByWhatChangesTheDatabaseOrNothing) {
  run_all(
      "CREATE TABLE t(a); PRAGMA user_version=5; PRAGMA optimize; PRAGMA journal_mode=WAL;"
      "PRAGMA table_info(t); EXPLAIN PRAGMA cache_size=5; EXPLAIN CREATE TEMP TABLE x(a)");
  EXPECT_TRUE(connection->describe("PRAGMA cache_size=7"));
  EXPECT_TRUE(connection->describe("CREATE TEMP TABLE y(a)"));
  EXPECT_TRUE(connection->reset_for_reuse());
}

TEST_F(SqlReuse, TriggersSeeTheirOwnCounters) {
  run_all(
      "CREATE TABLE t(a); CREATE TABLE log(n); CREATE TRIGGER tr AFTER INSERT ON t BEGIN "
      "UPDATE log SET n=n; INSERT INTO log VALUES(changes()); END;"
      "INSERT INTO log VALUES(10), (20)");
  EXPECT_TRUE(connection->reset_for_reuse());
  rows("INSERT INTO t VALUES(1)");
  EXPECT_THAT(rows("SELECT n FROM log"), ElementsAre("10", "20", "2"));
}

}  // namespace
}  // namespace walferry::engine
