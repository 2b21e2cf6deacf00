/// The program's exit codes. They are part of its interface: scripts rely on them, so that a number
/// is never given another meaning. manual_pages.cpp documents them.
#pragma once

#include "walferry/error.hpp"

namespace walferry::daemon {

enum class ExitCode {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,    ///< the command line, the environment or the TOML file makes no sense
  kDiffers = 3,  ///< verify found differences
  kRefused = 4,  ///< going on could harm: a foreign file, the write guard, an open address
  kNetwork = 5,  ///< the peer cannot be reached, or a deadline passed
};

[[nodiscard]] ExitCode exit_code_for(ErrorCode code) noexcept;

}  // namespace walferry::daemon
