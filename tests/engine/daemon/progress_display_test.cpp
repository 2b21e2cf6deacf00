#include "engine/daemon/progress_display.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

namespace walferry::daemon {
namespace {

using std::chrono::seconds;

const Progress kHalf{
    .done = 50ULL << 20, .total = 100ULL << 20, .bytes_per_second = 5'242'880, .seconds_left = 10};

TEST(ProgressBar, ShowsShareRateAndTimeLeft) {
  EXPECT_EQ(progress_bar(kHalf, 120),
            "[####################....................]  50.0 %  50.0 MiB of 100.0 MiB  "
            "5.0 MiB/s  10 s left");
}

TEST(ProgressBar, StaysWithinTheTerminal) {
  for (unsigned columns = 0; columns < 150; ++columns) {
    EXPECT_LE(progress_bar(kHalf, columns).size(), columns) << columns;
  }
}

TEST(ProgressBar, BearsUnknownAndGrowingTotals) {
  EXPECT_NE(progress_bar({}, 80).find("0.0 %"), std::string::npos);
  EXPECT_NE(progress_bar({.done = 7, .total = 5}, 80).find("100.0 %"), std::string::npos);
}

// A display whose stderr is a pipe.
class ProgressLines : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe(pipe_.data()), 0); }
  void TearDown() override {
    close(pipe_[0]);
    close(pipe_[1]);
  }

  // What was written since the last call.
  std::string written() {
    // A byte of our own, so that the read never waits.
    EXPECT_EQ(write(pipe_[1], "|", 1), 1);
    std::array<char, 4096> bytes{};
    const ssize_t count = read(pipe_[0], bytes.data(), bytes.size());
    return {bytes.data(), static_cast<std::size_t>(count) - 1};
  }

  [[nodiscard]] int descriptor() const { return pipe_[1]; }

 private:
  std::array<int, 2> pipe_{};
};

TEST_F(ProgressLines, ComeEachFiveSecondsAndAtTheEnd) {
  Console console(descriptor());
  ConsoleLog log(console, {});
  ProgressDisplay display(console, log);
  const ProgressDisplay::Clock::time_point start{};
  display.update(kHalf, start);
  display.update(kHalf, start + seconds(4));
  EXPECT_EQ(written(), "");
  display.update(kHalf, start + seconds(5));
  EXPECT_NE(written().find("progress: 50.0 %  50.0 MiB of 100.0 MiB"), std::string::npos);
  display.update(kHalf, start + seconds(9));
  EXPECT_EQ(written(), "");
  display.update({.done = 10, .total = 10}, start + seconds(9));
  EXPECT_NE(written().find("progress: 100.0 %"), std::string::npos);
}

TEST_F(ProgressLines, AreLeftOutOfShortWork) {
  Console console(descriptor());
  ConsoleLog log(console, {});
  ProgressDisplay display(console, log);
  const ProgressDisplay::Clock::time_point start{};
  display.update(kHalf, start);
  display.update({.done = 10, .total = 10}, start + seconds(2));
  EXPECT_EQ(written(), "");
  // The next work counts its own five seconds.
  display.update(kHalf, start + seconds(60));
  EXPECT_EQ(written(), "");
}

}  // namespace
}  // namespace walferry::daemon
