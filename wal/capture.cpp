#include "wal/capture.h"

#include <algorithm>
#include <array>

namespace walferry::wal {

namespace {

constexpr int kHeaderAttempts = 50;

/// Two readable headers a moment apart may have a writer between them: try a little.
std::optional<IndexHeader> read_header_patiently(const WalIndex& index) {
  for (int i = 0; i < kHeaderAttempts; ++i) {
    if (auto header = index.read_header()) return header;
  }
  return {};
}

}  // namespace

Capture::Capture(DatabaseHandle& handle, const CaptureCursor& cursor)
    : handle_(handle), cursor_(cursor), scan_(cursor) {}

Result<CaptureCursor> cursor_at(DatabaseHandle& handle, std::uint32_t frame) {
  std::array<std::byte, kWalHeaderSize> raw{};
  if (Status read = handle.read_wal(raw, 0); !read) return fail(read.error());
  const auto header = WalHeader::decode(raw);
  if (!header || header->page_size != handle.page_size()) {
    return fail(ErrorCode::kCorrupt, handle.wal_path().string() + " has no valid header");
  }
  CaptureCursor cursor{header->salts, header->big_endian_words, frame, header->checksum};
  if (frame > 0) {
    std::array<std::byte, kFrameHeaderSize> last{};
    if (Status read = handle.read_wal(last, frame_offset(frame, handle.page_size())); !read) {
      return fail(read.error());
    }
    const FrameHeader decoded = FrameHeader::decode(last.data());
    if (decoded.salts != header->salts) {
      return fail(ErrorCode::kCorrupt,
                  handle.wal_path().string() + " has no frame " + std::to_string(frame));
    }
    cursor.chain = decoded.checksum;
  }
  return cursor;
}

Result<DrainOutcome> Capture::drain(bool restartable, const Receiver& receive) {
  if (Status same = handle_.check_process(); !same) return fail(same.error());
  const auto header = handle_.index().read_header();
  if (!header) return DrainOutcome::kUnreadable;
  if (header->page_size() != handle_.page_size() && header->max_frame > 0)
    return DrainOutcome::kLost;
  if (header->salts == cursor_.salts) {
    if (header->max_frame < cursor_.frame) return DrainOutcome::kLost;
    if (header->max_frame > cursor_.frame) return read_frames(*header, false, receive);
    if (cursor_.frame > 0 && header->chain() != cursor_.chain) return DrainOutcome::kLost;
    return DrainOutcome::kCaughtUp;
  }
  // Another log. With no frame yet its salts are not final, and there is nothing to read.
  if (header->max_frame == 0) return restartable ? DrainOutcome::kCaughtUp : DrainOutcome::kLost;
  if (!restartable) return DrainOutcome::kLost;
  CaptureCursor fresh;
  auto begun = read_log_header(fresh);
  if (!begun) return fail(begun.error());
  if (!*begun || fresh.salts != header->salts) return DrainOutcome::kLost;
  cursor_ = fresh;
  return read_frames(*header, true, receive);
}

Result<bool> Capture::read_log_header(CaptureCursor& cursor) {
  std::array<std::byte, kWalHeaderSize> raw{};
  if (Status read = handle_.read_wal(raw, 0); !read) return fail(read.error());
  const auto header = WalHeader::decode(raw);
  if (!header || header->page_size != handle_.page_size()) return false;
  cursor = CaptureCursor{header->salts, header->big_endian_words, 0, header->checksum};
  return true;
}

Result<bool> Capture::check_frames(std::uint32_t count, CaptureCursor& cursor, std::uint32_t& whole,
                                   CaptureCursor& at_whole, std::uint32_t& page_count) {
  const std::size_t size = frame_size(handle_.page_size());
  whole = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::span<const std::byte> frame =
        std::span(buffer_).subspan(BatchHeader::kSize + i * size, size);
    const FrameHeader header = FrameHeader::decode(frame.data());
    if (header.salts != cursor.salts || header.page_number == 0) return false;
    Checksum sum = extend_checksum(cursor.chain, frame.first(8), cursor.big_endian_words);
    sum = extend_checksum(sum, frame.subspan(kFrameHeaderSize), cursor.big_endian_words);
    if (sum != header.checksum) return false;
    cursor.chain = sum;
    ++cursor.frame;
    if (header.commit_page_count != 0) {
      whole = i + 1;
      at_whole = cursor;
      page_count = header.commit_page_count;
    }
  }
  return true;
}

Result<DrainOutcome> Capture::read_frames(const IndexHeader& header, bool restarted,
                                          const Receiver& receive) {
  const std::uint32_t page_size = handle_.page_size();
  const std::size_t size = frame_size(page_size);
  const auto at_once = static_cast<std::uint32_t>(
      std::max<std::size_t>(1, (kTargetPayload - BatchHeader::kSize) / size));
  while (cursor_.frame < header.max_frame) {
    const std::uint32_t count = std::min(at_once, header.max_frame - cursor_.frame);
    // The buffer only grows: clearing a mebibyte for each small commit would cost more than reading
    // it.
    if (buffer_.size() < BatchHeader::kSize + count * size)
      buffer_.resize(BatchHeader::kSize + count * size);
    const std::span<std::byte> frames =
        std::span(buffer_).subspan(BatchHeader::kSize, count * size);
    if (Status read = handle_.read_wal(frames, frame_offset(cursor_.frame + 1, page_size)); !read) {
      return fail(read.error());
    }
    const auto again = read_header_patiently(handle_.index());
    if (!again) return DrainOutcome::kUnreadable;
    if (again->salts != header.salts || again->max_frame < header.max_frame)
      return DrainOutcome::kLost;

    CapturedFrames captured;
    captured.before = cursor_;
    captured.restarted = restarted;
    CaptureCursor end = cursor_;
    std::uint32_t whole = 0;
    auto valid = check_frames(count, end, whole, captured.after, captured.page_count);
    if (!valid) return fail(valid.error());
    if (!*valid) return DrainOutcome::kLost;
    if (end.frame == header.max_frame && end.chain != header.chain()) return DrainOutcome::kLost;
    if (whole == 0) {  // a transaction longer than the buffer: handed on in pieces
      whole = count;
      captured.after = end;
    }
    captured.count = whole;
    captured.payload = std::span(buffer_).first(BatchHeader::kSize + whole * size);
    // The cursor moves only once the frames are in good hands.
    if (Status taken = receive(captured); !taken) return fail(taken.error());
    cursor_ = captured.after;
    restarted = false;
  }
  return DrainOutcome::kCaughtUp;
}

Result<bool> Capture::commit_is_imminent(bool restartable) {
  const std::uint32_t page_size = handle_.page_size();
  CaptureCursor log_on_disk;
  auto begun = read_log_header(log_on_disk);
  if (!begun) return fail(begun.error());
  if (!*begun) return false;
  const bool other_log = log_on_disk.salts != cursor_.salts;
  if (other_log && !restartable) return false;
  const CaptureCursor& from = other_log ? log_on_disk : cursor_;
  if (scan_.salts != from.salts || scan_.frame <= from.frame) {
    scan_ = from;
    scan_found_ = false;
  }
  if (scan_found_) return true;
  const std::size_t size = frame_size(page_size);
  if (buffer_.size() < BatchHeader::kSize + size) buffer_.resize(BatchHeader::kSize + size);
  for (;;) {
    const std::span<std::byte> frame = std::span(buffer_).subspan(BatchHeader::kSize, size);
    if (Status read = handle_.read_wal(frame, frame_offset(scan_.frame + 1, page_size)); !read) {
      return fail(read.error());
    }
    CaptureCursor next = scan_;
    CaptureCursor at_commit;
    std::uint32_t whole = 0;
    std::uint32_t pages = 0;
    auto valid = check_frames(1, next, whole, at_commit, pages);
    if (!valid) return fail(valid.error());
    if (!*valid) return false;
    scan_ = next;
    if (whole == 1) return scan_found_ = true;
  }
}

}  // namespace walferry::wal
