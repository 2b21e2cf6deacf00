/// A directory of a test's own, removed with all that is in it.
#pragma once

#include <filesystem>
#include <string>

namespace walferry::tests {

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const {
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// The whole of a file; empty when there is none. Never of a database that this process has open.
std::string content_of(const std::filesystem::path& path);
void write_content(const std::filesystem::path& path, const std::string& content);
/// Its size; 0 when there is none.
std::uint64_t size_of(const std::filesystem::path& path);
/// Turns all bits of one byte.
void flip_byte(const std::filesystem::path& path, std::uint64_t offset);

}  // namespace walferry::tests
