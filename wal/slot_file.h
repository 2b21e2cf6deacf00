/// A small record that survives being killed while it is written: two slots, used in turn, each
/// with a sequence number and a hash. The newest slot that is intact is the record.
///
///     offset  size  slot (little-endian; slot n begins at n * slot size)
///          0     8  magic, chosen by the user of the file
///          8     8  sequence number
///         16     4  size of the record
///         20     4  zero
///         24     8  XXH3-64 of bytes 0..23 and the record
///         32        record
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "wal/message_codec.h"
#include "wal/own_file.h"
#include "walferry/error.hpp"

namespace walferry::wal {

class SlotFile {
 public:
  static constexpr std::size_t kSlotSize = 4096;
  static constexpr std::size_t kMaxRecord = kSlotSize - 32;

  /// Opens; creates the file when `create` is set and there is none.
  static Result<SlotFile> open(const std::filesystem::path& path, std::uint64_t magic, bool create);
  /// For looking only: never changes the file.
  static Result<SlotFile> open_to_read(const std::filesystem::path& path, std::uint64_t magic);

  /// The newest intact record, read anew; nothing when there is none.
  Result<std::optional<Bytes>> read();
  /// Writes the next record into the older slot. It survives a kill; a power cut only after sync().
  Status write(std::span<const std::byte> record);
  Status sync() { return file_.sync(); }
  /// Room behind the slots, for what the user of the file keeps there.
  static constexpr std::uint64_t kEndOfSlots = 2 * kSlotSize;
  OwnFile& file() noexcept { return file_; }
  [[nodiscard]] const OwnFile& file() const noexcept { return file_; }

 private:
  OwnFile file_;
  std::uint64_t magic_ = 0;
  std::uint64_t sequence_ = 0;
};

}  // namespace walferry::wal
