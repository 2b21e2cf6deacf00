#include "engine/daemon/exit_codes.h"

namespace walferry::daemon {

ExitCode exit_code_for(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return ExitCode::kUsage;
    case ErrorCode::kDiffers:
      return ExitCode::kDiffers;
    case ErrorCode::kForeignFile:
    case ErrorCode::kRefused:
      return ExitCode::kRefused;
    case ErrorCode::kNetwork:
    case ErrorCode::kTimeout:
      return ExitCode::kNetwork;
    default:
      return ExitCode::kFailed;
  }
}

}  // namespace walferry::daemon
