/// The prose of `--help`: what a command is for, with examples. The options themselves are listed
/// from the parser, so that they cannot differ from what it accepts.
#pragma once

#include <string_view>

namespace walferry::daemon {

struct ManualPage {
  std::string_view synopsis;
  std::string_view description;
  std::string_view examples;
  std::string_view files;  ///< empty where a command leaves none
};

/// The page of a command; that of the program itself for an empty or unknown name.
const ManualPage& manual_page(std::string_view command);

/// The sections that all pages share.
std::string_view exit_status_text();
std::string_view settings_text();

}  // namespace walferry::daemon
