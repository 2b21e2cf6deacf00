/// What can go wrong, as a value.
///
/// Every fallible call of walferry returns Result<T>. Nothing is thrown across this interface.
/// An Error carries what happened, to what, and what to do next, in one readable message; the
/// code is for programs that react. A code exists only where a caller can act on it.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace walferry {

enum class ErrorCode {
  kInvalidArgument = 1,  ///< the caller asked for something that makes no sense
  kNotFound,             ///< no such file, database or object
  kForeignFile,          ///< a file stands where ours should be, and it is not ours: left untouched
  kNotADatabase,         ///< not a SQLite database that a stock SQLite can read
  kBusy,                 ///< somebody else holds what we need; trying again later can help
  kReadOnly,             ///< no permission to write where writing is needed
  kIo,                   ///< the operating system reported an I/O error
  kNoSpace,              ///< the disk (or the quota) is full
  kNetwork,              ///< the peer cannot be reached or the connection broke
  kTimeout,              ///< a deadline passed
  kProtocol,             ///< the peer sent something that the protocol does not allow
  kCorrupt,              ///< a checksum, hash or length does not match: refused before use
  kHistoryChanged,       ///< the position is not part of the peer's history: reconcile
  kRefused,              ///< the peer, or a safety rule of ours, says no
  kUnsupported,          ///< this platform, file system or SQLite cannot do it
  kCancelled,            ///< stopped on request
  kDiffers,              ///< verification found differences
  kInternal,             ///< a mistake of ours
};

/// The code's stable name, as it appears in JSON and logs ("busy", "foreign_file", ...).
std::string_view to_string(ErrorCode code) noexcept;

struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;

  /// The same error with what was being done put in front: "opening app.db: ...".
  [[nodiscard]] Error while_doing(std::string_view what) const {
    return Error{code, std::string(what) + ": " + message};
  }
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

/// Shorthand for `return fail(ErrorCode::kBusy, "...")`.
inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected<Error>(Error{code, std::move(message)});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }

}  // namespace walferry
