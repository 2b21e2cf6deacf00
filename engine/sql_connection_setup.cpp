// How a client's connection comes to be: what it is told before its first statement.

#include <sqlite3.h>

#include <array>
#include <string>

#include "engine/sql_connection.h"
#include "wal/database_handle.h"
#include "wal/sqlite_api.h"

namespace walferry::engine {

namespace {

using wal::sqlite;

ErrorCode code_of(int rc) {
  switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return ErrorCode::kBusy;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return ErrorCode::kNotADatabase;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return ErrorCode::kReadOnly;
    default:
      return ErrorCode::kIo;
  }
}

std::unexpected<Error> open_failure(sqlite3* db, int rc, const std::string& name) {
  const char* why = db != nullptr ? sqlite().errmsg(db) : sqlite().errstr(rc);
  return fail(code_of(rc), "opening " + name + ": " + why);
}

Result<std::string> query_text(sqlite3* db, const char* sql, const std::string& name) {
  sqlite3_stmt* statement = nullptr;
  int rc = sqlite().prepare_v2(db, sql, -1, &statement, nullptr);
  if (rc == SQLITE_OK) rc = sqlite().step(statement);
  std::string text;
  if (rc == SQLITE_ROW) {
    if (const auto* value = sqlite().column_text(statement, 0)) {
      text = reinterpret_cast<const char*>(value);
    }
  }
  sqlite().finalize(statement);
  if (rc != SQLITE_ROW) return open_failure(db, rc, name);
  return text;
}

}  // namespace

SqlConnection::SqlConnection(const SqlLimits& limits)
    : limits_(limits), cache_(limits.cached_statements) {}

SqlConnection::~SqlConnection() {
  cache_.clear();
  sqlite().close_v2(db_);
}

Result<std::unique_ptr<SqlConnection>> SqlConnection::open(const std::filesystem::path& path,
                                                           const SqlLimits& limits) {
  auto real = wal::resolve_database_path(path);
  if (!real) return fail(real.error());
  std::unique_ptr<SqlConnection> connection(new SqlConnection(limits));
  if (Status connected = connection->connect(*real); !connected) return fail(connected.error());
  return connection;
}

Status SqlConnection::connect(const std::filesystem::path& path) {
  // The path is absolute: a relative one might look like a URI, which some builds always take.
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOMUTEX;
  const int rc = sqlite().open_v2(path.c_str(), &db_, flags, nullptr);
  if (rc != SQLITE_OK) return open_failure(db_, rc, path.string());
  if (Status done = set_up(path.string()); !done) return done;
  auto mode = query_text(db_, "PRAGMA journal_mode", path.string());
  if (!mode) return fail(mode.error());
  if (*mode != "wal") {
    return fail(ErrorCode::kRefused, path.string() + " is not in WAL mode: publish it first");
  }
  if (Status done = register_counters(path.string()); !done) return done;
  watch_progress(kStepsBetweenLooks);
  authorizer_.watch(db_);
  return {};
}

Status SqlConnection::set_up(const std::string& name) {
  sqlite().extended_result_codes(db_, 1);
  set_limits();
  struct Switch {
    int option;
    int value;
  };
  const std::array<Switch, 7> switches = {{
      {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
      {SQLITE_DBCONFIG_DEFENSIVE, 1},
      // Switched off, SQLite 3.40 would refuse triggers that keep a full-text table, as FTS5's own
      // documentation writes them. Views and triggers are bound by the authorizer as well.
      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 1},
      {SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0},
      {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
      {SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
      {SQLITE_DBCONFIG_ENABLE_FKEY, limits_.foreign_keys ? 1 : 0},
  }};
  for (const auto& [option, value] : switches) {
    int answer = -1;
    const int rc = sqlite().db_config(db_, option, value, &answer);
    if (rc != SQLITE_OK || answer != value) {
      return fail(ErrorCode::kUnsupported, "opening " + name +
                                               ": this SQLite does not take option " +
                                               std::to_string(option) + " of sqlite3_db_config");
    }
  }
  for (const char* sql :
       {"PRAGMA mmap_size=0", "PRAGMA wal_autocheckpoint=0",
        limits_.sync_commits ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"}) {
    const int rc = sqlite().exec(db_, sql, nullptr, nullptr, nullptr);
    if (rc != SQLITE_OK) return open_failure(db_, rc, name);
  }
  sqlite().busy_timeout(db_, static_cast<int>(limits_.busy_timeout.count()));
  return {};
}

void SqlConnection::set_limits() {
  struct Limit {
    int id;
    int value;
  };
  const std::array<Limit, 9> limits = {{
      {SQLITE_LIMIT_LENGTH, limits_.value_bytes},
      // Checked before; never what SQLite itself complains of.
      {SQLITE_LIMIT_SQL_LENGTH, static_cast<int>(limits_.sql_bytes) + 64},
      {SQLITE_LIMIT_VARIABLE_NUMBER, limits_.variables},
      {SQLITE_LIMIT_COLUMN, limits_.columns},
      {SQLITE_LIMIT_EXPR_DEPTH, limits_.expression_depth},
      {SQLITE_LIMIT_COMPOUND_SELECT, limits_.compound_select},
      {SQLITE_LIMIT_VDBE_OP, limits_.vdbe_operations},
      {SQLITE_LIMIT_TRIGGER_DEPTH, limits_.trigger_depth},
      {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, limits_.like_pattern_bytes},
  }};
  for (const auto& [id, value] : limits) sqlite().limit(db_, id, value);
  sqlite().limit(db_, SQLITE_LIMIT_WORKER_THREADS, 0);
}

// SQLite cannot set its counters of changes back. So that a connection may serve one client after
// another, the two functions that show them count from the last reset.
Status SqlConnection::register_counters(const std::string& name) {
  changes_at_reset_ = sqlite().total_changes64(db_);
  const auto changes = [](sqlite3_context* context, int, sqlite3_value**) {
    const auto& self = *static_cast<SqlConnection*>(sqlite().user_data(context));
    const bool is_fresh = sqlite().total_changes64(self.db_) == self.changes_at_reset_;
    sqlite().result_int64(context, is_fresh ? 0 : sqlite().changes64(self.db_));
  };
  const auto total_changes = [](sqlite3_context* context, int, sqlite3_value**) {
    const auto& self = *static_cast<SqlConnection*>(sqlite().user_data(context));
    sqlite().result_int64(context, sqlite().total_changes64(self.db_) - self.changes_at_reset_);
  };
  constexpr int kFlags = SQLITE_UTF8 | SQLITE_INNOCUOUS;
  int rc = sqlite().create_function_v2(db_, "changes", 0, kFlags, this, changes, nullptr, nullptr,
                                       nullptr);
  if (rc == SQLITE_OK) {
    rc = sqlite().create_function_v2(db_, "total_changes", 0, kFlags, this, total_changes, nullptr,
                                     nullptr, nullptr);
  }
  if (rc != SQLITE_OK) return open_failure(db_, rc, name);
  return {};
}

void SqlConnection::watch_progress(int steps_between_looks) {
  sqlite().progress_handler(db_, steps_between_looks, &SqlConnection::on_progress, this);
}

}  // namespace walferry::engine
