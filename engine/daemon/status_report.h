/// A status as text for people and as JSON for programs.
#pragma once

#include <string>

#include "walferry/tools.hpp"

namespace walferry::daemon {

std::string status_text(const LocalStatus& status, double now_unix);
std::string status_json(const LocalStatus& status);
std::string status_text(const ServerStatus& status);
std::string status_json(const ServerStatus& status);

}  // namespace walferry::daemon
