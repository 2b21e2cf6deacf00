#include "wal/sqlite_api.h"

namespace walferry::wal {

namespace {

SqliteApi& table() noexcept {
  static SqliteApi api{
      &sqlite3_open_v2,          &sqlite3_close_v2,     &sqlite3_errmsg,
      &sqlite3_extended_errcode, &sqlite3_system_errno, &sqlite3_exec,
      &sqlite3_prepare_v2,       &sqlite3_step,         &sqlite3_finalize,
      &sqlite3_bind_text,        &sqlite3_column_text,  &sqlite3_column_int64,
      &sqlite3_busy_timeout,     &sqlite3_file_control, &sqlite3_free,
      &sqlite3_randomness,       &sqlite3_libversion,   &sqlite3_libversion_number,
      &sqlite3_db_config,
  };
  return api;
}

}  // namespace

const SqliteApi& sqlite() noexcept { return table(); }
void use_sqlite(const SqliteApi& api) noexcept { table() = api; }

}  // namespace walferry::wal
