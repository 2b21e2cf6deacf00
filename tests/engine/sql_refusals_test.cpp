// Nothing gets out of the database, and nothing that capture needs can be changed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "tests/engine/sql_fixture.h"

namespace walferry::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using tests::SqlFixture;

using SqlRefusals = SqlFixture;
using SqlAllowed = SqlFixture;

TEST_F(SqlRefusals, NameWhatIsNotAllowed) {
  const std::vector<std::pair<const char*, const char*>> refused = {
      {"ATTACH 'other.db' AS o", "ATTACH"},
      {"ATTACH ':memory:' AS o", "ATTACH"},
      {"DETACH main", "DETACH"},
      {"VACUUM INTO 'copy.db'", "VACUUM INTO"},
      {"VACUUM/**/main INTO ('copy' || '.db')", "VACUUM INTO"},
      {"SELECT load_extension('x')", "load_extension()"},
      {"SELECT LOAD_EXTENSION('x', 'y')", "load_extension()"},
      {"SELECT fts3_tokenizer('simple')", "fts3_tokenizer()"},
      {"SELECT sqlite_log(1, 'x')", "sqlite_log()"},
      {"CREATE TABLE x(a CHECK (fts3_tokenizer(a)))", "fts3_tokenizer()"},
      {"CREATE TABLE x(a, b AS (sqlite_log(1, a)))", "sqlite_log()"},
      {"SELECT * FROM sqlite_stmt", "sqlite_stmt"},
      {"SELECT count(*) FROM sqlite_stmt", "sqlite_stmt"},
      {"CREATE VIRTUAL TABLE x USING sqlite_stmt", "module sqlite_stmt"},
      {"CREATE VIRTUAL TABLE x USING csv(filename='/etc/passwd')", "module csv"},
      {"PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_checkpoint"},
      {"PRAGMA main.locking_mode=EXCLUSIVE", "PRAGMA locking_mode"},
      {"PRAGMA no_such_thing", "PRAGMA no_such_thing"},
  };
  for (const auto& [sql, what] : refused) {
    EXPECT_EQ(code(sql), "SQLITE_AUTH") << sql << ": " << error.message;
    EXPECT_THAT(error.message, HasSubstr("unsupported statement: "));
    EXPECT_THAT(error.message, HasSubstr(what));
    EXPECT_THAT(error.message, HasSubstr("docs/sql.md"));
  }
  EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
}

TEST_F(SqlRefusals, LeaveNoFileBehind) {
  (void)code("VACUUM INTO 'copy.db'");
  (void)code("ATTACH '" + (directory / "new.db").string() + "' AS n");
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    files.insert(entry.path().filename());
  }
  EXPECT_THAT(files, ElementsAre("app.db", "app.db-shm", "app.db-wal"));
}

TEST_F(SqlRefusals, HoldForTablesOfPragmas) {
  EXPECT_THAT(rows("SELECT * FROM pragma_optimize"), ElementsAre("SQLITE_AUTH"));
  EXPECT_THAT(rows("SELECT * FROM pragma_temp_store_directory"), ElementsAre("SQLITE_ERROR"));
  EXPECT_THAT(rows("SELECT * FROM pragma_user_version"), ElementsAre("0"));
}

TEST_F(SqlRefusals, HoldWithinViewsAndTriggersOfOthers) {
  stock.run(
      "CREATE TABLE t(a); CREATE VIEW v AS SELECT load_extension('x');"
      "CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT fts3_tokenizer('simple'); END");
  EXPECT_THAT(code("SELECT * FROM v"), testing::AnyOf("SQLITE_AUTH", "SQLITE_ERROR"));
  EXPECT_THAT(error.message, HasSubstr("load_extension()"));
  EXPECT_EQ(code("INSERT INTO t VALUES(1)"), "SQLITE_AUTH");
}

TEST_F(SqlRefusals, ProtectTheSchema) {
  run_all("CREATE TABLE t(a)");
  EXPECT_EQ(code("PRAGMA writable_schema=ON"), "SQLITE_AUTH");
  EXPECT_NE(code("UPDATE sqlite_schema SET sql='x'"), "ok");
  EXPECT_NE(code("DELETE FROM sqlite_master"), "ok");
  run_all("CREATE VIRTUAL TABLE f USING fts5(x)");
  EXPECT_NE(code("DELETE FROM f_data"), "ok");
}

TEST_F(SqlRefusals, KeepWhatCaptureNeeds) {
  run_all("CREATE TABLE t(a)");
  for (const char* sql :
       {"PRAGMA journal_mode=DELETE", "PRAGMA journal_mode(off)", "PRAGMA page_size=8192",
        "PRAGMA auto_vacuum=FULL", "PRAGMA wal_autocheckpoint=1", "PRAGMA synchronous=OFF",
        "PRAGMA synchronous=8", "PRAGMA mmap_size=1000000", "PRAGMA journal_size_limit=0",
        "PRAGMA schema_version=99"}) {
    EXPECT_EQ(code(sql), "SQLITE_AUTH") << sql;
  }
  EXPECT_EQ(code("VACUUM"), "ok") << error.message;
  EXPECT_THAT(rows("PRAGMA journal_mode"), ElementsAre("'wal'"));
  EXPECT_THAT(rows("PRAGMA page_size"), ElementsAre("4096"));
  // Neither a commit nor the connection's end brings anything into the database file.
  const auto before = std::filesystem::file_size(path);
  run_all("INSERT INTO t SELECT randomblob(100000)");
  connection.reset();
  EXPECT_EQ(std::filesystem::file_size(path), before);
}

TEST_F(SqlAllowed, AllFunctionsThatOnlyCompute) {
  const std::set<std::string> refused = {"load_extension", "fts3_tokenizer", "fts5",
                                         "optimize",       "fts5_source_id", "geopoly_debug",
                                         "sqlite_log"};
  auto functions = rows("SELECT DISTINCT name FROM pragma_function_list");
  ASSERT_GT(functions.size(), 100u);
  for (std::string name : functions) {
    name = name.substr(1, name.size() - 2);  // quoted
    // Whatever else is wrong with the call, whether it may be made is known.
    (void)code("SELECT \"" + name + "\"()");
    std::string why = error.message;
    (void)code("SELECT \"" + name + "\"(1, 1)");
    why += error.message;
    (void)code("SELECT \"" + name + "\"(1)");
    why += error.message;
    const bool is_refused = why.find("unsupported statement") != std::string::npos;
    EXPECT_EQ(is_refused, refused.contains(name)) << name << ": " << why;
  }
}

TEST_F(SqlAllowed, VirtualTablesAndTheirTriggers) {
  EXPECT_EQ(
      run_all("CREATE TABLE docs(id INTEGER PRIMARY KEY, body);"
              "CREATE VIRTUAL TABLE f USING fts5(body, content=docs, content_rowid=id);"
              "CREATE TRIGGER ai AFTER INSERT ON docs BEGIN "
              "INSERT INTO f(rowid, body) VALUES (new.id, new.body); END;"
              "INSERT INTO docs(body) VALUES ('hello world'), ('good bye');"
              "INSERT INTO f(f) VALUES ('optimize');"
              "CREATE VIEW found AS SELECT rowid, highlight(f, 0, '<', '>') AS h FROM f;"
              "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1);"
              "INSERT INTO r VALUES (1, 0, 1);"
              "CREATE VIRTUAL TABLE words USING fts5vocab(f, row);"
              "CREATE VIRTUAL TABLE old USING fts4(a); INSERT INTO old VALUES ('some text');"),
      "ok")
      << error.message;
  EXPECT_THAT(rows("SELECT rowid, highlight(f, 0, '<', '>') FROM f WHERE f MATCH 'hello'"),
              ElementsAre("1|'<hello> world'"));
  EXPECT_THAT(rows("SELECT count(*) FROM words"), ElementsAre("4"));
  EXPECT_THAT(rows("SELECT snippet(old) FROM old WHERE old MATCH 'text'"),
              ElementsAre("'some <b>text</b>'"));
  EXPECT_THAT(rows("SELECT id FROM r WHERE x0 <= 0.5"), ElementsAre("1"));
  EXPECT_THAT(rows("SELECT sum(value) FROM json_each('[1,2]')"), ElementsAre("3"));
}

TEST_F(SqlAllowed, ChangesOfTheSchema) {
  EXPECT_EQ(
      run_all(
          "CREATE TABLE t(a, b, c AS (a+1), CHECK (length(b) < 9)); INSERT INTO t VALUES (1, 'x');"
          "CREATE INDEX i ON t(lower(b)); ALTER TABLE t RENAME COLUMN a TO z;"
          "ALTER TABLE t ADD COLUMN d; ALTER TABLE t DROP COLUMN d;"
          "ALTER TABLE t RENAME TO u; ANALYZE; REINDEX;"
          "CREATE TABLE w(k PRIMARY KEY) WITHOUT ROWID; DROP TABLE w;"
          "CREATE TABLE s(a INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;"
          "INSERT INTO s VALUES (5); VACUUM; PRAGMA optimize"),
      "ok")
      << error.message;
  EXPECT_THAT(rows("SELECT z, b, c FROM u"), ElementsAre("1|'x'|2"));
  EXPECT_THAT(rows("SELECT * FROM sqlite_sequence"), ElementsAre("'s'|5"));
  EXPECT_THAT(rows("PRAGMA integrity_check"), ElementsAre("'ok'"));
}

TEST_F(SqlAllowed, AStartUpScript) {
  EXPECT_EQ(run_all("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
                    "PRAGMA busy_timeout=5000; PRAGMA cache_size=-20000"),
            "ok")
      << error.message;
  EXPECT_THAT(rows("PRAGMA foreign_keys"), ElementsAre("1"));
  EXPECT_THAT(rows("PRAGMA busy_timeout"), ElementsAre("5000"));
  EXPECT_THAT(rows("PRAGMA synchronous"), ElementsAre("1"));
}

}  // namespace
}  // namespace walferry::engine
