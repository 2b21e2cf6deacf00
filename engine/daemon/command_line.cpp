#include "engine/daemon/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/daemon/manual_formatter.h"
#include "engine/daemon/quantity_text.h"
#include "engine/daemon/settings_sources.h"

namespace walferry::daemon {
namespace {

// What was typed, as text. It is converted once it is known which command runs: a wrong variable
// for one command then does not keep another from running, and every message is our own.
struct TypedServe {
  std::vector<std::string> paths;
  std::string listen = "127.0.0.1:7070";
  std::string wal_limit = "16M";
  std::string retention = "64M";
  std::string http_threads = "2";
  bool sync_before_publish = false;
  bool no_sql = false;
};

struct TypedReplicate {
  std::string url;
  std::string local;
  std::string listen;
  std::string interval;
  std::string limit_rate;
  std::string wal_limit = "16M";
  std::string owner;
  std::string mode;
  std::string connect_timeout = "10s";
  std::string idle_timeout = "30s";
  bool once = false;
  bool adopt = false;
};

struct Typed {
  std::string log_level = "info";
  std::string log_format = "text";
  TypedServe serve;
  TypedReplicate replicate;
  StatusCommand status;
  std::string verify_local;
  std::string verify_url;
  bool verify_json = false;
  std::string detach_file;
  std::string copy_from;
  std::string copy_to;
  VersionCommand version;
};

CLI::Option* add_setting(CLI::App& app, const std::string& name, std::string& value,
                         const std::string& type, const std::string& description) {
  return app.add_option("--" + name, value, description)
      ->type_name(type)
      ->envname(environment_name(name))
      ->default_str(value);
}

void add_switch(CLI::App& app, const std::string& name, bool& value,
                const std::string& description) {
  app.add_flag("--" + name, value, description)->envname(environment_name(name));
}

// An argument that must be typed: what is changed or looked at is never taken from elsewhere.
CLI::Option* add_argument(CLI::App& app, const std::string& name, std::string& value,
                          const std::string& description) {
  return app.add_option(name, value, description)->required()->configurable(false);
}

// An argument that a service may keep in its settings.
CLI::Option* add_stored_argument(CLI::App& app, const std::string& name, std::string& value,
                                 const std::string& description) {
  return add_argument(app, name, value, description)
      ->configurable(true)
      // Shown as URL, called "url" in a TOML file.
      ->ignore_case()
      ->envname(environment_name(name));
}

CLI::App& add_command(CLI::App& program, const std::string& name, const std::string& purpose) {
  CLI::App* command = program.add_subcommand(name, purpose);
  // The options of all commands may stand behind the command as well.
  command->fallthrough();
  return *command;
}

void add_serve(CLI::App& program, TypedServe& typed) {
  CLI::App& serve = add_command(program, "serve", "publish SQLite databases");
  serve.add_option("PATH", typed.paths, "Database file or directory of databases to publish.")
      ->required()
      ->ignore_case()
      ->envname(environment_name("PATH"));
  add_setting(serve, "listen", typed.listen, "ADDRESS:PORT",
              "Where to listen. Port 0 lets the system choose one; the log names it.");
  add_setting(serve, "wal-limit", typed.wal_limit, "SIZE",
              "Size at which the WAL of a database is written back into it and started anew.");
  add_setting(serve, "retention", typed.retention, "SIZE",
              "How much history to keep of each database, beyond its WAL, for followers that were "
              "away.");
  add_switch(serve, "sync-before-publish", typed.sync_before_publish,
             "Publish a commit only once it is on disk. Without it, under synchronous=NORMAL, "
             "followers may see commits that a power cut of the primary takes back; they are then "
             "taken back on the followers too.");
  add_switch(serve, "no-sql", typed.no_sql,
             "Do not answer SQL. With SQL, whoever reaches the address reads and writes the "
             "databases, within docs/sql.md.");
  add_setting(serve, "http-threads", typed.http_threads, "COUNT",
              "Threads that answer requests, 1 to 256.");
}

void add_replicate(CLI::App& program, TypedReplicate& typed) {
  CLI::App& replicate =
      add_command(program, "replicate", "keep a local SQLite file equal to a published database");
  add_stored_argument(replicate, "URL", typed.url, "The published database.");
  add_stored_argument(replicate, "LOCAL", typed.local, "The local file.");
  add_switch(replicate, "once", typed.once,
             "Apply all that the primary has now, then exit. --interval and --listen have no "
             "effect then.");
  add_setting(replicate, "interval", typed.interval, "DURATION",
              "Connect once in this time, apply all there is, and rest. Without it the replica "
              "follows live.");
  add_setting(replicate, "listen", typed.listen, "ADDRESS:PORT",
              "Serve what is followed to followers of our own. Without it nothing is served.");
  add_setting(replicate, "limit-rate", typed.limit_rate, "SIZE",
              "Receive at most so many bytes per second. Without it there is no limit.");
  add_setting(replicate, "wal-limit", typed.wal_limit, "SIZE",
              "Size at which the local WAL is written back into the file.");
  add_switch(replicate, "adopt", typed.adopt,
             "Take over LOCAL even if hardly a page of it matches the published database. What it "
             "holds is lost.");
  add_setting(replicate, "owner", typed.owner, "USER[:GROUP]",
              "Owner of the files that are created. Without it the user who runs walferry.");
  add_setting(replicate, "mode", typed.mode, "OCTAL",
              "Permission bits of the files that are created. Without it as the umask has it.");
  add_setting(replicate, "connect-timeout", typed.connect_timeout, "DURATION",
              "How long a connection may take to be made.");
  add_setting(replicate, "idle-timeout", typed.idle_timeout, "DURATION",
              "After how long without a byte from the peer the connection is made anew.");
}

void add_json(CLI::App& command, bool& json) {
  add_switch(command, "json", json, "Print one JSON object.");
}

void add_tools(CLI::App& program, Typed& typed) {
  CLI::App& status = add_command(program, "status", "say how a replica or a server is doing");
  add_argument(status, "TARGET", typed.status.target, "A replica's file, or the URL of a server.");
  add_json(status, typed.status.json);

  CLI::App& verify = add_command(program, "verify", "compare a replica with its primary");
  add_stored_argument(verify, "LOCAL", typed.verify_local, "The replica.");
  add_stored_argument(verify, "URL", typed.verify_url, "The published database.");
  add_json(verify, typed.verify_json);

  CLI::App& detach = add_command(program, "detach", "make a replica an ordinary writable database");
  add_argument(detach, "FILE", typed.detach_file, "The replica.");

  CLI::App& copy = add_command(program, "copy", "write a copy of a database as of one moment");
  add_argument(copy, "FILE", typed.copy_from, "The replica or database to copy.");
  add_argument(copy, "OUT", typed.copy_to, "The copy; must not exist.");

  CLI::App& version = add_command(program, "version", "print versions");
  add_json(version, typed.version.json);
}

void build_program(CLI::App& program, Typed& typed) {
  program.formatter(std::make_shared<ManualFormatter>());
  program.config_formatter(std::make_shared<TomlConfig>(program));
  program.allow_config_extras(CLI::config_extras_mode::error);
  program.require_subcommand(0, 1);
  program.set_help_flag("-h,--help", "Print the manual page and exit.");
  add_setting(program, "log-level", typed.log_level, "LEVEL",
              "Least level to log: debug, info, warning or error.");
  add_setting(program, "log-format", typed.log_format, "FORMAT",
              "text, or json for one JSON object a line. The log goes to stderr.");
  const std::string config = environment_value(environment_name("config"));
  program
      .set_config("--config", config,
                  "TOML file with further settings. Environment: "
                  "WALFERRY_CONFIG.",
                  !config.empty())
      ->type_name("FILE");
  add_serve(program, typed.serve);
  add_replicate(program, typed.replicate);
  add_tools(program, typed);
}

// Converts typed texts one after another and keeps the first error, with the name of its option.
class Converter {
 public:
  template <class T, class... Limits>
  T convert(const std::string& option, const std::string& text,
            Result<T> (*parse)(std::string_view, Limits...),
            std::type_identity_t<Limits>... limits) {
    Result<T> value = parse(text, limits...);
    if (value) return *std::move(value);
    if (!error_) error_ = UsageError{"--" + option, value.error().message};
    return T{};
  }

  void refuse(const std::string& what, const std::string& message) {
    if (!error_) error_ = UsageError{what, message};
  }

  [[nodiscard]] const std::optional<UsageError>& error() const noexcept { return error_; }

 private:
  std::optional<UsageError> error_;
};

LogSettings to_log_settings(const Typed& typed, Converter& converter) {
  constexpr std::array kLevels = {
      std::pair{"debug", LogLevel::kDebug}, std::pair{"info", LogLevel::kInfo},
      std::pair{"warning", LogLevel::kWarning}, std::pair{"error", LogLevel::kError}};
  LogSettings settings;
  const auto* level = std::ranges::find(kLevels, typed.log_level,
                                        [](const auto& entry) { return std::string(entry.first); });
  if (level != kLevels.end()) {
    settings.level = level->second;
  } else {
    converter.refuse("--log-level",
                     "'" + typed.log_level + "' is not a level; use debug, info, warning or error");
  }
  if (typed.log_format == "json") {
    settings.format = LogFormat::kJson;
  } else if (typed.log_format != "text") {
    converter.refuse("--log-format",
                     "'" + typed.log_format + "' is not a format; use text or json");
  }
  return settings;
}

ServeCommand to_serve(const TypedServe& typed, Converter& converter) {
  ServeCommand command;
  for (const std::string& path : typed.paths) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
      command.options.directories.emplace_back(path);
    } else {
      command.options.databases.push_back({.path = path, .name = ""});
    }
  }
  const ListenAddress listen = converter.convert("listen", typed.listen, parse_listen_address);
  command.options.address = listen.address;
  command.options.port = listen.port;
  command.options.http_threads =
      converter.convert("http-threads", typed.http_threads, parse_count, 1U, 256U);
  command.options.wal_limit_bytes = converter.convert("wal-limit", typed.wal_limit, parse_size);
  command.options.retention_bytes = converter.convert("retention", typed.retention, parse_size);
  command.options.sync_before_publish = typed.sync_before_publish;
  command.options.serve_sql = !typed.no_sql;
  return command;
}

void require_url(const std::string& url, Converter& converter) {
  if (is_url(url)) return;
  converter.refuse("URL", "'" + url +
                              "' is not a URL; write for example "
                              "http://127.0.0.1:7070/db/app.db");
}

ReplicateCommand to_replicate(const TypedReplicate& typed, Converter& converter) {
  ReplicateCommand command;
  ReplicaOptions& options = command.options;
  require_url(typed.url, converter);
  options.url = typed.url;
  options.path = typed.local;
  command.once = typed.once;
  options.adopt_any = typed.adopt;
  if (!typed.interval.empty() && !typed.once) {
    options.interval = converter.convert("interval", typed.interval, parse_duration);
  }
  if (!typed.listen.empty() && !typed.once) {
    const ListenAddress listen = converter.convert("listen", typed.listen, parse_listen_address);
    options.listen_address = listen.address;
    options.listen_port = listen.port;
  }
  if (!typed.limit_rate.empty()) {
    options.limit_rate = converter.convert("limit-rate", typed.limit_rate, parse_size);
  }
  options.wal_limit_bytes = converter.convert("wal-limit", typed.wal_limit, parse_size);
  if (!typed.owner.empty()) options.owner = typed.owner;
  if (!typed.mode.empty()) options.mode = converter.convert("mode", typed.mode, parse_mode);
  options.connect_timeout =
      converter.convert("connect-timeout", typed.connect_timeout, parse_duration);
  options.idle_timeout = converter.convert("idle-timeout", typed.idle_timeout, parse_duration);
  return command;
}

Command to_command(const std::string& name, const Typed& typed, Converter& converter) {
  if (name == "serve") return to_serve(typed.serve, converter);
  if (name == "replicate") return to_replicate(typed.replicate, converter);
  if (name == "status") return typed.status;
  if (name == "verify") {
    require_url(typed.verify_url, converter);
    return VerifyCommand{typed.verify_local, typed.verify_url, typed.verify_json};
  }
  if (name == "detach") return DetachCommand{typed.detach_file};
  if (name == "copy") return CopyCommand{typed.copy_from, typed.copy_to};
  return typed.version;
}

UsageError to_usage_error(const CLI::App& program, const CLI::ParseError& error) {
  const auto commands = program.get_subcommands();
  const std::string command = commands.empty() ? "" : commands.front()->get_name();
  const auto files = program.get_config_ptr()->as<std::vector<std::string>>();
  if (dynamic_cast<const CLI::ConfigError*>(&error) != nullptr && !files.empty()) {
    return {files.front(), error.what()};
  }
  const std::string manual = command.empty() ? "walferry" : "walferry " + command;
  return {command.empty() ? "command line" : command,
          std::string(error.what()) + "; see '" + manual + " --help'"};
}

}  // namespace

bool is_url(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

std::expected<CommandLine, UsageError> parse_command_line(std::span<const char* const> arguments) {
  Typed typed;
  CLI::App program("keep ordinary SQLite files equal to a live SQLite database", "walferry");
  build_program(program, typed);
  // CLI11 takes the arguments from the back.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  std::ranges::transform(reversed, reversed.begin(), literal_text);
  try {
    program.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    return CommandLine{{}, PrintCommand{program.help()}};
  } catch (const CLI::ParseError& error) {
    return std::unexpected(to_usage_error(program, error));
  }
  const auto commands = program.get_subcommands();
  if (commands.empty()) return CommandLine{{}, PrintCommand{program.help()}};
  Converter converter;
  CommandLine line;
  line.log = to_log_settings(typed, converter);
  line.command = to_command(commands.front()->get_name(), typed, converter);
  if (converter.error()) return std::unexpected(*converter.error());
  return line;
}

}  // namespace walferry::daemon
