#include "engine/write_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace walferry::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Clock = WriteQueue::Clock;

/// Writes down who was called, and keeps the ticket of the last.
struct Visitors {
  std::vector<std::string> events;
  WriteTicket ticket;

  WriteQueue::Callback visitor(const std::string& name) {
    return [this, name](SqlResult<WriteTicket> result) {
      if (result) {
        events.push_back(name);
        ticket = std::move(*result);
      } else {
        events.push_back(name + " " + result.error().code);
      }
    };
  }
};

Clock::time_point at(int seconds) { return Clock::time_point(std::chrono::seconds(seconds)); }

TEST(WriteQueue, GivesTheFirstItsTicketAtOnce) {
  WriteQueue queue;
  Visitors visitors;
  queue.acquire(visitors.visitor("a"));
  EXPECT_THAT(visitors.events, ElementsAre("a"));
  EXPECT_TRUE(visitors.ticket.valid());
}

TEST(WriteQueue, ServesInTheOrderOfAsking) {
  WriteQueue queue;
  Visitors first;
  Visitors others;
  queue.acquire(first.visitor("a"));
  for (const char* name : {"b", "c", "d"}) {
    queue.acquire([&, name](SqlResult<WriteTicket>) { others.events.emplace_back(name); });
  }
  EXPECT_THAT(others.events, IsEmpty());
  first.ticket.release();
  EXPECT_THAT(others.events, ElementsAre("b", "c", "d"));
  EXPECT_EQ(queue.waiting(), 0u);
}

TEST(WriteQueue, HoldsTheNextUntilTheTicketGoes) {
  WriteQueue queue;
  Visitors a;
  Visitors b;
  queue.acquire(a.visitor("a"));
  queue.acquire(b.visitor("b"));
  EXPECT_THAT(b.events, IsEmpty());
  a.ticket = WriteTicket();
  EXPECT_THAT(b.events, ElementsAre("b"));
  EXPECT_FALSE(a.ticket.valid());
}

TEST(WriteQueue, AskedForWithinACallbackWaitsItsTurn) {
  WriteQueue queue;
  Visitors visitors;
  queue.acquire([&](SqlResult<WriteTicket> ticket) {
    queue.acquire(visitors.visitor("inner"));
    visitors.events.emplace_back("outer");
    ticket->release();
  });
  EXPECT_THAT(visitors.events, ElementsAre("outer", "inner"));
}

TEST(WriteQueue, DoesNotNestManyShortWriters) {
  WriteQueue queue;
  Visitors first;
  queue.acquire(first.visitor("a"));
  int served = 0;
  for (int i = 0; i < 200'000; ++i) queue.acquire([&](SqlResult<WriteTicket>) { ++served; });
  first.ticket.release();
  EXPECT_EQ(served, 200'000);
}

TEST(WriteQueue, ForgetsACancelledWait) {
  WriteQueue queue;
  Visitors a;
  Visitors b;
  const auto first = queue.acquire(a.visitor("a"));
  const auto second = queue.acquire(b.visitor("b"));
  EXPECT_TRUE(queue.cancel(second));
  EXPECT_FALSE(queue.cancel(second));
  EXPECT_FALSE(queue.cancel(first));
  a.ticket.release();
  EXPECT_THAT(b.events, IsEmpty());
}

TEST(WriteQueue, TellsBusyToThoseWhoseTimeIsUp) {
  WriteQueue queue;
  Visitors holder;
  Visitors others;
  queue.acquire(holder.visitor("a"));
  queue.acquire(others.visitor("late"), at(10));
  queue.acquire(others.visitor("patient"), at(20));
  EXPECT_EQ(queue.next_deadline(), at(10));
  queue.expire(at(9));
  EXPECT_THAT(others.events, IsEmpty());
  queue.expire(at(10));
  EXPECT_THAT(others.events, ElementsAre("late SQLITE_BUSY"));
  EXPECT_EQ(queue.next_deadline(), at(20));
  holder.ticket.release();
  EXPECT_THAT(others.events, ElementsAre("late SQLITE_BUSY", "patient"));
  EXPECT_EQ(queue.next_deadline(), std::nullopt);
}

TEST(WriteQueue, EndsAllWaitsWhenItCloses) {
  auto queue = std::make_unique<WriteQueue>();
  Visitors holder;
  Visitors other;
  queue->acquire(holder.visitor("a"));
  queue->acquire(other.visitor("b"));
  queue->close();
  queue->acquire(other.visitor("c"));
  EXPECT_THAT(other.events, ElementsAre("b SQLITE_BUSY", "c SQLITE_BUSY"));
  queue.reset();
  holder.ticket.release();  // outlives its queue
}

TEST(WriteQueue, LetsOneThreadWriteAtATime) {
  WriteQueue queue;
  std::atomic<int> inside = 0;
  std::atomic<int> served = 0;
  std::atomic<bool> overlapped = false;
  const auto writer = [&] {
    for (int i = 0; i < 2'000; ++i) {
      queue.acquire([&](SqlResult<WriteTicket> ticket) {
        if (inside.fetch_add(1) != 0) overlapped = true;
        inside.fetch_sub(1);
        served.fetch_add(1);
        ticket->release();
      });
    }
  };
  {
    std::jthread a(writer);
    std::jthread b(writer);
    std::jthread c(writer);
  }
  EXPECT_FALSE(overlapped);
  EXPECT_EQ(served, 6'000);
}

}  // namespace
}  // namespace walferry::engine
