#include "engine/daemon/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace walferry::daemon {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

std::expected<CommandLine, UsageError> parse(const std::vector<const char*>& arguments) {
  return parse_command_line(arguments);
}

// The command of a line that has to be right.
template <class Expected>
Expected parsed(const std::vector<const char*>& arguments) {
  const auto line = parse(arguments);
  if (!line) {
    ADD_FAILURE() << line.error().what << ": " << line.error().message;
    return {};
  }
  const auto* command = std::get_if<Expected>(&line->command);
  EXPECT_NE(command, nullptr);
  return command != nullptr ? *command : Expected{};
}

std::string refusal(const std::vector<const char*>& arguments) {
  const auto line = parse(arguments);
  return line ? "accepted" : line.error().what + ": " + line.error().message;
}

// Variables and a TOML file that are gone after the test.
class SettingsSources : public testing::Test {
 protected:
  void TearDown() override {
    for (const std::string& name : variables_) unsetenv(name.c_str());
    std::filesystem::remove(file_);
  }

  void set_variable(const std::string& name, const std::string& value) {
    ASSERT_EQ(setenv(name.c_str(), value.c_str(), 1), 0);
    variables_.push_back(name);
  }

  const char* write_toml(const std::string& text) {
    std::string name = (std::filesystem::temp_directory_path() / "walferry-XXXXXX").string();
    const int descriptor = mkstemp(name.data());
    EXPECT_GE(descriptor, 0);
    close(descriptor);
    file_ = name;
    std::ofstream(file_) << text;
    return file_.c_str();
  }

 private:
  std::vector<std::string> variables_;
  std::filesystem::path file_;
};

TEST(CommandLine, HasDefaultsForServe) {
  const ServerOptions options = parsed<ServeCommand>({"serve", "app.db"}).options;
  ASSERT_EQ(options.databases.size(), 1U);
  EXPECT_EQ(options.databases[0].path, "app.db");
  EXPECT_EQ(options.address, "127.0.0.1");
  EXPECT_EQ(options.port, 7070);
  EXPECT_EQ(options.http_threads, 2U);
  EXPECT_EQ(options.wal_limit_bytes, 16U << 20);
  EXPECT_EQ(options.retention_bytes, 64U << 20);
  EXPECT_FALSE(options.sync_before_publish);
  EXPECT_TRUE(options.serve_sql);
}

TEST(CommandLine, TellsDirectoriesFromFiles) {
  const std::string directory = std::filesystem::temp_directory_path().string();
  const ServerOptions options =
      parsed<ServeCommand>({"serve", "a.db", directory.c_str(), "[b]"}).options;
  ASSERT_EQ(options.directories.size(), 1U);
  ASSERT_EQ(options.databases.size(), 2U);
  EXPECT_EQ(options.databases[1].path, "./[b]");
}

TEST(CommandLine, TakesTheOptionsOfServe) {
  const ServerOptions options =
      parsed<ServeCommand>({"serve", "app.db", "--listen", "[::1]:0", "--wal-limit", "1M",
                            "--retention=2G", "--sync-before-publish", "--no-sql", "--http-threads",
                            "8"})
          .options;
  EXPECT_EQ(options.address, "::1");
  EXPECT_EQ(options.port, 0);
  EXPECT_EQ(options.wal_limit_bytes, 1U << 20);
  EXPECT_EQ(options.retention_bytes, 2ULL << 30);
  EXPECT_TRUE(options.sync_before_publish);
  EXPECT_FALSE(options.serve_sql);
  EXPECT_EQ(options.http_threads, 8U);
}

TEST(CommandLine, HasDefaultsForReplicate) {
  const auto command = parsed<ReplicateCommand>({"replicate", "http://h:1/db/a", "l.db"});
  const ReplicaOptions defaults;
  EXPECT_FALSE(command.once);
  EXPECT_EQ(command.options.url, "http://h:1/db/a");
  EXPECT_EQ(command.options.path, "l.db");
  EXPECT_EQ(command.options.interval, defaults.interval);
  EXPECT_EQ(command.options.connect_timeout, defaults.connect_timeout);
  EXPECT_EQ(command.options.idle_timeout, defaults.idle_timeout);
  EXPECT_EQ(command.options.wal_limit_bytes, defaults.wal_limit_bytes);
  EXPECT_EQ(command.options.limit_rate, 0U);
  EXPECT_FALSE(command.options.adopt_any);
  EXPECT_FALSE(command.options.owner);
  EXPECT_FALSE(command.options.mode);
  EXPECT_EQ(command.options.listen_address, "");
}

TEST(CommandLine, TakesTheOptionsOfReplicate) {
  const ReplicaOptions options = parsed<ReplicateCommand>({"replicate",
                                                           "http://h",
                                                           "l.db",
                                                           "--interval",
                                                           "60s",
                                                           "--listen",
                                                           "127.0.0.1:7071",
                                                           "--limit-rate",
                                                           "2M",
                                                           "--wal-limit",
                                                           "1M",
                                                           "--adopt",
                                                           "--owner",
                                                           "u:g",
                                                           "--mode",
                                                           "0660",
                                                           "--connect-timeout",
                                                           "500ms",
                                                           "--idle-timeout",
                                                           "1m"})
                                     .options;
  EXPECT_EQ(options.interval, milliseconds(60'000));
  EXPECT_EQ(options.listen_address, "127.0.0.1");
  EXPECT_EQ(options.listen_port, 7071);
  EXPECT_EQ(options.limit_rate, 2U << 20);
  EXPECT_EQ(options.wal_limit_bytes, 1U << 20);
  EXPECT_TRUE(options.adopt_any);
  EXPECT_EQ(options.owner, "u:g");
  EXPECT_EQ(options.mode, 0660U);
  EXPECT_EQ(options.connect_timeout, milliseconds(500));
  EXPECT_EQ(options.idle_timeout, milliseconds(60'000));
}

TEST(CommandLine, LetsOnceWinOverInterval) {
  const auto command =
      parsed<ReplicateCommand>({"replicate", "http://h", "l.db", "--once", "--interval", "5s"});
  EXPECT_TRUE(command.once);
  EXPECT_EQ(command.options.interval, milliseconds(0));
}

TEST(CommandLine, TakesTheTools) {
  EXPECT_EQ(parsed<StatusCommand>({"status", "l.db", "--json"}).json, true);
  EXPECT_EQ(parsed<StatusCommand>({"status", "http://h"}).target, "http://h");
  const auto verify = parsed<VerifyCommand>({"verify", "l.db", "http://h"});
  EXPECT_EQ(verify.local, "l.db");
  EXPECT_EQ(verify.url, "http://h");
  EXPECT_EQ(parsed<DetachCommand>({"detach", "--", "-l.db"}).file, "-l.db");
  EXPECT_EQ(parsed<VersionCommand>({"version"}).json, false);
}

TEST(CommandLine, TakesFilesThatAreNamedLikeCommands) {
  const auto copy = parsed<CopyCommand>({"copy", "status", "version"});
  EXPECT_EQ(copy.from, "status");
  EXPECT_EQ(copy.to, "version");
}

TEST(CommandLine, TakesCommonOptionsBeforeAndAfterTheCommand) {
  const auto before = parse({"--log-level", "debug", "version"});
  const auto after = parse({"version", "--log-level", "debug", "--log-format", "json"});
  ASSERT_TRUE(before);
  ASSERT_TRUE(after);
  EXPECT_EQ(before->log.level, LogLevel::kDebug);
  EXPECT_EQ(before->log.format, LogFormat::kText);
  EXPECT_EQ(after->log.level, LogLevel::kDebug);
  EXPECT_EQ(after->log.format, LogFormat::kJson);
}

TEST(CommandLine, PrintsTheManualWithoutACommand) {
  EXPECT_THAT(parsed<PrintCommand>({}).text, HasSubstr("COMMANDS\n  serve "));
  EXPECT_THAT(parsed<PrintCommand>({"--help"}).text, HasSubstr("EXIT STATUS\n"));
}

TEST(CommandLine, HasAManualPageForEachCommand) {
  for (const char* command :
       {"serve", "replicate", "status", "verify", "detach", "copy", "version"}) {
    const std::string page = parsed<PrintCommand>({command, "--help"}).text;
    EXPECT_THAT(page, HasSubstr("NAME\n  walferry " + std::string(command) + " - "));
    EXPECT_THAT(page, HasSubstr("SYNOPSIS\n  walferry " + std::string(command)));
    EXPECT_THAT(page, HasSubstr("EXAMPLES\n"));
    EXPECT_THAT(page, HasSubstr("EXIT STATUS\n"));
    std::istringstream lines(page);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80U) << line;
  }
}

TEST(CommandLine, DocumentsDefaultsAndVariables) {
  const std::string page = parsed<PrintCommand>({"serve", "--help"}).text;
  EXPECT_THAT(page, HasSubstr("--wal-limit SIZE"));
  EXPECT_THAT(page, HasSubstr("Default: 16M."));
  EXPECT_THAT(page, HasSubstr("WALFERRY_WAL_LIMIT"));
}

TEST(CommandLine, RefusesWhatMakesNoSense) {
  EXPECT_THAT(refusal({"srve"}), HasSubstr("command line: "));
  EXPECT_THAT(refusal({"serve"}), HasSubstr("serve: PATH is required"));
  EXPECT_THAT(refusal({"detach", "a", "b"}), HasSubstr("detach: "));
  EXPECT_THAT(refusal({"serve", "a", "--no-such"}), HasSubstr("--no-such"));
  EXPECT_THAT(refusal({"serve", "a", "--listen", "x"}), HasSubstr("--listen: 'x' is not"));
  EXPECT_THAT(refusal({"serve", "a", "--wal-limit", "x"}), HasSubstr("--wal-limit: 'x' is not"));
  EXPECT_THAT(refusal({"replicate", "file", "l"}), HasSubstr("URL: 'file' is not a URL"));
  EXPECT_THAT(refusal({"verify", "l", "l"}), HasSubstr("URL: 'l' is not a URL"));
  EXPECT_THAT(refusal({"version", "--log-level", "loud"}), HasSubstr("--log-level: 'loud'"));
}

TEST_F(SettingsSources, GiveEveryOption) {
  const char* file = write_toml(R"(
log-level = "warning"
[serve]
path = ["a.db", "b.db"]
listen = "127.0.0.1:1"
wal-limit = 4096
http-threads = 3
sync-before-publish = true
no-sql = true
[replicate]
url = "http://h"
local = "l.db"
mode = 0o640
connect-timeout = 1.5
wal-limit = "1G"
)");
  const auto line = parse({"serve", "--config", file});
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(line->log.level, LogLevel::kWarning);
  const auto serve = std::get<ServeCommand>(line->command).options;
  EXPECT_EQ(serve.databases.size(), 2U);
  EXPECT_EQ(serve.port, 1);
  EXPECT_EQ(serve.wal_limit_bytes, 4096U);
  EXPECT_EQ(serve.http_threads, 3U);
  EXPECT_TRUE(serve.sync_before_publish);
  EXPECT_FALSE(serve.serve_sql);
  const auto replicate = parsed<ReplicateCommand>({"replicate", "--config", file}).options;
  EXPECT_EQ(replicate.url, "http://h");
  EXPECT_EQ(replicate.path, "l.db");
  EXPECT_EQ(replicate.mode, 0640U);
  EXPECT_EQ(replicate.connect_timeout, milliseconds(1'500));
  EXPECT_EQ(replicate.wal_limit_bytes, 1U << 30);
}

TEST_F(SettingsSources, WinInTheDocumentedOrder) {
  const char* file = write_toml("[serve]\nlisten = \"127.0.0.1:1\"\nretention = \"1M\"\n");
  const auto port = [&](std::vector<const char*> more) {
    std::vector<const char*> arguments = {"serve", "a.db", "--config", file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return parsed<ServeCommand>(arguments).options.port;
  };
  EXPECT_EQ(parsed<ServeCommand>({"serve", "a.db"}).options.port, 7070);
  EXPECT_EQ(port({}), 1);
  set_variable("WALFERRY_LISTEN", "");
  EXPECT_EQ(port({}), 1);
  set_variable("WALFERRY_LISTEN", "127.0.0.1:2");
  EXPECT_EQ(port({}), 2);
  EXPECT_EQ(port({"--listen", "127.0.0.1:3"}), 3);
}

TEST_F(SettingsSources, NameTheFileByVariable) {
  const std::string file = write_toml("[serve]\nlisten = \"127.0.0.1:1\"\n");
  set_variable("WALFERRY_CONFIG", file);
  EXPECT_EQ(parsed<ServeCommand>({"serve", "a.db"}).options.port, 1);
}

TEST_F(SettingsSources, SetFlagsAndArgumentsByVariable) {
  set_variable("WALFERRY_URL", "http://h");
  set_variable("WALFERRY_LOCAL", "l.db");
  set_variable("WALFERRY_ONCE", "true");
  set_variable("WALFERRY_ADOPT", "false");
  const auto command = parsed<ReplicateCommand>({"replicate"});
  EXPECT_EQ(command.options.url, "http://h");
  EXPECT_TRUE(command.once);
  EXPECT_FALSE(command.options.adopt_any);
}

TEST_F(SettingsSources, NeverNameWhatIsDetachedOrCopied) {
  set_variable("WALFERRY_FILE", "l.db");
  EXPECT_THAT(refusal({"detach"}), HasSubstr("FILE is required"));
  const char* file = write_toml("[detach]\nfile = \"l.db\"\n");
  EXPECT_THAT(refusal({"detach", "--config", file}), HasSubstr("'file' is not a setting"));
}

TEST_F(SettingsSources, DoNotDisturbOtherCommands) {
  set_variable("WALFERRY_LISTEN", "nonsense");
  EXPECT_EQ(parsed<VersionCommand>({"version"}).json, false);
  EXPECT_THAT(refusal({"serve", "a.db"}), HasSubstr("--listen: 'nonsense'"));
}

TEST_F(SettingsSources, NameTheLineThatIsWrong) {
  const std::map<std::string, std::string> cases = {
      {"log-level = [", "line 1: "},
      {"\n\nno-such = 1", "line 3: 'no-such' is not a setting"},
      {"[serve]\nno-such = 1", "line 2: 'no-such' is not a setting of serve"},
      {"[sreve]\nlisten = 1", "line 1: 'sreve' is not a command"},
      {"[serve]\nlisten = 1979-05-27", "line 2: 'listen' must be a text"},
      {"[serve]\npath = []", "line 2: 'path' is an empty list"},
  };
  for (const auto& [text, message] : cases) {
    const char* file = write_toml(text);
    EXPECT_THAT(refusal({"serve", "a.db", "--config", file}), HasSubstr(file + (": " + message)));
    std::filesystem::remove(file);
  }
  EXPECT_THAT(refusal({"serve", "a.db", "--config", "/no/such/file"}), HasSubstr("/no/such/file"));
}

}  // namespace
}  // namespace walferry::daemon
