#include "engine/sql_errors.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "wal/sqlite_api.h"

namespace walferry::engine {

namespace {

using wal::sqlite;

struct CodeName {
  int code;
  std::string_view name;
};

// The codes of SQLite 3.54, in order; the headers of an older one lack some of the names.
constexpr std::array kPrimaryCodes = {
    CodeName{1, "SQLITE_ERROR"},       CodeName{2, "SQLITE_INTERNAL"},
    CodeName{3, "SQLITE_PERM"},        CodeName{4, "SQLITE_ABORT"},
    CodeName{5, "SQLITE_BUSY"},        CodeName{6, "SQLITE_LOCKED"},
    CodeName{7, "SQLITE_NOMEM"},       CodeName{8, "SQLITE_READONLY"},
    CodeName{9, "SQLITE_INTERRUPT"},   CodeName{10, "SQLITE_IOERR"},
    CodeName{11, "SQLITE_CORRUPT"},    CodeName{12, "SQLITE_NOTFOUND"},
    CodeName{13, "SQLITE_FULL"},       CodeName{14, "SQLITE_CANTOPEN"},
    CodeName{15, "SQLITE_PROTOCOL"},   CodeName{16, "SQLITE_EMPTY"},
    CodeName{17, "SQLITE_SCHEMA"},     CodeName{18, "SQLITE_TOOBIG"},
    CodeName{19, "SQLITE_CONSTRAINT"}, CodeName{20, "SQLITE_MISMATCH"},
    CodeName{21, "SQLITE_MISUSE"},     CodeName{22, "SQLITE_NOLFS"},
    CodeName{23, "SQLITE_AUTH"},       CodeName{24, "SQLITE_FORMAT"},
    CodeName{25, "SQLITE_RANGE"},      CodeName{26, "SQLITE_NOTADB"},
    CodeName{27, "SQLITE_NOTICE"},     CodeName{28, "SQLITE_WARNING"},
};
constexpr std::array kExtendedCodes = {
    CodeName{257, "SQLITE_ERROR_MISSING_COLLSEQ"},
    CodeName{261, "SQLITE_BUSY_RECOVERY"},
    CodeName{262, "SQLITE_LOCKED_SHAREDCACHE"},
    CodeName{264, "SQLITE_READONLY_RECOVERY"},
    CodeName{266, "SQLITE_IOERR_READ"},
    CodeName{267, "SQLITE_CORRUPT_VTAB"},
    CodeName{270, "SQLITE_CANTOPEN_NOTEMPDIR"},
    CodeName{275, "SQLITE_CONSTRAINT_CHECK"},
    CodeName{279, "SQLITE_AUTH_USER"},
    CodeName{283, "SQLITE_NOTICE_RECOVER_WAL"},
    CodeName{284, "SQLITE_WARNING_AUTOINDEX"},
    CodeName{513, "SQLITE_ERROR_RETRY"},
    CodeName{516, "SQLITE_ABORT_ROLLBACK"},
    CodeName{517, "SQLITE_BUSY_SNAPSHOT"},
    CodeName{518, "SQLITE_LOCKED_VTAB"},
    CodeName{520, "SQLITE_READONLY_CANTLOCK"},
    CodeName{522, "SQLITE_IOERR_SHORT_READ"},
    CodeName{523, "SQLITE_CORRUPT_SEQUENCE"},
    CodeName{526, "SQLITE_CANTOPEN_ISDIR"},
    CodeName{531, "SQLITE_CONSTRAINT_COMMITHOOK"},
    CodeName{539, "SQLITE_NOTICE_RECOVER_ROLLBACK"},
    CodeName{769, "SQLITE_ERROR_SNAPSHOT"},
    CodeName{773, "SQLITE_BUSY_TIMEOUT"},
    CodeName{776, "SQLITE_READONLY_ROLLBACK"},
    CodeName{778, "SQLITE_IOERR_WRITE"},
    CodeName{779, "SQLITE_CORRUPT_INDEX"},
    CodeName{782, "SQLITE_CANTOPEN_FULLPATH"},
    CodeName{787, "SQLITE_CONSTRAINT_FOREIGNKEY"},
    CodeName{795, "SQLITE_NOTICE_RBU"},
    CodeName{1025, "SQLITE_ERROR_RESERVESIZE"},
    CodeName{1032, "SQLITE_READONLY_DBMOVED"},
    CodeName{1034, "SQLITE_IOERR_FSYNC"},
    CodeName{1038, "SQLITE_CANTOPEN_CONVPATH"},
    CodeName{1043, "SQLITE_CONSTRAINT_FUNCTION"},
    CodeName{1281, "SQLITE_ERROR_KEY"},
    CodeName{1288, "SQLITE_READONLY_CANTINIT"},
    CodeName{1290, "SQLITE_IOERR_DIR_FSYNC"},
    CodeName{1294, "SQLITE_CANTOPEN_DIRTYWAL"},
    CodeName{1299, "SQLITE_CONSTRAINT_NOTNULL"},
    CodeName{1537, "SQLITE_ERROR_UNABLE"},
    CodeName{1544, "SQLITE_READONLY_DIRECTORY"},
    CodeName{1546, "SQLITE_IOERR_TRUNCATE"},
    CodeName{1550, "SQLITE_CANTOPEN_SYMLINK"},
    CodeName{1555, "SQLITE_CONSTRAINT_PRIMARYKEY"},
    CodeName{1802, "SQLITE_IOERR_FSTAT"},
    CodeName{1811, "SQLITE_CONSTRAINT_TRIGGER"},
    CodeName{2058, "SQLITE_IOERR_UNLOCK"},
    CodeName{2067, "SQLITE_CONSTRAINT_UNIQUE"},
    CodeName{2314, "SQLITE_IOERR_RDLOCK"},
    CodeName{2323, "SQLITE_CONSTRAINT_VTAB"},
    CodeName{2570, "SQLITE_IOERR_DELETE"},
    CodeName{2579, "SQLITE_CONSTRAINT_ROWID"},
    CodeName{2826, "SQLITE_IOERR_BLOCKED"},
    CodeName{2835, "SQLITE_CONSTRAINT_PINNED"},
    CodeName{3082, "SQLITE_IOERR_NOMEM"},
    CodeName{3091, "SQLITE_CONSTRAINT_DATATYPE"},
    CodeName{3338, "SQLITE_IOERR_ACCESS"},
    CodeName{3594, "SQLITE_IOERR_CHECKRESERVEDLOCK"},
    CodeName{3850, "SQLITE_IOERR_LOCK"},
    CodeName{4106, "SQLITE_IOERR_CLOSE"},
    CodeName{4362, "SQLITE_IOERR_DIR_CLOSE"},
    CodeName{4618, "SQLITE_IOERR_SHMOPEN"},
    CodeName{4874, "SQLITE_IOERR_SHMSIZE"},
    CodeName{5130, "SQLITE_IOERR_SHMLOCK"},
    CodeName{5386, "SQLITE_IOERR_SHMMAP"},
    CodeName{5642, "SQLITE_IOERR_SEEK"},
    CodeName{5898, "SQLITE_IOERR_DELETE_NOENT"},
    CodeName{6154, "SQLITE_IOERR_MMAP"},
    CodeName{6410, "SQLITE_IOERR_GETTEMPPATH"},
    CodeName{6666, "SQLITE_IOERR_CONVPATH"},
    CodeName{6922, "SQLITE_IOERR_VNODE"},
    CodeName{7178, "SQLITE_IOERR_AUTH"},
    CodeName{7434, "SQLITE_IOERR_BEGIN_ATOMIC"},
    CodeName{7690, "SQLITE_IOERR_COMMIT_ATOMIC"},
    CodeName{7946, "SQLITE_IOERR_ROLLBACK_ATOMIC"},
    CodeName{8202, "SQLITE_IOERR_DATA"},
    CodeName{8458, "SQLITE_IOERR_CORRUPTFS"},
    CodeName{8714, "SQLITE_IOERR_IN_PAGE"},
    CodeName{8970, "SQLITE_IOERR_BADKEY"},
    CodeName{9226, "SQLITE_IOERR_CODEC"},
};
static_assert(std::ranges::is_sorted(kPrimaryCodes, {}, &CodeName::code));
static_assert(std::ranges::is_sorted(kExtendedCodes, {}, &CodeName::code));

template <std::size_t N>
std::string_view find_name(const std::array<CodeName, N>& names, int code) {
  const auto* at = std::ranges::lower_bound(names, code, {}, &CodeName::code);
  return at != names.end() && at->code == code ? at->name : std::string_view();
}

// SQLite gives the parser's own complaints no code of their own.
bool is_parse_error(std::string_view message) {
  return message.ends_with(": syntax error") || message == "incomplete input" ||
         message.starts_with("unrecognized token:") || message == "parser stack overflow";
}

net::SqlError with_code(int extended_code, std::string message) {
  net::SqlError error{.message = std::move(message),
                      .code = sqlite_code_name(extended_code & 0xff)};
  if (extended_code > 0xff) error.extended_code = sqlite_code_name(extended_code);
  return error;
}

}  // namespace

std::string sqlite_code_name(int extended_code) {
  if (const auto name = find_name(kExtendedCodes, extended_code); !name.empty())
    return std::string(name);
  const int primary = extended_code & 0xff;
  const auto name = find_name(kPrimaryCodes, primary);
  if (name.empty()) return "SQLITE_UNKNOWN_" + std::to_string(extended_code);
  if (primary == extended_code) return std::string(name);
  return std::string(name) + "_" + std::to_string(extended_code);
}

net::SqlError sqlite_failure(sqlite3* db, int rc) {
  // The connection knows the extended code, unless the call never got as far as the connection.
  const int extended = sqlite().extended_errcode(db);
  const bool of_this_call = (extended & 0xff) == (rc & 0xff);
  return with_code(
      of_this_call ? extended : rc,
      std::string("SQLite error: ") + (of_this_call ? sqlite().errmsg(db) : sqlite().errstr(rc)));
}

net::SqlError sqlite_compile_failure(sqlite3* db, int rc) {
  const std::string message = sqlite().errmsg(db);
  if ((rc & 0xff) != SQLITE_ERROR) return sqlite_failure(db, rc);
  if (is_parse_error(message)) {
    return {.message = "SQL string could not be parsed: " + message, .code = "SQL_PARSE_ERROR"};
  }
  const int offset = sqlite().error_offset(db);
  if (offset < 0) return sqlite_failure(db, rc);
  return {.message = "SQL input error: " + message + " (at offset " + std::to_string(offset) + ")",
          .code = "SQL_INPUT_ERROR"};
}

net::SqlError sqlite_failure(int extended_code, std::string_view message) {
  return with_code(extended_code, "SQLite error: " + std::string(message));
}

}  // namespace walferry::engine
