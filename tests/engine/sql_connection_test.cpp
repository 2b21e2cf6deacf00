// What clients run and what they are answered: values, columns, parameters, statements, errors.

#include "engine/sql_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/engine/sql_fixture.h"

namespace walferry::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using tests::SqlFixture;

using SqlValues = SqlFixture;
using SqlStatements = SqlFixture;
using SqlParameters = SqlFixture;
using SqlErrors = SqlFixture;

std::vector<std::string> names_of(const std::vector<net::SqlColumn>& columns) {
  std::vector<std::string> names;
  for (const auto& column : columns) names.push_back(column.name + ":" + column.declared_type);
  return names;
}

net::SqlBlob blob(std::initializer_list<int> bytes) {
  net::SqlBlob out;
  for (const int byte : bytes) out.push_back(static_cast<std::byte>(byte));
  return out;
}

TEST_F(SqlValues, AreAllSixtyFourBits) {
  EXPECT_THAT(rows("SELECT ?, ?, 9007199254740993", {std::numeric_limits<std::int64_t>::min(),
                                                     std::numeric_limits<std::int64_t>::max()}),
              ElementsAre("-9223372036854775808|9223372036854775807|9007199254740993"));
}

TEST_F(SqlValues, OfEachKindComeBackAsTheyWent) {
  const std::string with_nul("a\0b", 3);
  EXPECT_THAT(rows("SELECT ?, ?, ?, ?, ?, ?, ?", {net::SqlNull{}, 1.5, std::string(), with_nul,
                                                  blob({}), blob({0, 7, 255}), std::int64_t{0}}),
              ElementsAre("NULL|1.500000|''|'" + with_nul + "'|x''|x'0007ff'|0"));
  EXPECT_THAT(rows("SELECT typeof(?), typeof(?)", {std::string(), blob({})}),
              ElementsAre("'text'|'blob'"));
}

TEST_F(SqlValues, InfinitiesAreKeptAndNanIsNull) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_THAT(rows("SELECT ?, ?, ?", {infinity, -infinity, std::nan("")}),
              ElementsAre("inf|-inf|NULL"));
}

TEST_F(SqlValues, OfDatabasesInUtf16AreUtf8) {
  stock.run("PRAGMA user_version=1");
  tests::StockDatabase other(directory / "wide.db");
  other.run("PRAGMA encoding='UTF-16le'; PRAGMA journal_mode=WAL; CREATE TABLE t(a)");
  other.run("INSERT INTO t VALUES('äöü€')");
  path = directory / "wide.db";
  open();
  EXPECT_THAT(rows("SELECT a FROM t"), ElementsAre("'äöü€'"));
}

TEST_F(SqlStatements, TellEachColumnInOrderWithItsNameAndType) {
  stock.run("CREATE TABLE a(id INTEGER, n VARCHAR(10)); CREATE TABLE b(id, x BLOB)");
  stock.run("INSERT INTO a VALUES(1,'n'); INSERT INTO b VALUES(1, x'00')");
  EXPECT_THAT(rows("SELECT *, 1+1 FROM a JOIN b ON a.id=b.id"), ElementsAre("1|'n'|1|x'00'|2"));
  EXPECT_THAT(names_of(columns),
              ElementsAre("id:INTEGER", "n:VARCHAR(10)", "id:", "x:BLOB", "1+1:"));
}

TEST_F(SqlStatements, HaveColumnsWithoutRows) {
  stock.run("CREATE TABLE t(a, b)");
  EXPECT_THAT(rows("SELECT * FROM t"), IsEmpty());
  EXPECT_THAT(names_of(columns), ElementsAre("a:", "b:"));
  EXPECT_THAT(rows("CREATE TABLE u(a)"), IsEmpty());
  EXPECT_THAT(columns, IsEmpty());
}

TEST_F(SqlStatements, CountWhatTheyChange) {
  run_all("CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
  rows("INSERT INTO t VALUES (7,1),(8,2),(9,3)");
  EXPECT_EQ(end.affected_rows, 3u);
  EXPECT_EQ(end.last_insert_rowid, 9);
  EXPECT_EQ(end.rows_written, 3u);
  rows("SELECT * FROM t");
  EXPECT_EQ(end.affected_rows, 0u);
  EXPECT_EQ(end.last_insert_rowid, 0);
  rows("UPDATE t SET b=0 WHERE a<9");
  EXPECT_EQ(end.affected_rows, 2u);
  rows("UPDATE t SET b=0 WHERE a>9");
  EXPECT_EQ(end.affected_rows, 0u);
  rows("WITH x AS (SELECT 100) INSERT INTO t SELECT *, 1 FROM x");
  EXPECT_EQ(end.affected_rows, 1u);
  EXPECT_EQ(end.last_insert_rowid, 100);
  rows("CREATE TABLE u AS SELECT * FROM t");
  EXPECT_EQ(end.affected_rows, 0u);
  rows("DELETE FROM t");
  EXPECT_EQ(end.affected_rows, 4u);
  rows("CREATE VIRTUAL TABLE f USING fts5(x)");
  EXPECT_EQ(end.affected_rows, 0u);
}

TEST_F(SqlStatements, KnowTheRowidBehindReturning) {
  run_all("CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
  EXPECT_THAT(rows("INSERT INTO t VALUES (12345, 'x'), (12346, 'y') RETURNING b"),
              ElementsAre("'x'", "'y'"));
  EXPECT_EQ(end.last_insert_rowid, 12346);
  EXPECT_EQ(end.affected_rows, 2u);
}

TEST_F(SqlStatements, ReturningThatBreaksAConstraintChangesNothing) {
  run_all("CREATE TABLE t(a UNIQUE)");
  EXPECT_EQ(code("INSERT INTO t VALUES (1), (2), (1) RETURNING a"), "SQLITE_CONSTRAINT");
  EXPECT_THAT(rows("SELECT count(*) FROM t"), ElementsAre("0"));
}

TEST_F(SqlStatements, MayHaveSomethingBlankBehindThem) {
  for (const char* sql : {"SELECT 1;", "SELECT 1 ; ;; \n", "SELECT 1 -- end", "SELECT 1; /* end */",
                          ";; SELECT 1", "-- first\nSELECT 1", "\xef\xbb\xbfSELECT 1"}) {
    EXPECT_THAT(rows(sql), ElementsAre("1")) << sql;
    EXPECT_THAT(rows(sql), ElementsAre("1")) << sql << " again";
  }
}

TEST_F(SqlStatements, AreExactlyOne) {
  for (const char* sql : {"", " \n", ";", "-- only a comment", "/* only a comment */", ";;--"}) {
    EXPECT_EQ(code(sql), "SQL_NO_STATEMENT") << sql;
  }
  EXPECT_EQ(error.message, "SQL string does not contain any statement");
  for (const char* sql : {"SELECT 1; SELECT 2", "SELECT 1; nonsense"}) {
    EXPECT_EQ(code(sql), "SQL_MANY_STATEMENTS") << sql;
  }
  EXPECT_EQ(error.message, "SQL string contains more than one statement");
}

TEST_F(SqlStatements, PragmaAmongOthersIsRefusedBeforeItActs) {
  EXPECT_EQ(code("PRAGMA foreign_keys=OFF; SELECT 1"), "SQL_MANY_STATEMENTS");
  EXPECT_THAT(rows("PRAGMA foreign_keys"), ElementsAre("1"));
}

TEST_F(SqlStatements, AreReadToTheirEnd) {
  EXPECT_EQ(code(std::string_view("SELECT 1\0; DELETE FROM t", 24)), "SQL_PARSE_ERROR");
}

TEST_F(SqlStatements, SeeColumnsThatOthersAdd) {
  stock.run("CREATE TABLE t(a); INSERT INTO t VALUES(1)");
  EXPECT_THAT(rows("SELECT * FROM t"), ElementsAre("1"));
  stock.run("ALTER TABLE t ADD COLUMN b DEFAULT 2");
  EXPECT_THAT(rows("SELECT * FROM t"), ElementsAre("1|2"));
  EXPECT_THAT(names_of(columns), ElementsAre("a:", "b:"));
  stock.run("ALTER TABLE t ADD COLUMN c DEFAULT 3");
  auto description = connection->describe("SELECT * FROM t");
  ASSERT_TRUE(description);
  EXPECT_THAT(names_of(description->columns), ElementsAre("a:", "b:", "c:"));
}

TEST_F(SqlStatements, AreKeptWithoutTheirArguments) {
  EXPECT_THAT(rows("SELECT ?", {std::int64_t{1}}), ElementsAre("1"));
  EXPECT_THAT(rows("SELECT ?", {std::int64_t{2}}), ElementsAre("2"));
  EXPECT_THAT(rows("SELECT ?"), ElementsAre("ARGS_INVALID"));
}

TEST_F(SqlStatements, OfOneTextMayRunTwiceAtATime) {
  auto first = connection->prepare("VALUES (1), (2)");
  auto second = connection->prepare("VALUES (1), (2)");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first->step(), true);
  EXPECT_EQ(*second->step(), true);
  EXPECT_EQ(*first->step(), true);
  EXPECT_EQ(tests::shown(first->row()[0]), "2");
  EXPECT_EQ(tests::shown(second->row()[0]), "1");
}

TEST_F(SqlStatements, RunAsASequence) {
  EXPECT_EQ(run_all(" -- a script\r\nCREATE TABLE t(a, b);\r\n"
                    "CREATE TRIGGER tr AFTER INSERT ON t BEGIN\r\n"
                    "  UPDATE t SET b = CASE WHEN new.a > 1 THEN 'many' ELSE 'one' END\r\n"
                    "    WHERE rowid = new.rowid;\r\n"
                    "END;\r\nPRAGMA foreign_keys=off;\r\n"
                    "BEGIN;INSERT INTO t(a) VALUES (1);SELECT ';'; INSERT INTO t(a) VALUES (2);"
                    "COMMIT; -- done"),
            "ok");
  EXPECT_THAT(rows("SELECT * FROM t"), ElementsAre("1|'one'", "2|'many'"));
  EXPECT_THAT(rows("PRAGMA foreign_keys"), ElementsAre("0"));
  EXPECT_EQ(run_all(""), "ok");
  EXPECT_EQ(run_all("-- nothing"), "ok");
}

TEST_F(SqlStatements, OfASequenceEndAtTheFirstError) {
  EXPECT_EQ(run_all("CREATE TABLE t(a); INSERT INTO t VALUES(0); BEGIN; INSERT INTO t VALUES(1);"
                    "INSERT INTO t VALUES(foo()); INSERT INTO t VALUES(8); COMMIT;"),
            "SQL_INPUT_ERROR");
  EXPECT_FALSE(connection->is_autocommit());
  EXPECT_TRUE(connection->roll_back());
  EXPECT_THAT(rows("SELECT sum(a) FROM t"), ElementsAre("0"));
}

TEST_F(SqlStatements, AreDescribedWithoutBeingRun) {
  stock.run("CREATE TABLE t(a TEXT, b)");
  auto description = connection->describe("SELECT a, b AS x FROM t WHERE a=:name AND b=? OR b=?5");
  ASSERT_TRUE(description);
  EXPECT_THAT(names_of(description->columns), ElementsAre("a:TEXT", "x:"));
  EXPECT_THAT(description->parameters,
              ElementsAre(":name", std::nullopt, std::nullopt, std::nullopt, "?5"));
  EXPECT_TRUE(description->is_readonly);
  EXPECT_FALSE(description->is_explain);
  EXPECT_FALSE(connection->describe("INSERT INTO t VALUES(1,2)")->is_readonly);
  EXPECT_TRUE(connection->describe("EXPLAIN INSERT INTO t VALUES(1,2)")->is_explain);
  EXPECT_EQ(connection->describe("").error().code, "SQL_NO_STATEMENT");
  EXPECT_EQ(connection->describe("ATTACH 'x' AS y").error().code, "SQLITE_AUTH");
  EXPECT_TRUE(connection->describe("PRAGMA foreign_keys=off"));
  EXPECT_EQ(code("EXPLAIN PRAGMA foreign_keys=off"), "ok");
  EXPECT_THAT(rows("PRAGMA foreign_keys"), ElementsAre("1"));
}

TEST_F(SqlStatements, TellWhetherTheyNeedTheWriteLock) {
  run_all("CREATE TABLE t(a UNIQUE); CREATE TEMP TABLE mine(a); CREATE VIEW v AS SELECT a FROM t");
  for (const char* sql :
       {"INSERT INTO t VALUES(1)", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "CREATE TABLE u(a)",
        "DROP VIEW v", "ALTER TABLE t RENAME TO u", "VACUUM", "REINDEX", "ANALYZE",
        "PRAGMA user_version=4", "PRAGMA optimize", "PRAGMA incremental_vacuum",
        "WITH x AS (SELECT 1) DELETE FROM t", "CREATE VIRTUAL TABLE f USING fts5(a)",
        "INSERT INTO t SELECT a FROM mine"}) {
    EXPECT_TRUE(needs_write_lock(sql)) << sql;
  }
  for (const char* sql :
       {"SELECT * FROM v", "BEGIN", "BEGIN DEFERRED", "BEGIN TRANSACTION READONLY", "COMMIT",
        "ROLLBACK", "SAVEPOINT s", "PRAGMA user_version", "PRAGMA journal_mode",
        "PRAGMA integrity_check", "PRAGMA table_info(t)", "EXPLAIN DELETE FROM t",
        "EXPLAIN QUERY PLAN DELETE FROM t", "INSERT INTO mine SELECT a FROM t",
        "CREATE TEMP TABLE more(a)", "DROP TABLE mine", "PRAGMA foreign_keys=off"}) {
    EXPECT_FALSE(needs_write_lock(sql)) << sql;
  }
  rows("BEGIN");
  EXPECT_FALSE(connection->holds_write_lock());
  rows("INSERT INTO t VALUES(1)");
  EXPECT_TRUE(connection->holds_write_lock());
  EXPECT_FALSE(connection->is_autocommit());
}

TEST_F(SqlParameters, BindByNumber) {
  EXPECT_THAT(rows("SELECT ?2, ?1, ?2, ?3", {std::int64_t{1}, std::int64_t{2}, std::int64_t{3}}),
              ElementsAre("2|1|2|3"));
  EXPECT_THAT(rows("SELECT ?, :a, ?", {std::int64_t{1}, std::int64_t{2}, std::int64_t{3}}),
              ElementsAre("1|2|3"));
}

TEST_F(SqlParameters, BindByNameWithAndWithoutPrefix) {
  const NamedArgs named = {{"a", std::int64_t{1}}, {"@b", std::int64_t{2}}, {"c", 3.0}};
  EXPECT_THAT(rows("SELECT :a, @b, $c, :a", {}, named), ElementsAre("1|2|3.000000|1"));
  EXPECT_THAT(rows("SELECT :a, @a, $a", {}, {{"a", std::int64_t{5}}}), ElementsAre("5|5|5"));
}

TEST_F(SqlParameters, ANameGoesBeforeANumber) {
  EXPECT_THAT(rows("SELECT :a, ?2", {std::int64_t{1}, std::int64_t{2}}, {{"a", std::int64_t{9}}}),
              ElementsAre("9|2"));
}

TEST_F(SqlParameters, HaveToFit) {
  EXPECT_EQ(rows("SELECT ?, ?", {std::int64_t{1}}).front(), "ARGS_INVALID");
  EXPECT_EQ(error.message,
            "Arguments do not match SQL parameters: value for parameter 2 not found");
  EXPECT_EQ(rows("SELECT ?", {std::int64_t{1}, std::int64_t{2}}).front(), "ARGS_INVALID");
  EXPECT_THAT(error.message, HasSubstr("too many parameters, expected 1 found 2"));
  EXPECT_EQ(rows("SELECT :a", {}, {{"b", std::int64_t{1}}}).front(), "ARGS_INVALID");
  EXPECT_THAT(error.message, HasSubstr("value for parameter :a not found"));
  EXPECT_EQ(rows("SELECT :a", {}, {{"a", 1.0}, {"b", 2.0}}).front(), "ARGS_INVALID");
  EXPECT_THAT(error.message, HasSubstr("there is no parameter b"));
  EXPECT_THAT(code("EXPLAIN SELECT ?"), "ok");
}

TEST_F(SqlErrors, CarryTheCodesThatClientsKnow) {
  run_all(
      "CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE, c NOT NULL DEFAULT 0 CHECK(c<5));"
      "CREATE TABLE child(a REFERENCES t(a)); INSERT INTO t VALUES (1, 1, 1)");
  const std::vector<std::pair<const char*, const char*>> expected = {
      {"INSERT INTO t VALUES (1, 2, 3)", "SQLITE_CONSTRAINT_PRIMARYKEY"},
      {"INSERT INTO t VALUES (2, 1, 3)", "SQLITE_CONSTRAINT_UNIQUE"},
      {"INSERT INTO t VALUES (2, 2, NULL)", "SQLITE_CONSTRAINT_NOTNULL"},
      {"INSERT INTO t VALUES (2, 2, 9)", "SQLITE_CONSTRAINT_CHECK"},
      {"INSERT INTO child VALUES (99)", "SQLITE_CONSTRAINT_FOREIGNKEY"},
  };
  for (const auto& [sql, extended] : expected) {
    EXPECT_EQ(code(sql), "SQLITE_CONSTRAINT") << sql;
    EXPECT_EQ(error.extended_code, extended);
  }
  EXPECT_EQ(error.message, "SQLite error: FOREIGN KEY constraint failed");
  EXPECT_EQ(code("INSERT INTO t VALUES ('x', 2, 3)"), "SQLITE_MISMATCH");
}

TEST_F(SqlErrors, TellTextsThatCannotBeParsed) {
  run_all("CREATE TABLE t(a)");
  for (const char* sql : {"NOT A VALID SQL", "SELECT", "SELECT 'open", "SELECT (", "BEGIN nonsense",
                          "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1;"}) {
    EXPECT_EQ(code(sql), "SQL_PARSE_ERROR") << sql << ": " << error.message;
  }
  EXPECT_EQ(code("SELECT foobar"), "SQL_INPUT_ERROR");
  EXPECT_EQ(error.message, "SQL input error: no such column: foobar (at offset 7)");
  EXPECT_EQ(code("SELECT * FROM nowhere"), "SQLITE_ERROR");
  EXPECT_EQ(error.message, "SQLite error: no such table: nowhere");
}

TEST_F(SqlErrors, OfALockThatOthersHoldAreBusy) {
  limits.busy_timeout = std::chrono::milliseconds(20);
  open();
  stock.run("CREATE TABLE t(a); BEGIN IMMEDIATE");
  EXPECT_EQ(code("INSERT INTO t VALUES(1)"), "SQLITE_BUSY");
  EXPECT_EQ(error.message, "SQLite error: database is locked");
  rows("BEGIN");
  EXPECT_THAT(rows("SELECT count(*) FROM t"), ElementsAre("0"));
  stock.run("INSERT INTO t VALUES(1); COMMIT");
  EXPECT_EQ(code("INSERT INTO t VALUES(1)"), "SQLITE_BUSY");
  EXPECT_EQ(error.extended_code, "SQLITE_BUSY_SNAPSHOT");
}

TEST(SqlErrorNames, CoverPrimaryAndExtendedCodes) {
  EXPECT_EQ(sqlite_code_name(1), "SQLITE_ERROR");
  EXPECT_EQ(sqlite_code_name(5), "SQLITE_BUSY");
  EXPECT_EQ(sqlite_code_name(28), "SQLITE_WARNING");
  EXPECT_EQ(sqlite_code_name(1555), "SQLITE_CONSTRAINT_PRIMARYKEY");
  EXPECT_EQ(sqlite_code_name(266), "SQLITE_IOERR_READ");
  EXPECT_EQ(sqlite_code_name(10 | (200 << 8)), "SQLITE_IOERR_51210");
  EXPECT_EQ(sqlite_code_name(77), "SQLITE_UNKNOWN_77");
}

TEST_F(SqlErrors, OfOpeningNameTheFile) {
  EXPECT_EQ(SqlConnection::open(directory / "none.db", limits).error().code, ErrorCode::kNotFound);
  tests::StockDatabase(directory / "rollback.db").run("CREATE TABLE t(a)");
  auto refused = SqlConnection::open(directory / "rollback.db", limits);
  EXPECT_THAT(refused.error().message, HasSubstr("rollback.db is not in WAL mode"));
}

}  // namespace
}  // namespace walferry::engine
