/// Draws pieces from a BodySource and frames them for the wire, without copying a byte of them.
///
/// A batch is what one write sends: up to kMaxPieces pieces or about kMaxBytes. With chunked
/// framing a batch is one chunk. The pieces live until the next fill() or clear(), so the buffers
/// that append_to() hands out are good until then. Not thread-safe.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <cstdint>
#include <vector>

#include "net/http_message.h"
#include "net/http_server.h"

namespace walferry::net {

class HttpBodyBatch {
 public:
  static constexpr std::size_t kMaxPieces = 16;
  static constexpr std::size_t kMaxBytes = std::size_t{256} * 1024;

  /// `length` counts only with BodyFraming::kLength.
  HttpBodyBatch(BodyFraming framing, std::uint64_t length) : framing_(framing), length_(length) {}

  /// Releases the last batch and draws the next one. kReady: there is more to draw at once.
  /// kFailed also when the source keeps to another length than was announced; then length_broken().
  PullState fill(BodySource& source);

  /// Appends the batch as it goes onto the wire, with the mark of the end after kEnd.
  void append_to(std::vector<boost::asio::const_buffer>& out);

  void clear();
  [[nodiscard]] bool length_broken() const { return length_broken_; }

 private:
  const BodyFraming framing_;
  const std::uint64_t length_;
  std::uint64_t drawn_ = 0;  ///< by all batches together
  std::vector<BodyPiece> pieces_;
  std::size_t bytes_ = 0;  ///< of this batch
  bool ended_ = false;
  bool length_broken_ = false;
  std::array<char, 20> chunk_head_{};
};

}  // namespace walferry::net
