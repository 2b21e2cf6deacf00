#include "wal/message_codec.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "wal/page_hash.h"

namespace walferry::wal {

namespace {

constexpr int kZstdLevel = 1;
constexpr std::size_t kSmallestWorthTrying = 256;
constexpr std::size_t kSampleSize = std::size_t{64} << 10;
constexpr std::uint8_t kCodecRaw = 0;
constexpr std::uint8_t kCodecZstd = 1;

struct ContextDeleter {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

ZSTD_CCtx* compressor() {
  thread_local std::unique_ptr<ZSTD_CCtx, ContextDeleter> context(ZSTD_createCCtx());
  return context.get();
}
ZSTD_DCtx* decompressor() {
  thread_local std::unique_ptr<ZSTD_DCtx, ContextDeleter> context(ZSTD_createDCtx());
  return context.get();
}

bool pays(std::size_t raw, std::size_t compressed) { return compressed < raw - raw / 8; }

/// Appends the compressed payload to `out`; false (and nothing appended) when it does not pay.
bool append_compressed(std::span<const std::byte> payload, Bytes& out) {
  if (payload.size() < kSmallestWorthTrying) return false;
  const std::size_t start = out.size();
  if (payload.size() > 2 * kSampleSize) {
    // A sample from the middle spares the attempt where the data is already compressed.
    out.resize(start + ZSTD_compressBound(kSampleSize));
    const std::size_t n =
        ZSTD_compressCCtx(compressor(), out.data() + start, out.size() - start,
                          payload.data() + payload.size() / 2, kSampleSize, kZstdLevel);
    if (ZSTD_isError(n) != 0 || !pays(kSampleSize, n)) {
      out.resize(start);
      return false;
    }
  }
  out.resize(start + ZSTD_compressBound(payload.size()));
  const std::size_t n = ZSTD_compressCCtx(compressor(), out.data() + start, out.size() - start,
                                          payload.data(), payload.size(), kZstdLevel);
  if (ZSTD_isError(n) != 0 || !pays(payload.size(), n)) {
    out.resize(start);
    return false;
  }
  out.resize(start + n);
  return true;
}

}  // namespace

Bytes encode_message(MessageType type, std::span<const std::byte> payload,
                     Compression compression) {
  Bytes message(kEnvelopeSize);
  std::uint8_t codec = kCodecRaw;
  if (compression == Compression::kWhenItPays && append_compressed(payload, message)) {
    codec = kCodecZstd;
  } else {
    message.insert(message.end(), payload.begin(), payload.end());
  }
  std::byte* envelope = message.data();
  store_le(envelope, kMessageMagic);
  envelope[4] = static_cast<std::byte>(type);
  envelope[5] = static_cast<std::byte>(codec);
  envelope[6] = envelope[7] = std::byte{0};
  store_le(envelope + 8, static_cast<std::uint32_t>(message.size() - kEnvelopeSize));
  store_le(envelope + 12, static_cast<std::uint32_t>(payload.size()));
  const std::uint64_t seed = hash64(std::span(message).first(16));
  store_le(envelope + 16, hash64(std::span(message).subspan(kEnvelopeSize), seed));
  return message;
}

Result<std::size_t> message_size(std::span<const std::byte, kEnvelopeSize> envelope) {
  const std::byte* from = envelope.data();
  if (load_le<std::uint32_t>(from) != kMessageMagic) {
    return fail(ErrorCode::kCorrupt, "no message begins here");
  }
  const auto type = std::to_integer<std::uint8_t>(from[4]);
  const auto codec = std::to_integer<std::uint8_t>(from[5]);
  const auto stored = load_le<std::uint32_t>(from + 8);
  const auto raw = load_le<std::uint32_t>(from + 12);
  if (type < 1 || type > static_cast<std::uint8_t>(MessageType::kHashes) || codec > kCodecZstd ||
      from[6] != std::byte{0} || from[7] != std::byte{0} || raw > kMaxPayload ||
      stored > ZSTD_compressBound(kMaxPayload) || (codec == kCodecRaw && stored != raw)) {
    return fail(ErrorCode::kCorrupt, "a message with impossible type or sizes");
  }
  return kEnvelopeSize + stored;
}

Status MessageParser::take(std::span<const std::byte> message, const Receiver& receive) {
  const std::span<const std::byte> stored = message.subspan(kEnvelopeSize);
  const std::uint64_t seed = hash64(message.first(16));
  if (hash64(stored, seed) != load_le<std::uint64_t>(message.data() + 16)) {
    return fail(ErrorCode::kCorrupt, "a message whose XXH3 hash is wrong");
  }
  std::span<const std::byte> payload = stored;
  if (std::to_integer<std::uint8_t>(message[5]) == kCodecZstd) {
    decoded_.resize(load_le<std::uint32_t>(message.data() + 12));
    const std::size_t n = ZSTD_decompressDCtx(decompressor(), decoded_.data(), decoded_.size(),
                                              stored.data(), stored.size());
    if (ZSTD_isError(n) != 0 || n != decoded_.size()) {
      return fail(ErrorCode::kCorrupt, "a message that zstd cannot decode");
    }
    payload = decoded_;
  }
  return receive(static_cast<MessageType>(std::to_integer<std::uint8_t>(message[4])), payload);
}

Status MessageParser::feed(std::span<const std::byte> bytes, const Receiver& receive) {
  const auto locate = [this](const Error& error) {
    return fail(error.while_doing("at byte " + std::to_string(offset_) + " of the stream"));
  };
  while (!bytes.empty()) {
    // Gather an envelope first, then what it announces; a message that lies whole in `bytes` is
    // taken from there without a copy.
    if (pending_.empty() && bytes.size() >= kEnvelopeSize) {
      auto size = message_size(bytes.first<kEnvelopeSize>());
      if (!size) return locate(size.error());
      if (bytes.size() >= *size) {
        Status taken = take(bytes.first(*size), receive);
        if (!taken) {
          return taken.error().code == ErrorCode::kCorrupt ? Status(locate(taken.error())) : taken;
        }
        bytes = bytes.subspan(*size);
        offset_ += *size;
        continue;
      }
    }
    std::size_t wanted = kEnvelopeSize;
    if (pending_.size() >= kEnvelopeSize) {
      auto size = message_size(std::span(pending_).first<kEnvelopeSize>());
      if (!size) return locate(size.error());
      wanted = *size;
    }
    const std::size_t n = std::min(bytes.size(), wanted - pending_.size());
    pending_.insert(pending_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    bytes = bytes.subspan(n);
    if (pending_.size() >= kEnvelopeSize) {
      auto size = message_size(std::span(pending_).first<kEnvelopeSize>());
      if (!size) return locate(size.error());
      if (pending_.size() == *size) {
        Status taken = take(pending_, receive);
        if (!taken) {
          return taken.error().code == ErrorCode::kCorrupt ? Status(locate(taken.error())) : taken;
        }
        offset_ += pending_.size();
        pending_.clear();
      }
    }
  }
  return {};
}

Status MessageParser::finish() const {
  if (pending_.empty()) return {};
  return fail(ErrorCode::kCorrupt,
              "the stream ends within the message at byte " + std::to_string(offset_));
}

void MessageParser::reset() noexcept {
  pending_.clear();
  offset_ = 0;
}

}  // namespace walferry::wal
