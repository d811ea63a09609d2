// SPDX-License-Identifier: Apache-2.0
#include "system/inbox.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

#include "system/clock.h"

namespace vmmi::system {
namespace {

bool readable(int fd, int timeout_ms = 0) {
    pollfd ready{fd, POLLIN, 0};
    return ::poll(&ready, 1, timeout_ms) == 1;
}

TEST(Inbox, IsReadableWhileThereIsSomethingToTake) {
    Inbox inbox;
    EXPECT_FALSE(readable(inbox.fd()));
    EXPECT_TRUE(inbox.take().empty());
    inbox.post(event::Tick{});
    EXPECT_TRUE(readable(inbox.fd()));
    EXPECT_EQ(inbox.take().size(), 1U);
    EXPECT_FALSE(readable(inbox.fd()));
}

TEST(Inbox, KeepsEveryEventOfEveryThreadInItsOrder) {
    constexpr std::size_t threads = 4;
    constexpr std::size_t events = 500;
    Inbox inbox;
    {
        std::vector<std::jthread> posters;
        for (std::size_t t = 0; t < threads; ++t) {
            posters.emplace_back([&inbox, t] {
                for (std::size_t i = 0; i < events; ++i) inbox.post(event::ActionAnswered{t * events + i, {}});
            });
        }
        std::vector<std::size_t> next(threads);
        std::size_t taken = 0;
        while (taken < threads * events) {
            ASSERT_TRUE(readable(inbox.fd(), 10'000));
            for (const Event& event : inbox.take()) {
                const std::size_t index = std::get<event::ActionAnswered>(event).index;
                EXPECT_EQ(index % events, next[index / events]++);
                ++taken;
            }
        }
    }
    EXPECT_TRUE(inbox.take().empty());
}

TEST(Timestamps, NeverRunBackwards) {  // MSG-4
    Timestamps timestamps;
    std::uint64_t before = timestamps.next();
    EXPECT_GT(before, 1'600'000'000U);
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t now = timestamps.next();
        EXPECT_GE(now, before);
        before = now;
    }
}

}  // namespace
}  // namespace vmmi::system
