#include "engine/sql_connection.h"

#include <algorithm>
#include <utility>

#include "wal/sqlite_api.h"

namespace walferry::engine {

namespace {

using wal::sqlite;
using Mode = SqlAuthorizer::Mode;

/// The authorizer's mode for the length of a scope.
class ModeScope {
 public:
  ModeScope(SqlAuthorizer& authorizer, Mode mode)
      : authorizer_(authorizer), before_(authorizer.set_mode(mode)) {}
  ~ModeScope() { authorizer_.set_mode(before_); }
  ModeScope(const ModeScope&) = delete;
  ModeScope& operator=(const ModeScope&) = delete;

 private:
  SqlAuthorizer& authorizer_;
  Mode before_;
};

Mode mode_while_running(const PreparedStatement& statement) {
  // A statement whose schema has changed is compiled again while it runs.
  if (statement.kind == SqlKind::kPragma) return Mode::kCompiling;
  if (statement.kind == SqlKind::kVacuum) return Mode::kVacuuming;
  return Mode::kRunning;
}

net::SqlError unsupported(const std::string& what) {
  return {.message = "unsupported statement: " + what +
                     " is not allowed here (docs/sql.md of walferry lists what is)",
          .code = "SQLITE_AUTH"};
}

std::string_view or_empty(const char* text) { return text == nullptr ? "" : text; }

}  // namespace

// Compiling.

SqlStatus SqlConnection::check_text(std::string_view sql) const {
  if (sql.size() > limits_.sql_bytes) {
    return fail_sql(sqlite_failure(
        SQLITE_TOOBIG, "statement too long: " + std::to_string(sql.size()) + " bytes, " +
                           std::to_string(limits_.sql_bytes) + " are allowed"));
  }
  // SQLite would read up to it and never see the rest.
  if (sql.contains('\0')) {
    return fail_sql("SQL_PARSE_ERROR",
                    "SQL string could not be parsed: it contains a NUL character");
  }
  return {};
}

SqlResult<SqlStatement> SqlConnection::prepare(std::string_view sql) {
  if (SqlStatus fine = check_text(sql); !fine) return fail_sql(std::move(fine.error()));
  Prepared statement = cache_.take(sql);
  if (statement == nullptr) {
    auto compiled = compile_only_statement(std::string(sql), Mode::kCompiling);
    if (!compiled) return fail_sql(std::move(compiled.error()));
    statement = std::move(*compiled);
    statement->is_worth_keeping &= sql.size() <= limits_.cached_sql_bytes;
    if (statement->is_worth_keeping) statement->sql = sql;
  }
  ++statements_out_;
  return SqlStatement(*this, std::move(statement));
}

SqlResult<std::optional<SqlStatement>> SqlConnection::prepare_next(SqlSequence& sequence) {
  if (sequence.at_ == 0) {
    if (SqlStatus fine = check_text(sequence.sql_); !fine) return fail_sql(std::move(fine.error()));
  }
  if (skip_blank_sql(std::string_view(sequence.sql_).substr(sequence.at_)).empty()) return {};
  auto compiled = compile(sequence.sql_, sequence.at_, Mode::kCompiling);
  if (!compiled) return fail_sql(std::move(compiled.error()));
  sequence.at_ += compiled->size;
  if (compiled->statement->handle == nullptr) return {};
  compiled->statement->is_worth_keeping = false;
  ++statements_out_;
  return SqlStatement(*this, std::move(compiled->statement));
}

SqlResult<SqlConnection::Prepared> SqlConnection::compile_only_statement(const std::string& sql,
                                                                         Mode mode) {
  const std::string_view text(sql);
  const auto none = [] {
    return fail_sql("SQL_NO_STATEMENT", "SQL string does not contain any statement");
  };
  if (skip_blank_sql(text).empty()) return none();
  const auto many = [] {
    return fail_sql("SQL_MANY_STATEMENTS", "SQL string contains more than one statement");
  };
  // A pragma acts while it is compiled: whether it stands alone has to be known before.
  if (is_pragma_or_its_explain(text) &&
      !skip_blank_sql(text.substr(end_of_simple_statement(text))).empty()) {
    return many();
  }
  auto compiled = compile(sql, 0, mode);
  if (!compiled) return fail_sql(std::move(compiled.error()));
  if (compiled->statement->handle == nullptr) return none();
  if (!skip_blank_sql(text.substr(compiled->size)).empty()) return many();
  return std::move(compiled->statement);
}

SqlResult<SqlConnection::Compiled> SqlConnection::compile(const std::string& text, std::size_t from,
                                                          Mode mode) {
  const std::string_view rest = std::string_view(text).substr(from);
  auto statement = std::make_unique<PreparedStatement>();
  statement->kind = kind_of_sql(rest);
  if (statement->kind == SqlKind::kVacuumInto) return fail_sql(unsupported("VACUUM INTO"));
  const auto readonly_end = end_of_readonly_begin(rest);
  statement->begins_reading = readonly_end.has_value();
  const char* begin = readonly_end ? "BEGIN" : text.c_str() + from;
  const std::size_t size = readonly_end ? 5 : rest.size();

  // What EXPLAIN is asked about will not run either.
  const bool will_run = statement->kind != SqlKind::kExplain;
  const ModeScope scope(authorizer_, will_run ? mode : Mode::kDescribing);
  authorizer_.forget_findings();
  ending_ = Ending::kNone;
  deadline_ = Clock::now() + limits_.statement_time;
  const char* tail = nullptr;
  // The size includes the text's NUL, without which SQLite makes a copy.
  const int rc =
      sqlite().prepare_v3(db_, begin, static_cast<int>(size + 1), 0, &statement->handle, &tail);
  deadline_ = Clock::time_point::max();
  if (rc != SQLITE_OK) return fail_sql(compile_failure(rc));
  const std::size_t end = readonly_end ? *readonly_end : static_cast<std::size_t>(tail - begin);
  if (statement->handle != nullptr) classify(*statement, rest.substr(0, end));
  return Compiled{std::move(statement), end};
}

void SqlConnection::classify(PreparedStatement& statement, std::string_view sql) {
  const SqlAuthorizer::Findings& found = authorizer_.findings();
  const bool is_readonly = sqlite().stmt_readonly(statement.handle) != 0;
  if (sqlite().stmt_isexplain(statement.handle) != 0) {
    statement.kind = SqlKind::kExplain;
  } else if (statement.kind == SqlKind::kPragma) {
    // SQLite takes a question for the journal mode for a write, and OPTIMIZE for none.
    statement.writes = statement.needs_write_lock = found.pragma_writes;
  } else {
    statement.writes = !is_readonly;
    statement.needs_write_lock = !is_readonly && (found.writes_main || !found.writes_temp);
  }
  // A pragma's work was done by compiling it; a new schema makes the others be compiled again.
  statement.is_worth_keeping =
      !found.has_pragma && statement.kind != SqlKind::kVacuum && !changes_schema(sql);
}

net::SqlError SqlConnection::compile_failure(int rc) const {
  if (const auto& refusal = authorizer_.findings().refusal; !refusal.empty()) {
    return unsupported(refusal);
  }
  if (ending_ != Ending::kNone) return failure_of_step(rc);
  return sqlite_compile_failure(db_, rc);
}

SqlResult<net::hrana::Description> SqlConnection::describe(std::string_view sql) {
  if (SqlStatus fine = check_text(sql); !fine) return fail_sql(std::move(fine.error()));
  // Compiling alone does not notice that another connection has changed the schema; reading does.
  (void)query_own("SELECT count(*) FROM sqlite_schema WHERE 0");
  auto statement = compile_only_statement(std::string(sql), Mode::kDescribing);
  if (!statement) return fail_sql(std::move(statement.error()));
  read_columns(**statement);
  return description_of(**statement);
}

net::hrana::Description SqlConnection::description_of(const PreparedStatement& statement) const {
  net::hrana::Description description;
  const int count = sqlite().bind_parameter_count(statement.handle);
  for (int index = 1; index <= count; ++index) {
    const char* name = sqlite().bind_parameter_name(statement.handle, index);
    auto& parameter = description.parameters.emplace_back();
    if (name != nullptr) parameter = name;
  }
  description.columns = statement.columns;
  description.is_explain = statement.kind == SqlKind::kExplain;
  description.is_readonly = !statement.writes;
  return description;
}

void SqlConnection::read_columns(PreparedStatement& statement) const {
  const int recompiled = sqlite().stmt_status(statement.handle, SQLITE_STMTSTATUS_REPREPARE, 0);
  if (statement.recompiled == recompiled) return;
  statement.recompiled = recompiled;
  statement.columns.clear();
  const int count = sqlite().column_count(statement.handle);
  for (int column = 0; column < count; ++column) {
    statement.columns.push_back(
        {.name = std::string(or_empty(sqlite().column_name(statement.handle, column))),
         .declared_type =
             std::string(or_empty(sqlite().column_decltype(statement.handle, column)))});
  }
}

// Running.

SqlStatus SqlConnection::admit(const PreparedStatement& statement) const {
  if (is_interrupted_) return fail_sql(sqlite_failure(SQLITE_INTERRUPT, "interrupted"));
  // query_only would see to it, too, though not before the statement has begun.
  if (statement.writes && (is_restricted_to_reading_ || is_reading_transaction_)) {
    return fail_sql(sqlite_failure(
        SQLITE_READONLY, is_reading_transaction_ ? "attempt to write in a read-only transaction"
                                                 : "attempt to write without the right to"));
  }
  return {};
}

int SqlConnection::step(PreparedStatement& statement, std::chrono::nanoseconds& spent) {
  const ModeScope scope(authorizer_, mode_while_running(statement));
  authorizer_.forget_findings();
  ending_ = Ending::kNone;
  const auto begin = Clock::now();
  deadline_ = begin + (limits_.statement_time - spent);
  const int rc = sqlite().step(statement.handle);
  deadline_ = Clock::time_point::max();
  spent += Clock::now() - begin;
  return rc;
}

int SqlConnection::on_progress(void* self) {
  auto& connection = *static_cast<SqlConnection*>(self);
  if (connection.authorizer_.mode() == Mode::kOwn) return 0;
  if (connection.is_breaking_off_) {
    connection.ending_ = Ending::kBrokenOff;
  } else if (connection.is_interrupted_) {
    connection.ending_ = Ending::kInterrupted;
  } else if (Clock::now() >= connection.deadline_) {
    connection.ending_ = Ending::kTooSlow;
  } else {
    return 0;
  }
  return 1;
}

net::SqlError SqlConnection::failure_of_step(int rc) const {
  if (const auto& refusal = authorizer_.findings().refusal; !refusal.empty()) {
    return unsupported(refusal);
  }
  if (ending_ == Ending::kTooSlow && (rc & 0xff) == SQLITE_INTERRUPT) {
    return {.message = "Statement was interrupted: it ran for more than " +
                       std::to_string(limits_.statement_time.count()) + " ms",
            .code = "STATEMENT_TIMEOUT"};
  }
  return sqlite_failure(db_, rc);
}

void SqlConnection::break_off(PreparedStatement& statement) {
  // Resetting a write commits what it has done so far; only a failure takes it back.
  if (!statement.writes) return;
  is_breaking_off_ = true;
  watch_progress(1);
  std::chrono::nanoseconds spent{0};
  while (step(statement, spent) == SQLITE_ROW) {
  }
  watch_progress(kStepsBetweenLooks);
  is_breaking_off_ = false;
}

SqlStatus SqlConnection::after_end(PreparedStatement& statement, bool succeeded) {
  sqlite().reset(statement.handle);
  if (succeeded && statement.begins_reading) {
    is_reading_transaction_ = true;
  } else if (is_reading_transaction_ && is_autocommit()) {
    is_reading_transaction_ = false;
  }
  SqlStatus applied = apply_reading_mode();
  if (!applied && statement.begins_reading) (void)roll_back();  // rather none than one that writes
  return applied;
}

void SqlConnection::take_back(Prepared statement) {
  --statements_out_;
  sqlite().reset(statement->handle);
  if (!statement->is_worth_keeping) return;
  sqlite().clear_bindings(statement->handle);
  cache_.put(std::move(statement));
}

SqlStatus SqlConnection::apply_reading_mode() {
  const bool wanted = is_restricted_to_reading_ || is_reading_transaction_;
  if (wanted == is_query_only_) return {};
  // Compiling the pragma is enough to set it. Running it, too, would have every kept statement
  // compiled again, so that is done only if this SQLite needs it.
  const char* set = wanted ? "PRAGMA query_only=1" : "PRAGMA query_only=0";
  const ModeScope scope(authorizer_, Mode::kOwn);
  sqlite3_stmt* pragma = nullptr;
  sqlite().prepare_v2(db_, set, -1, &pragma, nullptr);
  sqlite().finalize(pragma);
  if (query_own("PRAGMA query_only") != std::int64_t{wanted}) {
    const int rc = run_own(set);
    if (rc != SQLITE_OK) return fail_sql(sqlite_failure(db_, rc));
  }
  is_query_only_ = wanted;
  return {};
}

int SqlConnection::run_own(const char* sql) {
  const ModeScope scope(authorizer_, Mode::kOwn);
  return sqlite().exec(db_, sql, nullptr, nullptr, nullptr);
}

std::optional<std::int64_t> SqlConnection::query_own(const char* sql) {
  const ModeScope scope(authorizer_, Mode::kOwn);
  sqlite3_stmt* statement = nullptr;
  if (sqlite().prepare_v2(db_, sql, -1, &statement, nullptr) != SQLITE_OK) return std::nullopt;
  std::optional<std::int64_t> number;
  if (sqlite().step(statement) == SQLITE_ROW) number = sqlite().column_int64(statement, 0);
  sqlite().finalize(statement);
  return number;
}

bool SqlConnection::is_autocommit() const noexcept { return sqlite().get_autocommit(db_) != 0; }

bool SqlConnection::holds_write_lock() const noexcept {
  return sqlite().txn_state(db_, "main") == SQLITE_TXN_WRITE;
}

SqlStatus SqlConnection::roll_back() {
  if (!is_autocommit()) {
    const int rc = run_own("ROLLBACK");
    if (rc != SQLITE_OK && !is_autocommit()) return fail_sql(sqlite_failure(db_, rc));
  }
  is_reading_transaction_ = false;
  return apply_reading_mode();
}

SqlStatus SqlConnection::restrict_to_reading() {
  is_restricted_to_reading_ = true;
  return apply_reading_mode();
}

void SqlConnection::interrupt() noexcept {
  is_interrupted_ = true;
  sqlite().interrupt(db_);  // reaches places that the progress handler does not
}

bool SqlConnection::reset_for_reuse() {
  if (statements_out_ != 0 || authorizer_.changes_connection()) return false;
  is_restricted_to_reading_ = false;
  if (!roll_back() || !is_autocommit()) return false;
  is_interrupted_ = false;
  if (authorizer_.take_foreign_keys_touched()) {
    sqlite().db_config(db_, SQLITE_DBCONFIG_ENABLE_FKEY, int{limits_.foreign_keys}, nullptr);
    if (run_own("PRAGMA defer_foreign_keys=0") != SQLITE_OK) return false;
  }
  sqlite().set_last_insert_rowid(db_, 0);
  changes_at_reset_ = sqlite().total_changes64(db_);
  return true;
}

}  // namespace walferry::engine
