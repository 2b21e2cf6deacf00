#include "engine/daemon/console_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <string>

namespace walferry::daemon {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

// What `use` makes a log with these settings write to a descriptor that is no terminal.
template <class Use>
std::string written_by(LogSettings settings, Use use) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe(ends.data()), 0);
  {
    Console console(ends[1]);
    ConsoleLog log(console, settings);
    use(console, log);
  }
  close(ends[1]);
  std::string text;
  std::array<char, 4096> bytes{};
  for (ssize_t count = 0; (count = read(ends[0], bytes.data(), bytes.size())) > 0;) {
    text.append(bytes.data(), static_cast<std::size_t>(count));
  }
  close(ends[0]);
  return text;
}

TEST(ConsoleLog, WritesTimeLevelAndMessage) {
  const std::string text = written_by(
      {}, [](Console&, ConsoleLog& log) { log.write(LogLevel::kWarning, "low {} space"); });
  EXPECT_THAT(text, MatchesRegex("[0-9-]+T[0-9:.]+Z warning low \\{\\} space\n"));
}

TEST(ConsoleLog, LeavesOutWhatIsBelowItsLevel) {
  const std::string text = written_by({.level = LogLevel::kWarning}, [](Console&, ConsoleLog& log) {
    const LogSink sink = log.sink();
    sink(LogLevel::kDebug, "one");
    sink(LogLevel::kInfo, "two");
    sink(LogLevel::kError, "three");
  });
  EXPECT_THAT(text, Not(HasSubstr("one")));
  EXPECT_THAT(text, Not(HasSubstr("two")));
  EXPECT_THAT(text, HasSubstr("error   three\n"));
}

TEST(ConsoleLog, WritesOneJsonObjectALine) {
  const std::string text = written_by({.format = LogFormat::kJson}, [](Console&, ConsoleLog& log) {
    log.write(LogLevel::kInfo, "a \"quoted\"\nline");
  });
  EXPECT_THAT(text, MatchesRegex("\\{\"time\":\"[0-9-]+T[0-9:.]+Z\",\"level\":\"info\","
                                 "\"message\":\"a \\\\\"quoted\\\\\"\\\\nline\"\\}\n"));
}

TEST(Console, IsNoTerminalBehindAPipe) {
  written_by({}, [](Console& console, ConsoleLog&) {
    EXPECT_FALSE(console.is_terminal());
    EXPECT_EQ(console.columns(), 80U);
  });
}

TEST(Console, KeepsTheBarBelowTheLines) {
  const std::string text = written_by({}, [](Console& console, ConsoleLog&) {
    console.show_bar("[#.]");
    console.write_line("line");
    console.show_bar("");
  });
  EXPECT_EQ(text, "\r\x1b[K[#.]\r\x1b[Kline\n[#.]\r\x1b[K");
}

}  // namespace
}  // namespace walferry::daemon
