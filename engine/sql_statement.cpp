#include "engine/sql_statement.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "engine/sql_connection.h"
#include "wal/sqlite_api.h"

namespace walferry::engine {

namespace {

using wal::sqlite;

// What a value costs besides its bytes.
constexpr std::size_t kValueBytes = 8;

std::unexpected<net::SqlError> invalid_args(const std::string& why) {
  return fail_sql("ARGS_INVALID", "Arguments do not match SQL parameters: " + why);
}

/// The arguments with names, and which of them found a parameter.
class NamedValues {
 public:
  explicit NamedValues(const SqlStatement::NamedArgs& args) {
    for (const auto& [name, value] : args) values_.try_emplace(name, Entry{&value, false});
  }

  /// A name is written with its prefix, or without one.
  const net::SqlValue* find(const char* parameter) {
    if (parameter == nullptr || values_.empty()) return nullptr;
    const std::string_view name(parameter);
    auto found = values_.find(name);
    if (found == values_.end() && !name.starts_with('?')) found = values_.find(name.substr(1));
    if (found == values_.end()) return nullptr;
    found->second.is_used = true;
    return found->second.value;
  }

  [[nodiscard]] const std::string_view* unused() const {
    const auto found =
        std::ranges::find_if(values_, [](const auto& entry) { return !entry.second.is_used; });
    return found == values_.end() ? nullptr : &found->first;
  }

 private:
  struct Entry {
    const net::SqlValue* value;
    bool is_used;
  };
  std::unordered_map<std::string_view, Entry> values_;
};

int bind_value(sqlite3_stmt* handle, int index, const net::SqlValue& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    return sqlite().bind_int64(handle, index, *number);
  }
  if (const auto* number = std::get_if<double>(&value)) {
    return sqlite().bind_double(handle, index, *number);
  }
  if (const auto* text = std::get_if<std::string>(&value)) {
    return sqlite().bind_text64(handle, index, text->data(), text->size(), SQLITE_TRANSIENT,
                                SQLITE_UTF8);
  }
  if (const auto* blob = std::get_if<net::SqlBlob>(&value)) {
    // A blob without bytes has no address, which SQLite would take for NULL.
    if (blob->empty()) return sqlite().bind_zeroblob(handle, index, 0);
    return sqlite().bind_blob64(handle, index, blob->data(), blob->size(), SQLITE_TRANSIENT);
  }
  return sqlite().bind_null(handle, index);
}

net::SqlValueView column_value(sqlite3_stmt* handle, int column) {
  switch (sqlite().column_type(handle, column)) {
    case SQLITE_INTEGER:
      return sqlite().column_int64(handle, column);
    case SQLITE_FLOAT:
      return sqlite().column_double(handle, column);
    case SQLITE_TEXT: {
      // First the text, whose conversion from UTF-16 may change its length.
      const auto* text = reinterpret_cast<const char*>(sqlite().column_text(handle, column));
      const auto size = static_cast<std::size_t>(sqlite().column_bytes(handle, column));
      return text == nullptr ? std::string_view() : std::string_view(text, size);
    }
    case SQLITE_BLOB: {
      const auto* bytes = static_cast<const std::byte*>(sqlite().column_blob(handle, column));
      const auto size = static_cast<std::size_t>(sqlite().column_bytes(handle, column));
      return std::span(bytes, bytes == nullptr ? 0 : size);
    }
    default:
      return net::SqlNull{};
  }
}

std::size_t size_of(const net::SqlValueView& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) return kValueBytes + text->size();
  if (const auto* blob = std::get_if<std::span<const std::byte>>(&value)) {
    return kValueBytes + blob->size();
  }
  return kValueBytes;
}

}  // namespace

SqlStatement::SqlStatement(SqlConnection& connection, std::unique_ptr<PreparedStatement> prepared)
    : connection_(&connection), prepared_(std::move(prepared)) {}

SqlStatement::~SqlStatement() {
  if (prepared_ != nullptr) connection_->take_back(std::move(prepared_));
}

SqlStatus SqlStatement::bind(std::span<const net::SqlValue> args, const NamedArgs& named_args) {
  sqlite3_stmt* handle = prepared_->handle;
  const int count = sqlite().bind_parameter_count(handle);
  if (args.size() > static_cast<std::size_t>(count)) {
    return invalid_args("too many parameters, expected " + std::to_string(count) + " found " +
                        std::to_string(args.size()));
  }
  NamedValues named(named_args);
  for (int index = 1; index <= count; ++index) {
    const char* name = sqlite().bind_parameter_name(handle, index);
    const net::SqlValue* value = named.find(name);
    const auto position = static_cast<std::size_t>(index - 1);
    if (value == nullptr && position < args.size()) value = &args[position];
    if (value == nullptr) {
      if (prepared_->kind == SqlKind::kExplain) continue;  // a plan needs no values
      return invalid_args("value for parameter " + (name ? name : std::to_string(index)) +
                          " not found");
    }
    if (SqlStatus bound = bind_one(index, *value); !bound) return bound;
  }
  if (const auto* name = named.unused()) {
    return invalid_args("there is no parameter " + std::string(*name));
  }
  return {};
}

SqlStatus SqlStatement::bind_one(int index, const net::SqlValue& value) {
  const int rc = bind_value(prepared_->handle, index, value);
  if (rc == SQLITE_OK) return {};
  return fail_sql(sqlite_failure(connection_->db_, rc));
}

SqlResult<bool> SqlStatement::step() {
  if (is_done_) return false;
  if (!is_started_) {
    if (SqlStatus admitted = connection_->admit(*prepared_); !admitted) {
      return give_up(std::move(admitted.error()));
    }
    changes_before_ = sqlite().total_changes64(connection_->db_);
  }
  const int rc = connection_->step(*prepared_, spent_);
  if (!is_started_ && (rc == SQLITE_ROW || rc == SQLITE_DONE)) read_columns();
  is_started_ = true;
  if (rc == SQLITE_ROW) return take_row();
  if (rc != SQLITE_DONE) return give_up(connection_->failure_of_step(rc));
  if (SqlStatus finished = finish(); !finished) return fail_sql(std::move(finished.error()));
  return false;
}

SqlStatus SqlStatement::run() {
  wants_rows_ = false;
  for (;;) {
    auto row = step();
    if (!row) return fail_sql(std::move(row.error()));
    if (!*row) return {};
  }
}

SqlResult<bool> SqlStatement::take_row() {
  if (!wants_rows_) return true;
  result_bytes_ += read_row();
  if (result_bytes_ <= connection_->limits().result_bytes) return true;
  connection_->break_off(*prepared_);
  return give_up({.message = "Response is too large", .code = "RESPONSE_TOO_LARGE"});
}

SqlStatus SqlStatement::finish() {
  is_done_ = true;
  row_.clear();
  const SqlKind kind = prepared_->kind;
  const bool is_insert = kind == SqlKind::kInsert;
  if (is_insert || kind == SqlKind::kUpdate || kind == SqlKind::kDelete) {
    end_.affected_rows = static_cast<std::uint64_t>(sqlite().changes64(connection_->db_));
    end_.rows_written =
        static_cast<std::uint64_t>(sqlite().total_changes64(connection_->db_) - changes_before_);
  }
  if (is_insert) end_.last_insert_rowid = sqlite().last_insert_rowid(connection_->db_);
  end_.duration_ms = std::chrono::duration<double, std::milli>(spent_).count();
  return connection_->after_end(*prepared_, true);
}

std::unexpected<net::SqlError> SqlStatement::give_up(net::SqlError error) {
  is_done_ = true;
  row_.clear();
  // What can fail here is the end of a reading transaction, whose statement has failed already.
  (void)connection_->after_end(*prepared_, false);
  return fail_sql(std::move(error));
}

void SqlStatement::read_columns() { connection_->read_columns(*prepared_); }

std::size_t SqlStatement::read_row() {
  const int count = sqlite().column_count(prepared_->handle);
  row_.clear();
  std::size_t bytes = 0;
  for (int column = 0; column < count; ++column) {
    row_.push_back(column_value(prepared_->handle, column));
    bytes += size_of(row_.back());
  }
  return bytes;
}

}  // namespace walferry::engine
