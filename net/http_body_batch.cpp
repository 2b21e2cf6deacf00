#include "net/http_body_batch.h"

#include <charconv>
#include <string_view>
#include <utility>

namespace walferry::net {
namespace {

boost::asio::const_buffer constant(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

PullState HttpBodyBatch::fill(BodySource& source) {
  clear();
  PullState state = PullState::kReady;
  for (std::size_t count = 0; count < kMaxPieces && bytes_ < kMaxBytes; ++count) {
    BodyPiece piece;
    state = source.pull(piece);
    if (state != PullState::kReady) break;
    if (piece.bytes.empty()) continue;  // as a chunk it would end the body
    bytes_ += piece.bytes.size();
    pieces_.push_back(std::move(piece));
  }
  drawn_ += bytes_;
  ended_ = state == PullState::kEnd;
  if (framing_ != BodyFraming::kLength) return state;
  if (drawn_ > length_) {
    // The peer would take the surplus for the next answer: none of it may reach the wire.
    clear();
    length_broken_ = true;
  } else if (ended_ && drawn_ < length_) {
    length_broken_ = true;
  }
  return length_broken_ ? PullState::kFailed : state;
}

void HttpBodyBatch::append_to(std::vector<boost::asio::const_buffer>& out) {
  const bool chunked = framing_ == BodyFraming::kChunked;
  if (chunked && bytes_ > 0) {
    char* const begin = chunk_head_.data();
    char* end = std::to_chars(begin, begin + chunk_head_.size() - 2, bytes_, 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    out.emplace_back(begin, static_cast<std::size_t>(end - begin));
  }
  for (const BodyPiece& piece : pieces_) out.emplace_back(piece.bytes.data(), piece.bytes.size());
  if (chunked && bytes_ > 0) out.push_back(constant("\r\n"));
  if (chunked && ended_) out.push_back(constant("0\r\n\r\n"));
}

void HttpBodyBatch::clear() {
  pieces_.clear();
  bytes_ = 0;
  ended_ = false;
}

}  // namespace walferry::net
