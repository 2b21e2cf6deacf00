#include "engine/pragma_rules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include "engine/sql_text.h"

namespace walferry::engine {

namespace {

using enum PragmaRule;

// What SQLite 3.40.1 to 3.54 list, and what only special builds know.
constexpr std::array kPragmas = {
    Pragma{"activate_extensions", kDenied},
    Pragma{"analysis_limit", kConnection},
    Pragma{"application_id", kDatabase},
    Pragma{"auto_vacuum", kReading},
    Pragma{"automatic_index", kConnection},
    Pragma{"busy_timeout", kConnection},
    Pragma{"cache_size", kConnection},
    Pragma{"cache_spill", kReading},
    Pragma{"case_sensitive_like", kConnection},
    Pragma{"cell_size_check", kConnection},
    Pragma{"checkpoint_fullfsync", kReading},
    Pragma{"collation_list", kQuestion},
    Pragma{"compile_options", kQuestion},
    Pragma{"count_changes", kReading},
    Pragma{"data_store_directory", kDenied},
    Pragma{"data_version", kReading},
    Pragma{"database_list", kQuestion},
    Pragma{"default_cache_size", kReading},
    Pragma{"defer_foreign_keys", kConnection},
    Pragma{"empty_result_callbacks", kReading},
    Pragma{"encoding", kReading},
    Pragma{"foreign_key_check", kQuestion},
    Pragma{"foreign_key_list", kQuestion},
    Pragma{"foreign_keys", kConnection},
    Pragma{"freelist_count", kReading},
    Pragma{"full_column_names", kReading},
    Pragma{"fullfsync", kReading},
    Pragma{"function_list", kQuestion},
    Pragma{"hard_heap_limit", kReading},
    Pragma{"hexkey", kDenied},
    Pragma{"hexrekey", kDenied},
    Pragma{"ignore_check_constraints", kConnection},
    Pragma{"incremental_vacuum", kDatabase, true},
    Pragma{"index_info", kQuestion},
    Pragma{"index_list", kQuestion},
    Pragma{"index_xinfo", kQuestion},
    Pragma{"integrity_check", kQuestion},
    Pragma{"journal_mode", kReading},
    Pragma{"journal_size_limit", kReading},
    Pragma{"key", kDenied},
    Pragma{"legacy_alter_table", kConnection},
    Pragma{"legacy_file_format", kReading},
    Pragma{"lock_proxy_file", kDenied},
    Pragma{"lock_status", kDenied},
    Pragma{"locking_mode", kReading},
    Pragma{"max_page_count", kReading},
    Pragma{"mmap_size", kReading},
    Pragma{"module_list", kQuestion},
    Pragma{"optimize", kDatabase, true},
    Pragma{"page_count", kReading},
    Pragma{"page_size", kReading},
    Pragma{"parser_trace", kDenied},
    Pragma{"pragma_list", kQuestion},
    Pragma{"query_only", kReading},
    Pragma{"quick_check", kQuestion},
    Pragma{"read_uncommitted", kReading},
    Pragma{"recursive_triggers", kConnection},
    Pragma{"rekey", kDenied},
    Pragma{"reverse_unordered_selects", kConnection},
    Pragma{"schema_version", kReading},
    Pragma{"secure_delete", kConnection},
    Pragma{"short_column_names", kReading},
    Pragma{"shrink_memory", kQuestion},
    Pragma{"soft_heap_limit", kReading},
    Pragma{"sql_trace", kDenied},
    Pragma{"stats", kQuestion},
    Pragma{"synchronous", kConnection},
    Pragma{"table_info", kQuestion},
    Pragma{"table_list", kQuestion},
    Pragma{"table_xinfo", kQuestion},
    Pragma{"temp_store", kReading},
    Pragma{"temp_store_directory", kDenied},
    Pragma{"textkey", kDenied},
    Pragma{"textrekey", kDenied},
    Pragma{"threads", kReading},
    Pragma{"trusted_schema", kReading},
    Pragma{"user_version", kDatabase},
    Pragma{"vdbe_addoptrace", kDenied},
    Pragma{"vdbe_debug", kDenied},
    Pragma{"vdbe_eqp", kDenied},
    Pragma{"vdbe_listing", kDenied},
    Pragma{"vdbe_trace", kDenied},
    Pragma{"wal_autocheckpoint", kReading},
    Pragma{"wal_checkpoint", kDenied},
    Pragma{"writable_schema", kReading},
};
static_assert(std::ranges::is_sorted(kPragmas, {}, &Pragma::name));

// A page cache of 64 MiB: KiB are negative, pages of the usual size positive.
constexpr std::int64_t kMinCacheSize = -65'536;
constexpr std::int64_t kMaxCacheSize = 16'384;
constexpr std::int64_t kMaxBusyTimeout = 30'000;

bool is_number_within(std::string_view text, std::int64_t least, std::int64_t most) {
  std::int64_t number = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= least &&
         number <= most;
}

/// The words for levels that sync the log at all; SQLite takes any other text for a number whose
/// low bits count, some of which mean OFF.
bool is_durable_level(const std::string& value) {
  constexpr std::array<std::string_view, 6> kLevels = {"normal", "full", "extra", "1", "2", "3"};
  return std::ranges::find(kLevels, value) != kLevels.end();
}

PragmaVerdict refuse(std::string_view name, std::string_view why) {
  return {.reason = "PRAGMA " + std::string(name) + " " + std::string(why)};
}

/// Bounds of a value that is allowed as such; empty: it is within them.
std::string_view objection_to_value(std::string_view name, const std::string& value) {
  if (name == "cache_size" && !is_number_within(value, kMinCacheSize, kMaxCacheSize)) {
    return "takes a number from -65536 (64 MiB) to 16384 (pages)";
  }
  if (name == "busy_timeout" && !is_number_within(value, 0, kMaxBusyTimeout)) {
    return "takes a number of milliseconds from 0 to 30000";
  }
  if (name == "synchronous" && !is_durable_level(value)) return "takes NORMAL, FULL or EXTRA";
  return {};
}

PragmaVerdict judge_setting(const Pragma& pragma, const std::string& value) {
  if (pragma.rule == kReading) {
    // What start-up scripts ask for, and what holds already.
    if (pragma.name == "journal_mode" && value == "wal") return {.allowed = true};
    return refuse(pragma.name, "can be read but not set");
  }
  if (const auto objection = objection_to_value(pragma.name, value); !objection.empty()) {
    return refuse(pragma.name, objection);
  }
  return {.allowed = true,
          .changes_connection = pragma.rule == kConnection,
          .changes_database = pragma.rule == kDatabase};
}

}  // namespace

std::span<const Pragma> pragma_rules() { return kPragmas; }

PragmaVerdict judge_pragma(std::string_view name, std::optional<std::string_view> value) {
  const std::string key = lower_sql(name);
  const auto* pragma = std::ranges::lower_bound(kPragmas, key, {}, &Pragma::name);
  if (pragma == kPragmas.end() || pragma->name != key) return refuse(name, "is not known here");
  if (pragma->rule == kDenied) return refuse(key, "is not allowed");
  if (pragma->rule == kQuestion) return {.allowed = true};
  if (value) return judge_setting(*pragma, lower_sql(*value));
  return {.allowed = true, .changes_database = pragma->is_action};
}

}  // namespace walferry::engine
