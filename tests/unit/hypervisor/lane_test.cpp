// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/lane.h"

#include <gtest/gtest.h>

#include <latch>
#include <vector>

namespace vmmi::hypervisor {
namespace {

using namespace std::chrono_literals;

TEST(Lane, RunsTasksInTheirOrderOnOneOtherThread) {
    std::vector<int> order;
    std::vector<std::thread::id> threads;
    Lane lane;
    for (int i = 0; i < 100; ++i) {
        lane.submit([&, i] {
            order.push_back(i);
            threads.push_back(std::this_thread::get_id());
        });
    }
    ASSERT_TRUE(lane.idle_within(10s));
    for (std::size_t i = 0; i < order.size(); ++i) {
        EXPECT_EQ(order[i], static_cast<int>(i));
        EXPECT_EQ(threads[i], threads[0]);
    }
    EXPECT_EQ(order.size(), 100U);
    EXPECT_NE(threads[0], std::this_thread::get_id());
}

TEST(Lane, IsNotIdleWhileATaskHangs) {
    std::latch release(1);
    Lane lane;
    lane.submit([&] { release.wait(); });
    EXPECT_FALSE(lane.idle_within(0ms));
    EXPECT_FALSE(lane.idle_within(1ms));
    release.count_down();
    EXPECT_TRUE(lane.idle_within(10s));
}

TEST(Lane, TakesTasksFromItsOwnTasks) {
    bool ran = false;
    Lane lane;
    lane.submit([&] { lane.submit([&] { ran = true; }); });
    EXPECT_TRUE(lane.idle_within(10s));
    EXPECT_TRUE(ran);
}

TEST(Lane, DoesWhatWasSubmittedBeforeItEnds) {
    int done = 0;
    {
        Lane lane;
        for (int i = 0; i < 10; ++i) lane.submit([&] { ++done; });
    }
    EXPECT_EQ(done, 10);
}

}  // namespace
}  // namespace vmmi::hypervisor
