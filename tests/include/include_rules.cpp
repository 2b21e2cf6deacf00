#include "tests/include/include_rules.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

namespace walferry::tests {
namespace {

namespace fs = std::filesystem;

struct Include {
  std::size_t line = 0;
  std::string name;
  bool angled = false;
};

struct SourceFile {
  std::string path;  // relative to the root
  std::string room;
  std::vector<Include> includes;
  std::vector<std::string> code;  // lines without comments and literals
};

// Longest first: engine/daemon is a room of its own.
constexpr std::array kRooms = {"engine/daemon", "include", "wal",   "net",
                               "engine",        "tests",   "bench", "fuzz"};

// Rooms that the product is made of; the others may include everything but Google Benchmark.
bool is_product_room(const std::string& room) {
  return room != "tests" && room != "bench" && room != "fuzz";
}

const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"include", {"include"}},
    {"wal", {"include", "wal"}},
    {"net", {"include", "net", "wal"}},
    {"engine", {"include", "net", "wal", "engine"}},
    {"engine/daemon", {"include", "engine/daemon"}},
};

// A third-party library by the beginning of its headers' names, and the one room that may use it.
struct Owner {
  std::string_view prefix;
  std::string_view room;
};
constexpr std::array kOwners = {
    Owner{"boost/beast", "net"},
    Owner{"boost/asio", "net"},
    Owner{"curl/", "net"},
    Owner{"protozero/", "net"},
    Owner{"zstd", "wal"},
    Owner{"zdict.h", "wal"},
    Owner{"xxhash", "wal"},
    Owner{"xxh3.h", "wal"},
    Owner{"benchmark/", "bench"},
    Owner{"CLI/", "engine/daemon"},
    Owner{"spdlog/", "engine/daemon"},
    Owner{"toml++/", "engine/daemon"},
    Owner{"toml.hpp", "engine/daemon"},
    Owner{"gtest/", "tests"},
    Owner{"gmock/", "tests"},
};

// SQLite's file objects: whoever names one reads or locks files below the SQL interface.
constexpr std::array<std::string_view, 4> kFileObjectNames = {"sqlite3_file", "sqlite3_io_methods",
                                                              "SQLITE_FCNTL_FILE_POINTER",
                                                              "SQLITE_FCNTL_JOURNAL_POINTER"};

// The C headers that walferry.h may use; C++ standard headers have no dot in their names.
const std::set<std::string> kStandardCHeaders = {"stdbool.h", "stddef.h", "stdint.h"};

constexpr std::string_view kByteOrder = "wal/byte_order.h";

std::string room_of(const std::string& path) {
  for (const std::string_view room : kRooms) {
    if (path.starts_with(std::string(room) + "/")) return std::string(room);
  }
  return "";
}

// Replaces comments and the insides of literals by spaces; line ends stay where they are.
std::string without_comments_and_literals(const std::string& text) {
  std::string out = text;
  const auto blank = [&out](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < std::min(to, out.size()); ++i) {
      if (out[i] != '\n') out[i] = ' ';
    }
  };
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i + 1;
    if (text.compare(i, 2, "//") == 0) {
      end = std::min(text.find('\n', i), text.size());
      blank(i, end);
    } else if (text.compare(i, 2, "/*") == 0) {
      const std::size_t close = text.find("*/", i + 2);
      end = close == std::string::npos ? text.size() : close + 2;
      blank(i, end);
    } else if (text.compare(i, 2, "R\"") == 0) {
      const std::size_t open = std::min(text.find('(', i), text.size());
      const std::string closing = ")" + text.substr(i + 2, open - i - 2) + "\"";
      const std::size_t close = text.find(closing, open);
      end = close == std::string::npos ? text.size() : close + closing.size();
      blank(i, end);
    } else if (text[i] == '"') {
      while (end < text.size() && text[end] != '"' && text[end] != '\n') {
        end += text[end] == '\\' ? 2U : 1U;
      }
      blank(i + 1, end);
      ++end;
    } else if (text.compare(i, 3, "'\"'") == 0) {
      end = i + 3;  // a quote that opens no literal
    }
    i = end;
  }
  return out;
}

std::optional<Include> parse_include(const std::string& line, std::size_t number) {
  std::size_t at = line.find_first_not_of(" \t");
  if (at == std::string::npos || line[at] != '#') return std::nullopt;
  at = line.find_first_not_of(" \t", at + 1);
  if (at == std::string::npos || line.compare(at, 7, "include") != 0) return std::nullopt;
  const std::size_t open = line.find_first_of("<\"", at + 7);
  if (open == std::string::npos) return std::nullopt;
  const bool angled = line[open] == '<';
  const std::size_t close = line.find(angled ? '>' : '"', open + 1);
  if (close == std::string::npos) return std::nullopt;
  return Include{number, line.substr(open + 1, close - open - 1), angled};
}

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

SourceFile read_source(const fs::path& root, const std::string& path) {
  SourceFile file{path, room_of(path), {}, {}};
  std::ifstream stream(root / path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(stream)), {});
  const std::vector<std::string> lines = split_lines(text);
  file.code = split_lines(without_comments_and_literals(text));
  for (std::size_t i = 0; i < file.code.size(); ++i) {
    // The directive has to be code; its quoted name is blank there, so it is read from the text.
    if (file.code[i].find('#') == std::string::npos) continue;
    if (auto include = parse_include(lines[i], i + 1)) file.includes.push_back(*include);
  }
  return file;
}

std::map<std::string, SourceFile> read_tree(const fs::path& root) {
  static const std::set<std::string> kExtensions = {".h", ".hpp", ".c", ".cpp"};
  std::map<std::string, SourceFile> files;
  for (const std::string_view room : kRooms) {
    if (!fs::is_directory(root / room)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / room)) {
      if (!entry.is_regular_file() || !kExtensions.contains(entry.path().extension().string())) {
        continue;
      }
      const std::string path = fs::relative(entry.path(), root).generic_string();
      files.emplace(path, read_source(root, path));
    }
  }
  return files;
}

class Checker {
 public:
  explicit Checker(std::map<std::string, SourceFile> files) : files_(std::move(files)) {}

  std::vector<IncludeViolation> run() {
    for (const auto& [path, file] : files_) {
      for (const Include& include : file.includes) check_include(file, include);
      if (is_product_room(file.room) && file.room != "wal") check_file_objects(file);
    }
    std::ranges::stable_sort(violations_, {}, [](const IncludeViolation& violation) {
      return std::pair(violation.file, violation.line);
    });
    return std::move(violations_);
  }

 private:
  void check_include(const SourceFile& file, const Include& include) {
    if (const std::optional<std::string> target = find_target(file, include)) {
      check_direction(file, include, *target);
    } else if (!include.angled && !is_owned(include.name)) {
      report(file, include.line, "\"" + include.name + "\" is no file of the tree");
    } else {
      check_owner(file, include);
    }
  }

  void check_direction(const SourceFile& file, const Include& include, const std::string& target) {
    if (!is_product_room(file.room)) return;
    const std::string& target_room = files_.at(target).room;
    if (!kMayInclude.at(file.room).contains(target_room)) {
      report(file, include.line, file.room + "/ may not include " + target);
    } else if (file.room == "net" && target_room == "wal" && !is_leaf(files_.at(target))) {
      report(file, include.line,
             "net/ may include only leaf headers of wal/, and " + target + " includes others");
    }
  }

  void check_owner(const SourceFile& file, const Include& include) {
    if (file.room == "include" && !is_standard(include.name)) {
      report(file, include.line,
             "include/ may include only standard headers, not <" + include.name + ">");
      return;
    }
    for (const Owner& owner : kOwners) {
      if (!include.name.starts_with(owner.prefix) || file.room == owner.room) continue;
      const bool everywhere_refused = owner.room == "bench";
      if (is_product_room(file.room) || everywhere_refused) {
        report(file, include.line,
               "<" + include.name + "> belongs to " + std::string(owner.room) + "/ alone");
      }
    }
  }

  void check_file_objects(const SourceFile& file) {
    for (std::size_t i = 0; i < file.code.size(); ++i) {
      for (const std::string_view name : kFileObjectNames) {
        if (contains_word(file.code[i], name)) {
          report(file, i + 1, std::string(name) + " belongs to wal/ alone");
        }
      }
    }
  }

  // Where the preprocessor finds it: beside the file, from the root, in include/.
  std::optional<std::string> find_target(const SourceFile& file, const Include& include) const {
    const fs::path beside = fs::path(file.path).parent_path() / include.name;
    for (const fs::path& candidate :
         {beside, fs::path(include.name), fs::path("include") / include.name}) {
      const std::string path = candidate.lexically_normal().generic_string();
      if (files_.contains(path)) return path;
    }
    return std::nullopt;
  }

  bool is_leaf(const SourceFile& header) const {
    return std::ranges::all_of(header.includes, [&](const Include& include) {
      const auto target = find_target(header, include);
      return !target || *target == kByteOrder || files_.at(*target).room != "wal";
    });
  }

  static bool is_owned(const std::string& name) {
    return std::ranges::any_of(kOwners,
                               [&](const Owner& owner) { return name.starts_with(owner.prefix); });
  }

  static bool is_standard(const std::string& name) {
    return name.find_first_of("./") == std::string::npos || kStandardCHeaders.contains(name);
  }

  static bool contains_word(const std::string& line, std::string_view word) {
    const auto is_part = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    };
    for (std::size_t at = line.find(word); at != std::string::npos; at = line.find(word, at + 1)) {
      const std::size_t end = at + word.size();
      const bool starts = at == 0 || !is_part(line[at - 1]);
      if (starts && (end == line.size() || !is_part(line[end]))) return true;
    }
    return false;
  }

  void report(const SourceFile& file, std::size_t line, std::string message) {
    violations_.push_back({file.path, line, std::move(message)});
  }

  std::map<std::string, SourceFile> files_;
  std::vector<IncludeViolation> violations_;
};

}  // namespace

std::vector<IncludeViolation> check_includes(const fs::path& root) {
  return Checker(read_tree(root)).run();
}

}  // namespace walferry::tests
