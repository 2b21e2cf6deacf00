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

  // What runs SQL for clients.
  decltype(&sqlite3_prepare_v3) prepare_v3;
  decltype(&sqlite3_reset) reset;
  decltype(&sqlite3_clear_bindings) clear_bindings;
  decltype(&sqlite3_stmt_readonly) stmt_readonly;
  decltype(&sqlite3_stmt_isexplain) stmt_isexplain;
  decltype(&sqlite3_stmt_status) stmt_status;
  decltype(&sqlite3_bind_parameter_count) bind_parameter_count;
  decltype(&sqlite3_bind_parameter_name) bind_parameter_name;
  decltype(&sqlite3_bind_null) bind_null;
  decltype(&sqlite3_bind_int64) bind_int64;
  decltype(&sqlite3_bind_double) bind_double;
  decltype(&sqlite3_bind_text64) bind_text64;
  decltype(&sqlite3_bind_blob64) bind_blob64;
  decltype(&sqlite3_bind_zeroblob) bind_zeroblob;
  decltype(&sqlite3_column_count) column_count;
  decltype(&sqlite3_column_name) column_name;
  decltype(&sqlite3_column_decltype) column_decltype;
  decltype(&sqlite3_column_type) column_type;
  decltype(&sqlite3_column_double) column_double;
  decltype(&sqlite3_column_blob) column_blob;
  decltype(&sqlite3_column_bytes) column_bytes;
  decltype(&sqlite3_errstr) errstr;
  decltype(&sqlite3_error_offset) error_offset;
  decltype(&sqlite3_extended_result_codes) extended_result_codes;
  decltype(&sqlite3_limit) limit;
  decltype(&sqlite3_set_authorizer) set_authorizer;
  decltype(&sqlite3_progress_handler) progress_handler;
  decltype(&sqlite3_interrupt) interrupt;
  decltype(&sqlite3_get_autocommit) get_autocommit;
  decltype(&sqlite3_txn_state) txn_state;
  decltype(&sqlite3_changes64) changes64;
  decltype(&sqlite3_total_changes64) total_changes64;
  decltype(&sqlite3_last_insert_rowid) last_insert_rowid;
  decltype(&sqlite3_set_last_insert_rowid) set_last_insert_rowid;
  decltype(&sqlite3_create_function_v2) create_function_v2;
  decltype(&sqlite3_user_data) user_data;
  decltype(&sqlite3_result_int64) result_int64;
};

/// The table in force.
const SqliteApi& sqlite() noexcept;
/// Replaces the table; to be called before anything else of walferry is.
void use_sqlite(const SqliteApi& api) noexcept;

}  // namespace walferry::wal
