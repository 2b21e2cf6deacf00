/// Lays out `--help` as a manual page: name, synopsis, description, the options that the parser
/// knows, examples, files, settings and exit status.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace walferry::daemon {

class ManualFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
};

}  // namespace walferry::daemon
