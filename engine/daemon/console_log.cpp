#include "engine/daemon/console_log.h"

#include <spdlog/details/null_mutex.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "engine/daemon/json_output.h"

namespace walferry::daemon {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";

// UTC, so that the logs of two hosts can be laid side by side.
constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v";
constexpr const char* kTimePattern = "%Y-%m-%dT%H:%M:%S.%eZ";

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// One JSON object a line. spdlog's patterns cannot do it: they do not escape the message.
class JsonLineFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    spdlog::memory_buf_t time;
    time_.format(message, time);
    const auto level = spdlog::level::to_string_view(message.level);
    JsonWriter json;
    json.begin_object()
        .field("time", std::string_view(time.data(), time.size()))
        .field("level", std::string_view(level.data(), level.size()))
        .field("message", std::string_view(message.payload.data(), message.payload.size()))
        .end_object();
    out.append(json.text().data(), json.text().data() + json.text().size());
  }

  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonLineFormatter>();
  }

 private:
  spdlog::pattern_formatter time_{kTimePattern, spdlog::pattern_time_type::utc, ""};
};

class ConsoleSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit ConsoleSink(Console& console) : console_(console) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    console_.write_line({line.data(), line.size()});
  }
  void flush_() override {}

 private:
  Console& console_;
};

std::unique_ptr<spdlog::formatter> make_formatter(LogFormat format) {
  if (format == LogFormat::kJson) return std::make_unique<JsonLineFormatter>();
  return std::make_unique<spdlog::pattern_formatter>(kTextPattern, spdlog::pattern_time_type::utc,
                                                     "");
}

}  // namespace

Console::Console(int descriptor) : descriptor_(descriptor), is_terminal_(isatty(descriptor) == 1) {}

unsigned Console::columns() const {
  winsize size{};
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): there is no other way to ask.
  if (ioctl(descriptor_, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

void Console::write_line(std::string_view line) {
  const std::lock_guard lock(mutex_);
  // One write for all of it: other processes may share the terminal or the log file.
  std::string bytes;
  if (!bar_.empty()) bytes += kEraseLine;
  bytes += line;
  bytes += '\n';
  bytes += bar_;
  write_bytes(bytes);
}

void Console::show_bar(std::string text) {
  const std::lock_guard lock(mutex_);
  if (text == bar_) return;
  bar_ = std::move(text);
  write_bytes(std::string(kEraseLine) + bar_);
}

void Console::write_bytes(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    // Where stderr is gone there is nobody left to tell.
    if (written <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

ConsoleLog::ConsoleLog(Console& console, LogSettings settings)
    : format_(settings.format),
      logger_(
          std::make_shared<spdlog::logger>("walferry", std::make_shared<ConsoleSink>(console))) {
  logger_->set_level(spdlog_level(settings.level));
  logger_->set_formatter(make_formatter(settings.format));
}

ConsoleLog::~ConsoleLog() = default;

void ConsoleLog::write(LogLevel level, std::string_view message) {
  logger_->log(spdlog_level(level), spdlog::string_view_t(message.data(), message.size()));
}

LogSink ConsoleLog::sink() {
  // The logger is shared, so that a remark of a library thread that is still ending finds it.
  return [logger = logger_](LogLevel level, std::string_view message) {
    logger->log(spdlog_level(level), spdlog::string_view_t(message.data(), message.size()));
  };
}

}  // namespace walferry::daemon
