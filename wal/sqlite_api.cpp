#include "wal/sqlite_api.h"

namespace walferry::wal {

namespace {

SqliteApi& table() noexcept {
  static SqliteApi api{
      &sqlite3_open_v2,
      &sqlite3_close_v2,
      &sqlite3_errmsg,
      &sqlite3_extended_errcode,
      &sqlite3_system_errno,
      &sqlite3_exec,
      &sqlite3_prepare_v2,
      &sqlite3_step,
      &sqlite3_finalize,
      &sqlite3_bind_text,
      &sqlite3_column_text,
      &sqlite3_column_int64,
      &sqlite3_busy_timeout,
      &sqlite3_file_control,
      &sqlite3_free,
      &sqlite3_randomness,
      &sqlite3_libversion,
      &sqlite3_libversion_number,
      &sqlite3_db_config,
      &sqlite3_prepare_v3,
      &sqlite3_reset,
      &sqlite3_clear_bindings,
      &sqlite3_stmt_readonly,
      &sqlite3_stmt_isexplain,
      &sqlite3_stmt_status,
      &sqlite3_bind_parameter_count,
      &sqlite3_bind_parameter_name,
      &sqlite3_bind_null,
      &sqlite3_bind_int64,
      &sqlite3_bind_double,
      &sqlite3_bind_text64,
      &sqlite3_bind_blob64,
      &sqlite3_bind_zeroblob,
      &sqlite3_column_count,
      &sqlite3_column_name,
      &sqlite3_column_decltype,
      &sqlite3_column_type,
      &sqlite3_column_double,
      &sqlite3_column_blob,
      &sqlite3_column_bytes,
      &sqlite3_errstr,
      &sqlite3_error_offset,
      &sqlite3_extended_result_codes,
      &sqlite3_limit,
      &sqlite3_set_authorizer,
      &sqlite3_progress_handler,
      &sqlite3_interrupt,
      &sqlite3_get_autocommit,
      &sqlite3_txn_state,
      &sqlite3_changes64,
      &sqlite3_total_changes64,
      &sqlite3_last_insert_rowid,
      &sqlite3_set_last_insert_rowid,
      &sqlite3_create_function_v2,
      &sqlite3_user_data,
      &sqlite3_result_int64,
  };
  return api;
}

}  // namespace

const SqliteApi& sqlite() noexcept { return table(); }
void use_sqlite(const SqliteApi& api) noexcept { table() = api; }

}  // namespace walferry::wal
