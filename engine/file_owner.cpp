#include "engine/file_owner.h"

#include <grp.h>
#include <pwd.h>

#include <array>
#include <charconv>

namespace walferry::engine {

namespace {

constexpr std::size_t kEntrySize = std::size_t{16} << 10;  // of a line of /etc/passwd and the like

std::int64_t as_number(const std::string& text) {
  std::int64_t number = -1;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && stop == text.data() + text.size() ? number : -1;
}

Result<std::int64_t> user_id(const std::string& name) {
  if (const std::int64_t number = as_number(name); number >= 0) return number;
  std::array<char, kEntrySize> buffer;
  passwd entry{};
  passwd* found = nullptr;
  ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr)
    return fail(ErrorCode::kInvalidArgument, "there is no user \"" + name + "\"");
  return std::int64_t{found->pw_uid};
}

Result<std::int64_t> group_id(const std::string& name) {
  if (const std::int64_t number = as_number(name); number >= 0) return number;
  std::array<char, kEntrySize> buffer;
  group entry{};
  group* found = nullptr;
  ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr)
    return fail(ErrorCode::kInvalidArgument, "there is no group \"" + name + "\"");
  return std::int64_t{found->gr_gid};
}

}  // namespace

Status give_file(const ReplicaOptions& options, wal::OwnFile& file) {
  if (options.owner) {
    const std::size_t colon = options.owner->find(':');
    std::int64_t user = -1;
    std::int64_t group = -1;
    if (colon != 0) {
      auto id = user_id(options.owner->substr(0, colon));
      if (!id) return fail(id.error());
      user = *id;
    }
    if (colon != std::string::npos) {
      auto id = group_id(options.owner->substr(colon + 1));
      if (!id) return fail(id.error());
      group = *id;
    }
    if (Status given = file.give_to(user, group); !given) return given;
  }
  if (options.mode) return file.set_mode(*options.mode);
  return {};
}

}  // namespace walferry::engine
