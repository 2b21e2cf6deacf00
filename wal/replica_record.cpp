#include "wal/replica_record.h"

#include <cstring>

namespace walferry::wal {

namespace {

/// The record is the members one after the other, little-endian, lists with their count in front.
class Writer {
 public:
  void put(std::uint64_t value) {
    bytes_.resize(bytes_.size() + 8);
    store_le(bytes_.data() + bytes_.size() - 8, value);
  }
  void put(const Position& position) {
    put_bytes(std::as_bytes(std::span(position.log.bytes)));
    put(position.generation);
    put(position.frame);
    put(position.checksum);
  }
  void put(const Hash128& hash) {
    put(hash.low);
    put(hash.high);
  }
  void put_bytes(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::uint64_t number() {
    std::array<std::byte, 8> raw{};
    get_bytes(raw);
    return load_le<std::uint64_t>(raw.data());
  }
  std::uint32_t number32() { return static_cast<std::uint32_t>(number()); }
  Position position() {
    Position position;
    get_bytes(std::as_writable_bytes(std::span(position.log.bytes)));
    position.generation = number();
    position.frame = number();
    position.checksum = number();
    return position;
  }
  Hash128 hash() {
    Hash128 hash;
    hash.low = number();
    hash.high = number();
    return hash;
  }
  void get_bytes(std::span<std::byte> to) {
    if (bytes_.size() < to.size()) {
      ok_ = false;
      return;
    }
    std::memcpy(to.data(), bytes_.data(), to.size());
    bytes_ = bytes_.subspan(to.size());
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool complete() const { return ok_ && bytes_.empty(); }

 private:
  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

}  // namespace

Bytes ReplicaRecord::encode() const {
  Writer to;
  to.put(static_cast<std::uint64_t>(kind));
  to.put(page_size);
  to.put(bootstrap.from);
  to.put(bootstrap.snapshot_pages);
  to.put(bootstrap.pages_done);
  to.put(bootstrap.inode);
  to.put(file.device);
  to.put(file.inode);
  to.put(file.size);
  to.put(static_cast<std::uint64_t>(file.modified_ns));
  to.put(static_cast<std::uint64_t>(file.changed_ns));
  to.put(std::uint64_t{backfilling});
  to.put(points.size());
  for (const ReplicaPoint& point : points) {
    to.put(point.position);
    to.put(point.root);
    to.put(point.page_count);
    to.put(std::uint64_t{point.disguise.cookie_replaced});
    to.put(point.disguise.local_cookie);
    to.put(point.disguise.origin_cookie);
    to.put_bytes(point.wal.salts);
    to.put(point.wal.max_frame);
    to.put(point.wal.chain.packed());
    to.put(std::uint64_t{point.settled});
  }
  to.put_bytes(std::as_bytes(std::span(boot)));
  to.put(std::uint64_t{closed});
  return to.take();
}

std::optional<ReplicaRecord> ReplicaRecord::decode(std::span<const std::byte> bytes) {
  Reader from(bytes);
  ReplicaRecord record;
  const std::uint64_t kind = from.number();
  if (kind != 1 && kind != 2) return {};
  record.kind = static_cast<Kind>(kind);
  record.page_size = from.number32();
  record.bootstrap.from = from.position();
  record.bootstrap.snapshot_pages = from.number32();
  record.bootstrap.pages_done = from.number32();
  record.bootstrap.inode = from.number();
  record.file.device = from.number();
  record.file.inode = from.number();
  record.file.size = from.number();
  record.file.modified_ns = static_cast<std::int64_t>(from.number());
  record.file.changed_ns = static_cast<std::int64_t>(from.number());
  record.backfilling = from.number() != 0;
  const std::uint64_t count = from.number();
  if (count > kMaxPoints) return {};
  for (std::uint64_t i = 0; i < count && from.ok(); ++i) {
    ReplicaPoint point;
    point.position = from.position();
    point.root = from.hash();
    point.page_count = from.number32();
    point.disguise.cookie_replaced = from.number() != 0;
    point.disguise.local_cookie = from.number32();
    point.disguise.origin_cookie = from.number32();
    from.get_bytes(point.wal.salts);
    point.wal.max_frame = from.number32();
    point.wal.chain = Checksum::unpack(from.number());
    point.settled = from.number() != 0;
    record.points.push_back(point);
  }
  if (!from.complete()) {  // the earliest records end here
    from.get_bytes(std::as_writable_bytes(std::span(record.boot)));
    record.closed = from.number() != 0;
  }
  if (!from.complete() || !is_valid_page_size(record.page_size)) return {};
  return record;
}

Status write_status_text(OwnFile& side, std::string_view text) {
  if (text.size() > kMaxStatusText) return fail(ErrorCode::kInternal, "a status text too long");
  Bytes bytes(kStatusSize);
  const auto raw = std::as_bytes(std::span(text));
  store_le(bytes.data(), hash64(raw));
  store_le(bytes.data() + 8, std::uint64_t{text.size()});
  std::memcpy(bytes.data() + 16, raw.data(), raw.size());
  return side.write_at(bytes, kStatusOffset);
}

Result<std::optional<std::string>> read_status_text(const OwnFile& side) {
  Bytes bytes(kStatusSize);
  auto got = side.read_some(bytes, kStatusOffset);
  if (!got) return fail(got.error());
  const auto size = load_le<std::uint64_t>(bytes.data() + 8);
  if (*got != bytes.size() || size > kMaxStatusText) return std::optional<std::string>{};
  const auto text = std::span<const std::byte>(bytes).subspan(16, size);
  if (hash64(text) != load_le<std::uint64_t>(bytes.data())) return std::optional<std::string>{};
  return std::string(reinterpret_cast<const char*>(text.data()), text.size());
}

}  // namespace walferry::wal
