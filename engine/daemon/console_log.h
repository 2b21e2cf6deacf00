/// What the program says while it runs: whole lines on stderr, and at most one status bar below
/// them when stderr is a terminal.
///
/// Console owns stderr: a line never tears the bar and a bar never hides a line. ConsoleLog puts
/// levels, times and a format on top (through spdlog). Both may be used from any thread.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "walferry/log_sink.hpp"

namespace spdlog {
class logger;
}  // namespace spdlog

namespace walferry::daemon {

enum class LogFormat { kText, kJson };

struct LogSettings {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
};

class Console {
 public:
  /// Writes to `descriptor`, which is not owned; 2 is stderr.
  explicit Console(int descriptor);

  [[nodiscard]] bool is_terminal() const noexcept { return is_terminal_; }
  /// The terminal's width now; 80 where there is none.
  [[nodiscard]] unsigned columns() const;

  /// `line` without its line end.
  void write_line(std::string_view line);
  /// Draws or replaces the bar; an empty text removes it. Only for a terminal.
  void show_bar(std::string text);

 private:
  void write_bytes(std::string_view bytes) const;

  const int descriptor_;
  const bool is_terminal_;
  std::mutex mutex_;
  std::string bar_;
};

class ConsoleLog {
 public:
  /// `console` has to outlive the log and every sink taken from it.
  ConsoleLog(Console& console, LogSettings settings);
  ~ConsoleLog();
  ConsoleLog(const ConsoleLog&) = delete;
  ConsoleLog& operator=(const ConsoleLog&) = delete;

  void write(LogLevel level, std::string_view message);
  /// For the library's options.
  [[nodiscard]] LogSink sink();
  [[nodiscard]] LogFormat format() const noexcept { return format_; }

 private:
  const LogFormat format_;
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace walferry::daemon
