/// What tests need around the engine: stock SQLite connections, other processes, directories of
/// their own, and databases whose pages a test may have as bytes.
///
/// The files of a database that this process has open are never opened here a second time: closing
/// any descriptor would drop the engine's POSIX locks. They are copied by another process.
#pragma once

#include <sqlite3.h>
#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace walferry::test {

using Image = std::vector<std::byte>;

/// A directory that goes with the test.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const {
    return path_ / name;
  }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

/// A connection as any program has one: nothing is set but the busy timeout.
class StockDatabase {
 public:
  static constexpr int kReadWriteCreate = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  explicit StockDatabase(const std::filesystem::path& path, int flags = kReadWriteCreate,
                         const char* vfs = nullptr);
  ~StockDatabase();
  StockDatabase(const StockDatabase&) = delete;
  StockDatabase& operator=(const StockDatabase&) = delete;

  /// SQLite's result code.
  int run(const std::string& sql);
  /// Rows joined by ';', columns by '|'; "error N: text" when it fails.
  std::string query(const std::string& sql);
  /// The whole database as bytes, in the form it has in WAL mode.
  Image image();
  [[nodiscard]] sqlite3* raw() noexcept { return db_; }
  [[nodiscard]] sqlite3_file* file() noexcept;

 private:
  sqlite3* db_ = nullptr;
};

/// Opens, asks, closes.
std::string ask(const std::filesystem::path& path, const std::string& sql);

/// The output (both streams) of a command line.
std::string shell(const std::string& command);
/// A statement run by the sqlite3 program, in a process of its own.
std::string sqlite_program(const std::filesystem::path& path, const std::string& sql);
/// Copies database and WAL (never the wal-index) by another process.
void copy_database(const std::filesystem::path& from, const std::filesystem::path& to);
void write_file(const std::filesystem::path& path, const Image& bytes);
/// By another process, see above.
Image read_file(const std::filesystem::path& path);

/// Runs `body` in a forked child. The exit code, or 1000 + the signal that ended it.
int run_in_child(const std::function<int()>& body);

/// A forked child that runs `body` until it returns; `body` may wait for its parent.
class ChildProcess {
 public:
  /// Blocks until the parent says go on (once for each call), false when the parent is gone.
  class Parent {
   public:
    Parent(int in, int out) : in_(in), out_(out) {}
    bool wait();
    void tell(char what);

   private:
    int in_;
    int out_;
  };
  explicit ChildProcess(const std::function<int(Parent&)>& body);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void go_on();
  /// What the child told; 0 when it has ended.
  char hear();
  void send_signal(int number);
  int join();
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

 private:
  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;
  int result_ = -1;
};

/// Keeps a database open in another process, so that its wal-index outlives everybody else.
std::unique_ptr<ChildProcess> hold_open(const std::filesystem::path& path);

}  // namespace walferry::test
