/// Where settings come from besides the command line: WALFERRY_* variables and a TOML file.
///
/// CLI11 knows both, but lets the file win over the environment. walferry promises the opposite
/// (option > variable > file > default), so TomlConfig leaves out what the environment sets.
#pragma once

#include <CLI/CLI.hpp>
#include <istream>
#include <string>
#include <string_view>
#include <vector>

namespace walferry::daemon {

/// The variable of an option or argument: "wal-limit" -> "WALFERRY_WAL_LIMIT".
std::string environment_name(std::string_view option);

/// The value of a variable; an empty one counts as not set.
std::string environment_value(const std::string& variable);

/// The text so that CLI11 takes it as it stands: "[a,b]" would be a list to an option that takes
/// several values, where a file may well have that name.
std::string literal_text(const std::string& text);

class TomlConfig : public CLI::Config {
 public:
  /// `program` has all options and commands by the time that a file is read, and outlives this.
  explicit TomlConfig(const CLI::App& program) : program_(program) {}

  /// Throws CLI::ConfigError with the line where the text is not TOML, a name is no setting or a
  /// value is of a kind that no option takes.
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;

  std::string to_config(const CLI::App* app, bool default_also, bool write_description,
                        std::string prefix) const override;

 private:
  const CLI::App& program_;
};

}  // namespace walferry::daemon
