#include "engine/sql_authorizer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "engine/pragma_rules.h"
#include "engine/sql_text.h"
#include "wal/sqlite_api.h"

namespace walferry::engine {

namespace {

// The functions of SQLite 3.40 to 3.54 that only compute. Not among them: load_extension,
// fts3_tokenizer and fts5 (pointers to code), optimize (writes, within a SELECT), sqlite_log
// (writes to the host's log).
constexpr auto kFunctions = std::to_array<std::string_view>({
    "->",
    "->>",
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "avg",
    "bm25",
    "ceil",
    "ceiling",
    "changes",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "cos",
    "cosh",
    "count",
    "cume_dist",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "degrees",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "format",
    "fts5_get_locale",
    "fts5_insttoken",
    "fts5_locale",
    "geopoly_area",
    "geopoly_bbox",
    "geopoly_blob",
    "geopoly_ccw",
    "geopoly_contains_point",
    "geopoly_group_bbox",
    "geopoly_json",
    "geopoly_overlap",
    "geopoly_regular",
    "geopoly_svg",
    "geopoly_within",
    "geopoly_xform",
    "glob",
    "group_concat",
    "hex",
    "highlight",
    "if",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_insert",
    "json_array_length",
    "json_error_position",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_patch",
    "json_pretty",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_type",
    "json_valid",
    "jsonb",
    "jsonb_array",
    "jsonb_array_insert",
    "jsonb_extract",
    "jsonb_group_array",
    "jsonb_group_object",
    "jsonb_insert",
    "jsonb_object",
    "jsonb_patch",
    "jsonb_remove",
    "jsonb_replace",
    "jsonb_set",
    "julianday",
    "lag",
    "last_insert_rowid",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "match",
    "matchinfo",
    "max",
    "median",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "offsets",
    "percent_rank",
    "percentile",
    "percentile_cont",
    "percentile_disc",
    "pi",
    "pow",
    "power",
    "printf",
    "quote",
    "radians",
    "random",
    "randomblob",
    "rank",
    "regexp",
    "replace",
    "round",
    "row_number",
    "rtreecheck",
    "rtreedepth",
    "rtreenode",
    "rtrim",
    "sign",
    "sin",
    "sinh",
    "snippet",
    "soundex",
    "sqlite_compileoption_get",
    "sqlite_compileoption_used",
    "sqlite_offset",
    "sqlite_source_id",
    "sqlite_version",
    "sqrt",
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "subtype",
    "sum",
    "tan",
    "tanh",
    "time",
    "timediff",
    "total",
    "total_changes",
    "trim",
    "trunc",
    "typeof",
    "unhex",
    "unicode",
    "unistr",
    "unistr_quote",
    "unixepoch",
    "unlikely",
    "upper",
    "zeroblob",
});
static_assert(std::ranges::is_sorted(kFunctions));

constexpr auto kModules =
    std::to_array<std::string_view>({"fts3", "fts3tokenize", "fts4", "fts4aux", "fts5", "fts5vocab",
                                     "geopoly", "rtree", "rtree_i32"});

// Names that begin with "sqlite_" are SQLite's own. Others than these are windows to raw pages
// (sqlite_dbpage) or to what other clients ran (sqlite_stmt).
constexpr auto kOwnTables = std::to_array<std::string_view>(
    {"sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema",
     "sqlite_sequence", "sqlite_stat1", "sqlite_stat2", "sqlite_stat3", "sqlite_stat4"});

// What ALTER TABLE computes with; SQLite lets nobody else call these.
constexpr auto kInternalFunctions = std::to_array<std::string_view>(
    {"sqlite_add_", "sqlite_drop_", "sqlite_fail", "sqlite_find_", "sqlite_rename_"});

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

bool is_function_allowed(const std::string& name) {
  return std::ranges::binary_search(kFunctions, std::string_view(name)) ||
         std::ranges::any_of(kInternalFunctions,
                             [&](std::string_view prefix) { return name.starts_with(prefix); });
}

std::string_view view(const char* text) { return text == nullptr ? "" : text; }

}  // namespace

void SqlAuthorizer::watch(sqlite3* db) {
  wal::sqlite().set_authorizer(db, &SqlAuthorizer::on_action, this);
}

SqlAuthorizer::Mode SqlAuthorizer::set_mode(Mode mode) noexcept {
  const Mode before = mode_;
  mode_ = mode;
  return before;
}

int SqlAuthorizer::on_action(void* self, int action, const char* first, const char* second,
                             const char* database, const char* /*trigger*/) {
  return static_cast<SqlAuthorizer*>(self)->judge(action, first, second, database);
}

int SqlAuthorizer::judge(int action, const char* first, const char* second, const char* database) {
  if (mode_ == Mode::kOwn) return SQLITE_OK;
  if (mode_ == Mode::kVacuuming) {
    // VACUUM attaches a nameless temporary file; VACUUM INTO one with a name.
    if (action == SQLITE_ATTACH && !view(first).empty()) return refuse("VACUUM INTO");
    if (action != SQLITE_FUNCTION) return SQLITE_OK;
  }
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
      return SQLITE_OK;
    case SQLITE_READ:
      return judge_table(view(first));
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
      if (const int verdict = judge_table(view(first)); verdict != SQLITE_OK) return verdict;
      return note_write(view(database));
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TEMP_VIEW:
      if (mode_ != Mode::kDescribing) changes_connection_ = true;
      return note_write("temp");
    case SQLITE_DROP_TEMP_INDEX:
    case SQLITE_DROP_TEMP_TABLE:
    case SQLITE_DROP_TEMP_TRIGGER:
    case SQLITE_DROP_TEMP_VIEW:
      return note_write("temp");
    case SQLITE_CREATE_VTABLE:
      if (!contains(kModules, lower_sql(view(second)))) {
        return refuse("a virtual table of the module " + std::string(view(second)));
      }
      if (view(database) == "temp" && mode_ != Mode::kDescribing) changes_connection_ = true;
      return note_write(view(database));
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_CREATE_VIEW:
    case SQLITE_DROP_INDEX:
    case SQLITE_DROP_TABLE:
    case SQLITE_DROP_TRIGGER:
    case SQLITE_DROP_VIEW:
    case SQLITE_DROP_VTABLE:
    case SQLITE_REINDEX:
    case SQLITE_ANALYZE:
      return note_write(view(database));
    case SQLITE_ALTER_TABLE:  // the only one whose first name is the database
      return note_write(view(first));
    case SQLITE_FUNCTION:
      if (is_function_allowed(lower_sql(view(second)))) return SQLITE_OK;
      return refuse("the function " + std::string(view(second)) + "()");
    case SQLITE_PRAGMA:
      return judge_pragma(view(first), second, view(database));
    case SQLITE_ATTACH:
      return refuse("ATTACH");
    case SQLITE_DETACH:
      return refuse("DETACH");
    default:
      return refuse("action " + std::to_string(action) + " of SQLite");
  }
}

int SqlAuthorizer::judge_pragma(std::string_view name, const char* value,
                                std::string_view database) {
  const PragmaVerdict verdict = engine::judge_pragma(
      name, value == nullptr ? std::nullopt : std::optional<std::string_view>(value));
  if (!verdict.allowed) return refuse(verdict.reason);
  if (mode_ == Mode::kRunning && (verdict.changes_connection || verdict.changes_database)) {
    return refuse("PRAGMA " + std::string(name) + " as a table, which acts,");
  }
  if (mode_ == Mode::kRunning) return SQLITE_OK;
  findings_.has_pragma = true;
  findings_.pragma_writes |= verdict.changes_database;
  if (verdict.changes_database && database == "temp") changes_connection_ = true;
  if (!verdict.changes_connection) return SQLITE_OK;
  if (mode_ == Mode::kDescribing) return SQLITE_IGNORE;
  const std::string key = lower_sql(name);
  const bool can_be_set_back = key == "foreign_keys" || key == "defer_foreign_keys";
  (can_be_set_back ? touches_foreign_keys_ : changes_connection_) = true;
  return SQLITE_OK;
}

int SqlAuthorizer::judge_table(std::string_view name) {
  const std::string key = lower_sql(name);
  if (!key.starts_with("sqlite_") || contains(kOwnTables, key)) return SQLITE_OK;
  return refuse("the table " + key);
}

int SqlAuthorizer::note_write(std::string_view database) {
  (database == "temp" ? findings_.writes_temp : findings_.writes_main) = true;
  return SQLITE_OK;
}

int SqlAuthorizer::refuse(std::string_view what) {
  if (findings_.refusal.empty()) findings_.refusal = what;
  return SQLITE_DENY;
}

}  // namespace walferry::engine
