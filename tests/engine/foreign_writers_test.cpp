// Programs in other languages, with SQLite libraries of their own: the command line shell, Python's
// module, and a newer SQLite (the apsw wheel) as writers of the primary and readers of the replica.
#include <gtest/gtest.h>

#include <thread>

#include "tests/support/ferry_fixture.h"

namespace walferry::tests {
namespace {

class ForeignWriters : public FerryTest {
 protected:
  void SetUp() override { begin("CREATE TABLE t(id INTEGER PRIMARY KEY, who TEXT);"); }
};

// Both scripts take the database and, as a writer, how many rows to add in as many transactions;
// as a reader they look until they see that many and check that the count never goes back.
constexpr const char* kPythonSqlite = R"(
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[2], timeout=20, isolation_level=None)
def rows(sql): return db.execute(sql).fetchall()
)";
constexpr const char* kPythonApsw = R"(
import apsw, sys, time
db = apsw.Connection(sys.argv[2])
db.set_busy_timeout(20000)
def rows(sql): return list(db.cursor().execute(sql))
)";
constexpr const char* kScript = R"python(
wanted = int(sys.argv[3])
if sys.argv[1] == 'write':
    for i in range(wanted):
        rows('BEGIN IMMEDIATE')
        rows("INSERT INTO t(who) VALUES('" + sys.argv[4] + "')")
        rows('COMMIT')
        if i % 50 == 0: rows('PRAGMA wal_checkpoint(TRUNCATE)')
        if i % 120 == 0: rows('VACUUM')
else:
    last, begun = 0, time.time()
    while last < wanted:
        now = rows('SELECT count(*) FROM t')[0][0]
        assert now >= last, (now, last)
        last = now
        assert time.time() - begun < 60, last
    assert rows('PRAGMA integrity_check') in ([('ok',)], [['ok']])
)python";

void write_and_read(const std::string& python, const std::string& module, const std::string& origin,
                    const std::string& local, const TemporaryDirectory& directory) {
  const std::string script = directory / "script.py";
  write_content(script, module + kScript);
  const ChildProcess::Outputs outputs{directory / "out", directory / "errors"};
  std::vector<ChildProcess> processes;
  for (const char* who : {"a", "b"}) {
    processes.emplace_back(std::vector<std::string>{python, script, "write", origin, "200", who},
                           outputs);
    processes.emplace_back(std::vector<std::string>{python, script, "read", local, "400"}, outputs);
  }
  for (ChildProcess& process : processes) {
    EXPECT_EQ(process.wait(), 0) << content_of(directory / "errors");
  }
}

TEST_F(ForeignWriters, PythonsModule) {
  write_and_read("python3", kPythonSqlite, origin_, local_, directory_);
  expect_equal();
}

TEST_F(ForeignWriters, CommandLineShell) {
  for (int i = 0; i < 20; ++i) {
    const Finished written = run_to_end(
        {"sqlite3", "-cmd", ".timeout 20000", origin_, "INSERT INTO t(who) VALUES('shell')"});
    ASSERT_EQ(written.exit_code, 0) << written.error;
  }
  ASSERT_TRUE(wait_until([&] {
    return run_to_end({"sqlite3", "-readonly", local_, "SELECT count(*) FROM t"}).output == "20\n";
  }));
  const Finished refused = run_to_end({"sqlite3", local_, "INSERT INTO t(who) VALUES('no')"});
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.error.find("readonly"), std::string::npos) << refused.error;
  expect_equal();
}

#ifdef WALFERRY_APSW_PYTHON
TEST_F(ForeignWriters, NewerSqliteOfApsw) {
  write_and_read(WALFERRY_APSW_PYTHON, kPythonApsw, origin_, local_, directory_);
  expect_equal();
}
#else
static_assert(sizeof(kPythonApsw) > 0);
#endif

}  // namespace
}  // namespace walferry::tests
