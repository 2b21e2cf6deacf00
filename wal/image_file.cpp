#include "wal/image_file.h"

#include <algorithm>
#include <array>

namespace walferry::wal {

namespace {
constexpr std::uint32_t kHashPages = 64;
}  // namespace

Result<ImageFile> ImageFile::open(const std::filesystem::path& path, std::uint32_t page_size,
                                  std::uint32_t pages_done) {
  auto file = OwnFile::open(path, OwnFile::Mode::kCreate);
  if (!file) return fail(file.error());
  ImageFile image;
  image.file_ = std::move(*file);
  image.page_size_ = page_size;
  image.pages_done_ = pages_done;
  image.sum_known_ = pages_done == 0;
  if (pages_done == 0) {
    if (Status emptied = image.file_.resize(0); !emptied) return fail(emptied.error());
  }
  return image;
}

Status ImageFile::append(std::uint32_t first, std::span<const std::byte> pages) {
  if (Status written = file_.write_at(pages, std::uint64_t{first - 1} * page_size_); !written)
    return written;
  const auto count = static_cast<std::uint32_t>(pages.size() / page_size_);
  for (std::uint32_t i = 0; i < count; ++i) {
    sum_ += hash_page(first + i, pages.subspan(std::size_t{i} * page_size_, page_size_));
  }
  pages_done_ = first + count - 1;
  return {};
}

Result<Hash128> ImageFile::hash_of(std::uint32_t page) {
  if ((page > pages_done_ && !put_beyond_.contains(page)) || page == lock_byte_page(page_size_))
    return Hash128{};
  std::vector<std::byte> bytes(page_size_);
  if (Status read = file_.read_at(bytes, std::uint64_t{page - 1} * page_size_); !read)
    return fail(read.error());
  return hash_page(page, bytes);
}

Status ImageFile::put(std::uint32_t page, std::span<const std::byte> bytes) {
  if (page == lock_byte_page(page_size_)) return {};
  if (sum_known_) {
    auto before = hash_of(page);
    if (!before) return fail(before.error());
    sum_ -= *before;
    sum_ += hash_page(page, bytes);
  }
  if (page > pages_done_) put_beyond_.add(page);
  return file_.write_at(bytes, std::uint64_t{page - 1} * page_size_);
}

bool ImageFile::covers(std::uint32_t page_count) noexcept {
  covered_ = std::max(covered_, pages_done_);
  while (covered_ < page_count &&
         (put_beyond_.contains(covered_ + 1) || covered_ + 1 == lock_byte_page(page_size_))) {
    ++covered_;
  }
  return covered_ >= page_count;
}

Result<Hash128> ImageFile::finish(std::uint32_t page_count) {
  if (sum_known_) {
    const auto drop = [&](std::uint32_t page) -> Status {
      auto hash = hash_of(page);
      if (!hash) return fail(hash.error());
      sum_ -= *hash;
      return {};
    };
    const std::uint32_t first_beyond = std::max(page_count, pages_done_) + 1;
    for (std::uint32_t page = page_count + 1; page < first_beyond; ++page) {
      if (Status dropped = drop(page); !dropped) return fail(dropped.error());
    }
    for (std::uint32_t page = put_beyond_.next(first_beyond); page != 0;
         page = put_beyond_.next(page + 1)) {
      if (Status dropped = drop(page); !dropped) return fail(dropped.error());
    }
  }
  if (Status sized = file_.resize(std::uint64_t{page_count} * page_size_); !sized)
    return fail(sized.error());
  if (sum_known_) return sum_;
  sum_ = {};
  std::vector<std::byte> buffer(std::size_t{kHashPages} * page_size_);
  for (std::uint32_t first = 1; first <= page_count; first += kHashPages) {
    const std::uint32_t n = std::min(kHashPages, page_count - first + 1);
    const auto pages = std::span(buffer).first(std::size_t{n} * page_size_);
    if (Status read = file_.read_at(pages, std::uint64_t{first - 1} * page_size_); !read)
      return fail(read.error());
    for (std::uint32_t i = 0; i < n; ++i) {
      if (first + i == lock_byte_page(page_size_)) continue;
      sum_ += hash_page(first + i, pages.subspan(std::size_t{i} * page_size_, page_size_));
    }
  }
  sum_known_ = true;
  return sum_;
}

Status ImageFile::seal() {
  const std::array<std::byte, 2> versions{kGuardVersionByte, kWalVersionByte};
  if (Status written = file_.write_at(versions, kWriteVersionOffset); !written) return written;
  return file_.sync();
}

}  // namespace walferry::wal
