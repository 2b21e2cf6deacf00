#include "wal/slot_file.h"

#include <cstring>
#include <string>

#include "wal/page_hash.h"

namespace walferry::wal {

namespace {

constexpr std::size_t kSlotHeader = 32;

std::uint64_t slot_hash(std::span<const std::byte> slot, std::size_t record_size) {
  return hash64(slot.subspan(kSlotHeader, record_size), hash64(slot.first(24)));
}

}  // namespace

Result<SlotFile> SlotFile::open(const std::filesystem::path& path, std::uint64_t magic,
                                bool create) {
  auto file = OwnFile::open(path, create ? OwnFile::Mode::kCreate : OwnFile::Mode::kReadWrite);
  if (!file) return fail(file.error());
  SlotFile slots;
  slots.file_ = std::move(*file);
  slots.magic_ = magic;
  if (auto newest = slots.read(); !newest) return fail(newest.error());
  return slots;
}

Result<SlotFile> SlotFile::open_to_read(const std::filesystem::path& path, std::uint64_t magic) {
  auto file = OwnFile::open(path, OwnFile::Mode::kRead);
  if (!file) return fail(file.error());
  SlotFile slots;
  slots.file_ = std::move(*file);
  slots.magic_ = magic;
  return slots;
}

Result<std::optional<Bytes>> SlotFile::read() {
  std::optional<Bytes> newest;
  sequence_ = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    Bytes slot(kSlotSize);
    auto got = file_.read_some(slot, i * kSlotSize);
    if (!got) return fail(got.error());
    if (*got < kSlotHeader) continue;
    const auto sequence = load_le<std::uint64_t>(slot.data() + 8);
    const auto size = load_le<std::uint32_t>(slot.data() + 16);
    if (load_le<std::uint64_t>(slot.data()) != magic_ || size > kMaxRecord ||
        sequence <= sequence_ ||
        load_le<std::uint64_t>(slot.data() + 24) != slot_hash(slot, size)) {
      continue;
    }
    sequence_ = sequence;
    newest = Bytes(slot.begin() + kSlotHeader, slot.begin() + kSlotHeader + size);
  }
  return newest;
}

Status SlotFile::write(std::span<const std::byte> record) {
  if (record.size() > kMaxRecord)
    return fail(ErrorCode::kInternal, "a record too large for its slot");
  Bytes slot(kSlotHeader + record.size());
  store_le(slot.data(), magic_);
  store_le(slot.data() + 8, sequence_ + 1);
  store_le(slot.data() + 16, static_cast<std::uint32_t>(record.size()));
  store_le(slot.data() + 20, std::uint32_t{0});
  std::memcpy(slot.data() + kSlotHeader, record.data(), record.size());
  store_le(slot.data() + 24, slot_hash(slot, record.size()));
  Status written = file_.write_at(slot, ((sequence_ + 1) % 2) * kSlotSize);
  if (written) ++sequence_;
  return written;
}

}  // namespace walferry::wal
