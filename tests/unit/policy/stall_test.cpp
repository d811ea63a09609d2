// SPDX-License-Identifier: Apache-2.0
#include "vmmi/stall.h"

#include <gtest/gtest.h>

namespace vmmi {
namespace {

constexpr Milliseconds operator""_s(unsigned long long seconds) {
    return Milliseconds(1000 * static_cast<std::int64_t>(seconds));
}

TEST(StallRule, SeesAPlateauAfterItsPatience) {
    StallRule rule;
    rule.boundary(mebibytes(1000), 0_s);
    rule.boundary(mebibytes(990), 40_s);
    EXPECT_FALSE(rule.stalled());
    rule.boundary(mebibytes(970), 41_s);
    EXPECT_TRUE(rule.stalled());
    EXPECT_EQ(rule.since_progress(), 41_s);
}

TEST(StallRule, CountsManySmallStepsAsProgress) {
    StallRule rule;
    std::uint64_t left = 100'000;
    for (unsigned int i = 0; i < 100; ++i, left = left * 98 / 100) {
        rule.boundary(mebibytes(left), Milliseconds(10'000 * i));
        EXPECT_FALSE(rule.stalled()) << "pass " << i;
    }
}

TEST(StallRule, EndsWithTheFirstPassThatIsLower) {
    StallRule rule;
    rule.boundary(mebibytes(1000), 0_s);
    rule.boundary(mebibytes(1200), 50_s);
    EXPECT_TRUE(rule.stalled());
    rule.boundary(mebibytes(950), 60_s);
    EXPECT_FALSE(rule.stalled());
    EXPECT_EQ(rule.lowest(), mebibytes(950));
}

TEST(StallRule, BeginsAnewAfterAnOutage) {
    StallRule rule;
    rule.boundary(mebibytes(400), 0_s);
    rule.boundary(mebibytes(1200), 100_s, 60_s);
    EXPECT_FALSE(rule.stalled());
    rule.boundary(mebibytes(1200), 141_s, 60_s);
    EXPECT_TRUE(rule.stalled());
}

TEST(StallRule, IsNotStalledForAnIdleGuestsFewPages) {
    StallRule rule;
    rule.boundary(Bytes{}, 0_s);
    rule.boundary(Bytes{}, 10_s);
    EXPECT_FALSE(rule.stalled());
}

}  // namespace
}  // namespace vmmi
