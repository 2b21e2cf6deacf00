/// The one door to SQLite: every call goes through this table of function pointers.
///
/// A program fills it from the SQLite it is linked with; the loadable extension fills it from the
/// host's. So there is never a second copy of SQLite in a process, whose POSIX locks would break
/// the first one's.
#pragma once

#include <sqlite3.h>

namespace walferry::wal {

struct SqliteApi {
  decltype(&sqlite3_open_v2) open_v2;
  decltype(&sqlite3_close_v2) close_v2;
  decltype(&sqlite3_errmsg) errmsg;
  decltype(&sqlite3_extended_errcode) extended_errcode;
  decltype(&sqlite3_system_errno) system_errno;
  decltype(&sqlite3_exec) exec;
  decltype(&sqlite3_prepare_v2) prepare_v2;
  decltype(&sqlite3_step) step;
  decltype(&sqlite3_finalize) finalize;
  decltype(&sqlite3_bind_text) bind_text;
  decltype(&sqlite3_column_text) column_text;
  decltype(&sqlite3_column_int64) column_int64;
  decltype(&sqlite3_busy_timeout) busy_timeout;
  decltype(&sqlite3_file_control) file_control;
  decltype(&sqlite3_free) free;
  decltype(&sqlite3_randomness) randomness;
  decltype(&sqlite3_libversion) libversion;
  decltype(&sqlite3_libversion_number) libversion_number;
  // Variadic in C, so a pointer to it cannot be called through a fixed signature: the one place
  // that needs it passes (db, SQLITE_DBCONFIG_..., int, int*).
  int (*db_config)(sqlite3*, int, ...);
};

/// The table in force.
const SqliteApi& sqlite() noexcept;
/// Replaces the table; to be called before anything else of walferry is.
void use_sqlite(const SqliteApi& api) noexcept;

}  // namespace walferry::wal
