/// What verify found, as text for people and as JSON for programs.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "walferry/tools.hpp"

namespace walferry::daemon {

/// "3, 7-9, 12" from ascending numbers.
std::string page_ranges(std::span<const std::uint32_t> pages);

std::string verify_text(const VerifyReport& report);
std::string verify_json(const VerifyReport& report);

}  // namespace walferry::daemon
