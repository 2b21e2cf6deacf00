#include "tests/support/stock_database.h"

#include <algorithm>
#include <stdexcept>

namespace walferry::tests {
namespace {

class Statement {
 public:
  Statement(sqlite3* database, const std::string& sql) : database_(database), sql_(sql) {
    if (sqlite3_prepare_v2(database, sql.c_str(), -1, &statement_, nullptr) != SQLITE_OK) {
      throw std::runtime_error(sql + ": " + sqlite3_errmsg(database));
    }
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  bool step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    throw std::runtime_error(sql_ + ": " + sqlite3_errmsg(database_));
  }
  [[nodiscard]] int columns() const { return sqlite3_column_count(statement_); }
  [[nodiscard]] std::string column(int index) const {
    const bool text = sqlite3_column_type(statement_, index) == SQLITE_TEXT;
    const void* content = text ? static_cast<const void*>(sqlite3_column_text(statement_, index))
                               : sqlite3_column_blob(statement_, index);
    const auto* bytes = static_cast<const char*>(content);
    const int size = sqlite3_column_bytes(statement_, index);
    return bytes == nullptr ? std::string() : std::string(bytes, static_cast<std::size_t>(size));
  }
  [[nodiscard]] std::string typed_column(int index) const {
    static constexpr const char* kTypes[] = {"", "i", "r", "t", "b", "n"};
    const int type = sqlite3_column_type(statement_, index);
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, index));
    if (type == SQLITE_INTEGER || type == SQLITE_FLOAT) return std::string(kTypes[type]) + text;
    return kTypes[type] + column(index);
  }

 private:
  sqlite3* database_;
  std::string sql_;
  sqlite3_stmt* statement_ = nullptr;
};

std::string quoted(const std::string& name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

}  // namespace

StockDatabase::StockDatabase(const std::filesystem::path& path, int flags) {
  const int code = sqlite3_open_v2(path.c_str(), &database_, flags, nullptr);
  if (code != SQLITE_OK) {
    const std::string why = path.string() + ": " + sqlite3_errmsg(database_);
    sqlite3_close(database_);
    throw std::runtime_error(why);
  }
  sqlite3_busy_timeout(database_, 30'000);
}

StockDatabase::~StockDatabase() { sqlite3_close(database_); }

void StockDatabase::run(const std::string& sql) {
  if (try_run(sql) != SQLITE_OK) throw std::runtime_error(sql + ": " + sqlite3_errmsg(database_));
}

int StockDatabase::try_run(const std::string& sql) {
  return sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
}

std::string StockDatabase::text(const std::string& sql) {
  Statement statement(database_, sql);
  if (!statement.step()) throw std::runtime_error(sql + ": no row");
  return statement.column(0);
}

std::int64_t StockDatabase::number(const std::string& sql) { return std::stoll(text(sql)); }

std::vector<std::string> StockDatabase::rows(const std::string& sql) {
  std::vector<std::string> rows;
  Statement statement(database_, sql);
  while (statement.step()) {
    std::string row;
    for (int i = 0; i < statement.columns(); ++i) {
      if (i > 0) row += '|';
      row += statement.typed_column(i);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<std::string> StockDatabase::dump() {
  run("BEGIN");
  std::vector<std::string> all = rows("SELECT type, name, tbl_name, sql FROM sqlite_schema");
  for (const char* pragma : {"user_version", "application_id", "encoding", "page_size",
                             "page_count", "freelist_count", "auto_vacuum"}) {
    all.push_back(std::string(pragma) + " " + text(std::string("PRAGMA ") + pragma));
  }
  std::vector<std::string> tables;
  {
    Statement statement(database_,
                        "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    while (statement.step()) tables.push_back(statement.column(0));
  }
  for (const std::string& table : tables) {
    std::vector<std::string> content = rows("SELECT * FROM " + quoted(table));
    std::ranges::sort(content);
    all.push_back("table " + table);
    all.insert(all.end(), content.begin(), content.end());
  }
  run("COMMIT");
  return all;
}

std::string difference(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const std::string left = i < a.size() ? a[i] : "(nothing)";
    const std::string right = i < b.size() ? b[i] : "(nothing)";
    if (left != right) {
      return "line " + std::to_string(i) + ": " + left.substr(0, 200) + " / " +
             right.substr(0, 200);
    }
  }
  return "";
}

std::string difference_of_files(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::vector<std::string> dumps[2];
  for (int i = 0; i < 2; ++i) {
    const auto& path = i == 0 ? a : b;
    StockDatabase database(path, SQLITE_OPEN_READONLY);
    const std::string integrity = database.text("PRAGMA integrity_check");
    if (integrity != "ok") return path.string() + ": integrity_check: " + integrity;
    dumps[i] = database.dump();
  }
  return difference(dumps[0], dumps[1]);
}

}  // namespace walferry::tests
