/// From arguments, environment and TOML file to one checked command.
///
/// parse_command_line() neither prints nor exits, so that what it understands can be tested. It
/// checks what can be checked without touching the files and peers that a command is about.
#pragma once

#include <expected>
#include <filesystem>
#include <span>
#include <string>
#include <variant>

#include "engine/daemon/console_log.h"
#include "walferry/replica.hpp"
#include "walferry/server.hpp"

namespace walferry::daemon {

struct ServeCommand {
  ServerOptions options;  ///< without log
};

struct ReplicateCommand {
  ReplicaOptions options;  ///< without log and progress
  bool once = false;
};

struct StatusCommand {
  std::string target;  ///< a file, or a URL (http:// or https://)
  bool json = false;
};

struct VerifyCommand {
  std::filesystem::path local;
  std::string url;
  bool json = false;
};

struct DetachCommand {
  std::filesystem::path file;
};

struct CopyCommand {
  std::filesystem::path from;
  std::filesystem::path to;
};

struct VersionCommand {
  bool json = false;
};

/// Help was asked for.
struct PrintCommand {
  std::string text;
};

using Command = std::variant<PrintCommand, ServeCommand, ReplicateCommand, StatusCommand,
                             VerifyCommand, DetachCommand, CopyCommand, VersionCommand>;

struct CommandLine {
  LogSettings log;
  Command command;
};

struct UsageError {
  std::string what;     ///< the option, command or file that is wrong
  std::string message;  ///< what is wrong with it and what to do
};

/// `arguments` without the program's name.
std::expected<CommandLine, UsageError> parse_command_line(std::span<const char* const> arguments);

bool is_url(std::string_view text);

}  // namespace walferry::daemon
