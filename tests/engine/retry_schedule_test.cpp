#include "engine/retry_schedule.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/fault/engine_harness.h"

namespace walferry::engine {
namespace {

using std::chrono::milliseconds;

TEST(RetrySchedule, DoublesUpToTheLongestAndStaysWithinHalfOfIt) {
  std::mt19937_64 random(test::test_seed());
  RetrySchedule schedule(milliseconds(100), milliseconds(30'000));
  for (int life = 0; life < 50; ++life) {
    milliseconds step(100);
    for (int i = 0; i < 20; ++i) {
      const milliseconds pause = schedule.next(random());
      EXPECT_GE(pause, step / 2);
      EXPECT_LE(pause, step);
      step = std::min(step * 2, milliseconds(30'000));
    }
    schedule.succeed();
  }
}

TEST(RetrySchedule, ReachesBothEndsOfAStep) {
  for (const std::uint64_t random : {std::uint64_t{0}, std::uint64_t{50}, std::uint64_t{51}}) {
    RetrySchedule schedule(milliseconds(100), milliseconds(1'000));
    EXPECT_EQ(schedule.next(random), milliseconds(random == 50 ? 100 : 50));
  }
}

TEST(RetrySchedule, TakesAnyBounds) {
  RetrySchedule none(milliseconds(0), milliseconds(0));
  RetrySchedule reversed(milliseconds(500), milliseconds(10));
  RetrySchedule shortest(milliseconds(1), milliseconds(1));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(none.next(UINT64_MAX), milliseconds(0));
    EXPECT_EQ(reversed.next(0), milliseconds(250));
    EXPECT_LE(shortest.next(UINT64_MAX), milliseconds(1));
  }
}

TEST(RetrySchedule, DifferentFollowersComeBackAtDifferentTimes) {
  std::mt19937_64 random(test::test_seed());
  std::set<milliseconds> pauses;
  for (int i = 0; i < 200; ++i) {
    RetrySchedule schedule(milliseconds(1'000), milliseconds(30'000));
    pauses.insert(schedule.next(random()));
  }
  EXPECT_GT(pauses.size(), 100u);
}

}  // namespace
}  // namespace walferry::engine
