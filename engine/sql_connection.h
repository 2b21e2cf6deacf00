/// A client's connection to a published database: SQL in, rows and typed errors out.
///
/// Whatever the SQL says, it stays within the database and within its limits: SQLite asks an
/// allow-list about each action (sql_authorizer.h, pragma_rules.h, docs/sql.md), and a statement
/// that runs too long or answers too much is ended. Nothing of it checkpoints or restarts the log,
/// which capture owns.
///
/// Thread safety: one thread at a time, but for interrupt(). Statements are gone before their
/// connection is.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/sql_authorizer.h"
#include "engine/sql_errors.h"
#include "engine/sql_limits.h"
#include "engine/sql_statement.h"
#include "engine/statement_cache.h"
#include "net/hrana_writer.h"
#include "walferry/error.hpp"

namespace walferry::engine {

/// A text of several statements and how far it has been run.
class SqlSequence {
 public:
  explicit SqlSequence(std::string sql) : sql_(std::move(sql)) {}

 private:
  friend class SqlConnection;
  std::string sql_;
  std::size_t at_ = 0;
};

class SqlConnection {
 public:
  /// Opens an existing database in WAL mode.
  static Result<std::unique_ptr<SqlConnection>> open(const std::filesystem::path& path,
                                                     const SqlLimits& limits);
  ~SqlConnection();
  SqlConnection(const SqlConnection&) = delete;
  SqlConnection& operator=(const SqlConnection&) = delete;

  /// The text's one statement. SQL_NO_STATEMENT, SQL_MANY_STATEMENTS, SQL_PARSE_ERROR,
  /// SQL_INPUT_ERROR; SQLITE_AUTH for what is not allowed here.
  SqlResult<SqlStatement> prepare(std::string_view sql);
  /// The next statement of the sequence, to be called when the one before is done; none: its end.
  /// Statements are found as SQLite finds them, triggers and all.
  SqlResult<std::optional<SqlStatement>> prepare_next(SqlSequence& sequence);
  /// What prepare() would take and give, without any effect.
  SqlResult<net::hrana::Description> describe(std::string_view sql);

  [[nodiscard]] bool is_autocommit() const noexcept;
  /// Whether the transaction under way has SQLite's write lock.
  [[nodiscard]] bool holds_write_lock() const noexcept;
  /// Ends the transaction, if there is one. Statements under way end with SQLITE_ABORT.
  SqlStatus roll_back();

  /// Refuses every write from now on, with SQLITE_READONLY, until reset_for_reuse(). (BEGIN
  /// READONLY does the same for one transaction.)
  SqlStatus restrict_to_reading();

  /// From any thread: the statement under way and all later ones end with SQLITE_INTERRUPT, until
  /// reset_for_reuse(). A write within a transaction takes the transaction with it.
  void interrupt() noexcept;

  /// Makes the connection as good as a new one, for the next client; false: it has to be closed.
  /// Counters that SQL can read start at 0 again.
  bool reset_for_reuse();

  [[nodiscard]] const SqlLimits& limits() const noexcept { return limits_; }

 private:
  friend class SqlStatement;
  using Clock = std::chrono::steady_clock;
  using Prepared = std::unique_ptr<PreparedStatement>;

  enum class Ending { kNone, kInterrupted, kTooSlow, kBrokenOff };

  struct Compiled {
    Prepared statement;    ///< its handle is null where there was nothing to compile
    std::size_t size = 0;  ///< of the text up to its end
  };

  explicit SqlConnection(const SqlLimits& limits);
  Status connect(const std::filesystem::path& path);
  Status set_up(const std::string& name);
  void set_limits();
  Status register_counters(const std::string& name);

  SqlStatus check_text(std::string_view sql) const;
  SqlResult<Prepared> compile_only_statement(const std::string& sql, SqlAuthorizer::Mode mode);
  SqlResult<Compiled> compile(const std::string& text, std::size_t from, SqlAuthorizer::Mode mode);
  void classify(PreparedStatement& statement, std::string_view sql);
  net::SqlError compile_failure(int rc) const;
  [[nodiscard]] net::hrana::Description description_of(const PreparedStatement& statement) const;

  // For SqlStatement.
  SqlStatus admit(const PreparedStatement& statement) const;
  int step(PreparedStatement& statement, std::chrono::nanoseconds& spent);
  net::SqlError failure_of_step(int rc) const;
  void break_off(PreparedStatement& statement);
  SqlStatus after_end(PreparedStatement& statement, bool succeeded);
  void take_back(Prepared statement);
  void read_columns(PreparedStatement& statement) const;

  int run_own(const char* sql);
  std::optional<std::int64_t> query_own(const char* sql);
  SqlStatus apply_reading_mode();
  void watch_progress(int steps_between_looks);
  static int on_progress(void* self);

  // Steps of SQLite's machine between two looks at the clock: some ten microseconds.
  static constexpr int kStepsBetweenLooks = 1'000;

  SqlLimits limits_;
  sqlite3* db_ = nullptr;
  SqlAuthorizer authorizer_;
  StatementCache cache_;
  std::size_t statements_out_ = 0;
  std::int64_t changes_at_reset_ = 0;

  bool is_restricted_to_reading_ = false;
  bool is_reading_transaction_ = false;
  bool is_query_only_ = false;

  // What may end the step under way.
  Clock::time_point deadline_ = Clock::time_point::max();
  std::atomic<bool> is_interrupted_ = false;
  bool is_breaking_off_ = false;
  Ending ending_ = Ending::kNone;
};

}  // namespace walferry::engine
