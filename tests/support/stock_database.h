/// A thin owner of a connection of the stock SQLite library, as an application would use it.
/// Every call fails with an exception that carries SQLite's text; `try_run` gives the code.
#pragma once

#include <sqlite3.h>

#include <filesystem>
#include <string>
#include <vector>

namespace walferry::tests {

class StockDatabase {
 public:
  explicit StockDatabase(const std::filesystem::path& path,
                         int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  ~StockDatabase();
  StockDatabase(const StockDatabase&) = delete;
  StockDatabase& operator=(const StockDatabase&) = delete;

  /// Runs statements whose rows do not matter.
  void run(const std::string& sql);
  /// The (basic) result code instead of an exception.
  int try_run(const std::string& sql);
  /// The first column of the first row; throws when there is none.
  std::string text(const std::string& sql);
  std::int64_t number(const std::string& sql);
  /// All rows, their columns as SQLite's quote() writes them, joined by '|'.
  std::vector<std::string> rows(const std::string& sql);
  /// Everything that SQL can see: schema, user version, encoding, and each table in rowid or key
  /// order.
  std::vector<std::string> dump();
  sqlite3* handle() noexcept { return database_; }

 private:
  sqlite3* database_ = nullptr;
};

/// What differs between two dumps, for a failure message; empty when nothing does.
std::string difference(const std::vector<std::string>& a, const std::vector<std::string>& b);
/// The same of two database files, opened read-only; and "integrity_check" of both has to be ok.
std::string difference_of_files(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace walferry::tests
