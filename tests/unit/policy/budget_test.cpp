// SPDX-License-Identifier: Apache-2.0
#include "vmmi/budget.h"

#include <gtest/gtest.h>

namespace vmmi {
namespace {

Sample at(int milliseconds, Phase phase = Phase::precopy) {
    Sample sample;
    sample.elapsed = Milliseconds(milliseconds);
    sample.phase = phase;
    return sample;
}

TEST(Ceiling, IsSecondsForEveryGibibyteAndForAtLeastOne) {
    EXPECT_EQ(ceiling(mebibytes(4096), 150), Milliseconds(600'000));
    EXPECT_EQ(ceiling(mebibytes(1), 150), Milliseconds(150'000));
    EXPECT_EQ(ceiling(mebibytes(4096), 0), std::nullopt);
}

TEST(TimeBudget, IsSpentByTime) {
    const TimeBudget budget{.allowed = Milliseconds(10'000)};
    EXPECT_EQ(budget.left(Milliseconds(4'000), Milliseconds(3'000)), Milliseconds(6'000));
    EXPECT_FALSE(budget.spent(Milliseconds(9'999), Milliseconds(0)));
    EXPECT_TRUE(budget.spent(Milliseconds(10'000), Milliseconds(5'000)));
    EXPECT_EQ(budget.left(Milliseconds(20'000), Milliseconds(0)), Milliseconds(0));
}

TEST(TimeBudget, LeavesOutOutagesWhereAsked) {
    const TimeBudget budget{.allowed = Milliseconds(10'000), .count_outages = false};
    EXPECT_EQ(budget.left(Milliseconds(12'000), Milliseconds(5'000)), Milliseconds(3'000));
    EXPECT_TRUE(budget.spent(Milliseconds(15'000), Milliseconds(5'000)));
    // An outage may have been seen before the job's own clock tells.
    EXPECT_EQ(budget.left(Milliseconds(1'000), Milliseconds(5'000)), Milliseconds(10'000));
}

TEST(TimeBudget, HasNoEndWhereNothingIsSaid) {
    EXPECT_EQ(TimeBudget{}.left(Milliseconds::max(), Milliseconds(0)), std::nullopt);
    EXPECT_FALSE(TimeBudget{}.spent(Milliseconds::max(), Milliseconds(0)));
}

TEST(LostWork, IsTheThrottledShareOfTheTime) {
    LostWork lost;
    Sample sample = at(0);
    lost.add(sample);
    sample = at(10'000);
    sample.throttle_percent = 20;
    lost.add(sample);
    sample = at(20'000);
    sample.throttle_percent = 60;
    lost.add(sample);
    lost.add(at(25'000));
    EXPECT_EQ(lost.throttle(), Milliseconds(2'000 + 3'000));
    EXPECT_EQ(lost.total(), lost.throttle());
}

TEST(LostWork, IsAllOfThePause) {
    LostWork lost;
    lost.add(at(1'000));
    lost.add(at(2'000, Phase::switchover));
    lost.add(at(2'300, Phase::precopy));
    EXPECT_EQ(lost.pause(), Milliseconds(300));
}

TEST(LostWork, IsHalfOfAPostCopyThatRunsEvenly) {
    LostWork lost;
    for (int second = 0; second <= 100; ++second) {
        Sample sample = at(1'000 * second, Phase::postcopy);
        sample.remaining = mebibytes(static_cast<std::uint64_t>(1'000 - 10 * second));
        lost.add(sample);
    }
    EXPECT_NEAR(static_cast<double>(lost.postcopy().count()), 50'000, 1'000);
    EXPECT_EQ(LostWork::of_postcopy(Milliseconds(100'000)), Milliseconds(50'000));
}

TEST(LostWork, IsAllOfTheTimeInABrokenPostCopy) {
    LostWork lost;
    lost.add(at(0, Phase::postcopy_failed));
    lost.add(at(7'000, Phase::postcopy));
    EXPECT_EQ(lost.postcopy(), Milliseconds(7'000));
}

TEST(LostWork, IsNothingWhereTimeRunsBackwards) {
    LostWork lost;
    lost.add(at(1'000, Phase::switchover));
    lost.add(at(500, Phase::switchover));
    EXPECT_EQ(lost.total(), Milliseconds(0));
}

}  // namespace
}  // namespace vmmi
