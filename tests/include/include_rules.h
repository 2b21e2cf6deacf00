/// Checks that rooms include each other only in the directions of docs/architecture.md, and that
/// each third-party library is used by its owner alone.
///
/// Works on text: comments and string literals are left out, conditional compilation is not
/// evaluated (an include that is compiled sometimes is an include).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace walferry::tests {

struct IncludeViolation {
  std::string file;  ///< relative to the root of the tree
  std::size_t line = 0;
  std::string message;
};

/// Every violation in the rooms below `root`, ordered by file and line.
std::vector<IncludeViolation> check_includes(const std::filesystem::path& root);

}  // namespace walferry::tests
