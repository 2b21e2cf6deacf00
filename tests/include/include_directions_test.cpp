// The first test is the rule for this tree; the others show, on small trees, that it can fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/include/include_rules.h"

namespace walferry::tests {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> to_texts(const std::vector<IncludeViolation>& violations) {
  std::vector<std::string> texts;
  for (const auto& [file, line, message] : violations) {
    texts.push_back(file + ":" + std::to_string(line) + ": " + message);
  }
  return texts;
}

// A source tree that lives as long as the test.
class IncludeRules : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "include-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  [[nodiscard]] std::vector<std::string> check() const { return to_texts(check_includes(root_)); }

 private:
  std::filesystem::path root_;
};

TEST(IncludeDirections, HoldInThisTree) {
  EXPECT_THAT(to_texts(check_includes(WALFERRY_SOURCE_DIR)), IsEmpty());
}

TEST_F(IncludeRules, AcceptTheAllowedDirections) {
  write("include/walferry/error.hpp", "#include <expected>\n#include <stdint.h>\n");
  write("include/walferry/tools.hpp", "#include \"walferry/error.hpp\"\n");
  write("wal/byte_order.h", "#include <bit>\n");
  write("wal/frame.h", "#include \"wal/byte_order.h\"\n#include \"walferry/error.hpp\"\n");
  write("wal/capture.cpp", "#include <zstd.h>\n#include \"wal/frame.h\"\nsqlite3_file* f;\n");
  write("net/server.cpp", "#include <boost/beast.hpp>\n#include \"wal/frame.h\"\n");
  write("engine/primary.cpp", "#include \"net/a.h\"\n#include \"wal/frame.h\"\n");
  write("net/a.h", "");
  write("engine/daemon/main.cpp", "#include <CLI/CLI.hpp>\n#include \"walferry/tools.hpp\"\n");
  write("tests/all_test.cpp", "#include <curl/curl.h>\n#include \"wal/frame.h\"\nsqlite3_file* f;");
  EXPECT_THAT(check(), IsEmpty());
}

TEST_F(IncludeRules, RefuseADirectionBackwards) {
  write("wal/frame.h", "\n#include \"engine/primary.h\"\n");
  write("engine/primary.h", "#include \"engine/daemon/log.h\"\n");
  write("engine/daemon/log.h", "#  include \"../primary.h\"\n");
  write("net/a.h", "#include \"tests/helper.h\"\n");
  write("tests/helper.h", "");
  EXPECT_THAT(check(), ElementsAre("engine/daemon/log.h:1: engine/daemon/ may not include "
                                   "engine/primary.h",
                                   "engine/primary.h:1: engine/ may not include "
                                   "engine/daemon/log.h",
                                   "net/a.h:1: net/ may not include tests/helper.h",
                                   "wal/frame.h:2: wal/ may not include engine/primary.h"));
}

TEST_F(IncludeRules, RefuseThePublicHeadersAnythingElse) {
  write("include/walferry/a.hpp", "#include <sqlite3.h>\n#include \"wal/frame.h\"\n");
  write("wal/frame.h", "");
  EXPECT_THAT(check(), ElementsAre("include/walferry/a.hpp:1: include/ may include only standard "
                                   "headers, not <sqlite3.h>",
                                   "include/walferry/a.hpp:2: include/ may not include "
                                   "wal/frame.h"));
}

TEST_F(IncludeRules, RefuseNetAWalHeaderThatIsNoLeaf) {
  write("wal/byte_order.h", "");
  write("wal/frame.h", "#include \"wal/byte_order.h\"\n");
  write("wal/capture.h", "#include \"wal/frame.h\"\n");
  write("net/a.cpp", "#include \"wal/frame.h\"\n#include \"wal/capture.h\"\n");
  EXPECT_THAT(check(), ElementsAre("net/a.cpp:2: net/ may include only leaf headers of wal/, and "
                                   "wal/capture.h includes others"));
}

TEST_F(IncludeRules, RefuseAThirdPartyHeaderOutsideItsRoom) {
  write("wal/a.cpp", "#include <curl/curl.h>\n");
  write("net/b.cpp", "#include <xxhash.h>\n#include \"zstd.h\"\n");
  write("engine/c.cpp", "#include <boost/asio/io_context.hpp>\n#include <spdlog/spdlog.h>\n");
  write("tests/d.cpp", "#include <benchmark/benchmark.h>\n");
  EXPECT_THAT(check(),
              ElementsAre("engine/c.cpp:1: <boost/asio/io_context.hpp> belongs to net/ alone",
                          "engine/c.cpp:2: <spdlog/spdlog.h> belongs to engine/daemon/ alone",
                          "net/b.cpp:1: <xxhash.h> belongs to wal/ alone",
                          "net/b.cpp:2: <zstd.h> belongs to wal/ alone",
                          "tests/d.cpp:1: <benchmark/benchmark.h> belongs to bench/ alone",
                          "wal/a.cpp:1: <curl/curl.h> belongs to net/ alone"));
}

TEST_F(IncludeRules, RefuseSqliteFileObjectsOutsideWal) {
  write("engine/a.cpp",
        "// sqlite3_file in a comment\n"
        "const char* s = \"sqlite3_file\";\n"
        "int my_sqlite3_file_count;\n"
        "sqlite3_file* file;\n");
  EXPECT_THAT(check(), ElementsAre("engine/a.cpp:4: sqlite3_file belongs to wal/ alone"));
}

TEST_F(IncludeRules, RefuseANameThatIsNoFile) {
  write("wal/a.cpp", "#include \"wal/gone.h\"\n");
  EXPECT_THAT(check(), ElementsAre("wal/a.cpp:1: \"wal/gone.h\" is no file of the tree"));
}

TEST_F(IncludeRules, IgnoreIncludesInComments) {
  write("wal/a.cpp", "/*\n#include <curl/curl.h>\n*/\n// #include <curl/curl.h>\n");
  EXPECT_THAT(check(), IsEmpty());
}

}  // namespace
}  // namespace walferry::tests
