// SPDX-License-Identifier: Apache-2.0
#include "simulator/throttle.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "simulator/policies.h"

namespace vmmi::simulator::test {
namespace {

TEST(SimulatedThrottle, BeginsWithTheSecondPeriodThatDirtiesMoreThanHalf) {
    Throttle throttle(AutoConverge{.initial = 20, .increment = 10, .maximum = 35});
    throttle.end_period(51, 100);
    EXPECT_EQ(throttle.percent(), 0);
    throttle.end_period(50, 100);
    EXPECT_EQ(throttle.percent(), 0) << "a quiet period neither counts nor starts anew";
    throttle.end_period(51, 100);
    EXPECT_EQ(throttle.percent(), 20);
    EXPECT_DOUBLE_EQ(throttle.share(), 0.8);
    for (int i = 0; i < 2; ++i) throttle.end_period(99, 100);
    EXPECT_EQ(throttle.percent(), 30);
    for (int i = 0; i < 6; ++i) throttle.end_period(99, 100);
    EXPECT_EQ(throttle.percent(), 35) << "not beyond the maximum";
}

TEST(SimulatedThrottle, IsOffWithoutAutoConverge) {
    Throttle throttle(std::nullopt);
    for (int i = 0; i < 9; ++i) throttle.end_period(99, 100);
    EXPECT_EQ(throttle.percent(), 0);
}

TEST(SimulatedThrottle, MakesABusyGuestConvergeAndCostsItWork) {
    Scenario scenario = plain({{.size = mebibytes(1024), .dirty_rate = mebibytes_per_second(200)}});
    scenario.patience = std::chrono::minutes(20);
    EXPECT_EQ(run(scenario).ending, Report::Ending::unfinished);
    scenario.features.auto_converge.emplace();
    const Report r = run(scenario);
    EXPECT_EQ(r.ending, Report::Ending::completed);
    // 200·(1 − t) has to be less than 100 before passes shrink.
    EXPECT_GE(r.highest_throttle_percent, 50);
    EXPECT_EQ(r.samples.back().throttle_percent, r.highest_throttle_percent);
    EXPECT_FALSE(r.samples.front().throttle_percent);
    EXPECT_GT(r.work_lost.throttled, 5_s);
    EXPECT_LT(r.work_lost.throttled, r.total_time);
}

TEST(SimulatedThrottle, TakesFirstWhatTheGuestLeavesIdle) {
    Scenario scenario = plain({{.size = mebibytes(1024), .dirty_rate = mebibytes_per_second(200)}});
    scenario.features.auto_converge = {.initial = 40, .increment = 1, .maximum = 40};
    scenario.patience = std::chrono::minutes(5);
    EXPECT_GT(run(scenario).work_lost.throttled, 60_s);
    scenario.utilization = 0.5;
    EXPECT_EQ(run(scenario).work_lost.throttled, 0_s);
}

TEST(SimulatedThrottle, RisesInALongPassToo) {
    // A pass takes 80 s: without the look every five seconds, throttling would begin after the third.
    Scenario scenario = plain({{.size = mebibytes(4000), .dirty_rate = mebibytes_per_second(400)}});
    scenario.link.bandwidth = mebibytes_per_second(50);
    scenario.features.auto_converge.emplace();
    const Report r = run(scenario);
    EXPECT_EQ(r.ending, Report::Ending::completed);
    const auto first = std::ranges::find_if(r.samples, [](const Sample& s) { return s.throttle_percent.has_value(); });
    ASSERT_NE(first, r.samples.end());
    EXPECT_LT(first->elapsed, 82_s + 15_s);
}

}  // namespace
}  // namespace vmmi::simulator::test
