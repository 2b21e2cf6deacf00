/// Encodes messages (see message_format.h) and takes them out of a byte stream again, proven.
/// Sole user of zstd.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "wal/message_format.h"
#include "walferry/error.hpp"

namespace walferry::wal {

using Bytes = std::vector<std::byte>;

enum class Compression {
  kNever,
  kWhenItPays,  ///< zstd, unless that saves less than an eighth
};

[[nodiscard]] Bytes encode_message(MessageType type, std::span<const std::byte> payload,
                                   Compression compression);

/// Cuts a byte stream into messages and proves each before it is handed on.
/// Memory: one message at most. Not thread safe.
class MessageParser {
 public:
  using Receiver = std::function<Status(MessageType, std::span<const std::byte> payload)>;

  /// Feeds the next bytes. kCorrupt names the offset in the stream of the message that is wrong;
  /// an error of the receiver is returned as it is. After an error only reset() helps.
  Status feed(std::span<const std::byte> bytes, const Receiver& receive);
  /// kCorrupt if the stream may not end here: in the middle of a message.
  [[nodiscard]] Status finish() const;
  void reset() noexcept;
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

 private:
  Status take(std::span<const std::byte> message, const Receiver& receive);

  Bytes pending_;
  Bytes decoded_;
  std::uint64_t offset_ = 0;  ///< of the first byte of the message now being gathered
};

/// The size of the whole message whose envelope `bytes` begins with, or an error if it cannot be
/// one.
Result<std::size_t> message_size(std::span<const std::byte, kEnvelopeSize> envelope);

}  // namespace walferry::wal
