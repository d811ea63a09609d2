// SPDX-License-Identifier: Apache-2.0
#include "vmmi/memory_ceiling.h"

#include <gtest/gtest.h>

#include "vmmi/downtime_limits.h"

namespace vmmi::policy::test {
namespace {

using Reaction = MemoryCeiling::Reaction;

Guest of_gibibytes(std::uint64_t gibibytes) {
    Guest guest;
    guest.memory = mebibytes(1024 * gibibytes);
    return guest;
}

Sample late() {
    Sample sample;
    sample.iteration = 7;
    sample.remaining = mebibytes(400);
    sample.dirty_rate = {1'000'000};
    return sample;
}

std::optional<Action> decide(MemoryCeiling ceiling, int seconds, std::uint64_t gibibytes = 2) {
    ceiling.plan(of_gibibytes(gibibytes));
    return ceiling.decide(late(), std::chrono::seconds(seconds));
}

TEST(MemoryCeiling, GrowsWithTheGuestAndIsNeverLessThanForOneGibibyte) {
    const MemoryCeiling ceiling(10, Reaction::abort);
    EXPECT_FALSE(decide(ceiling, 19));
    EXPECT_TRUE(decide(ceiling, 20));
    EXPECT_FALSE(decide(ceiling, 9, 0));
    EXPECT_TRUE(decide(ceiling, 10, 0));
    EXPECT_FALSE(decide(MemoryCeiling(0, Reaction::abort), 1'000'000)) << "without end";
}

TEST(MemoryCeiling, AbortsOrGoesOnAndSaysSoOnce) {
    MemoryCeiling patient(10, Reaction::keep_going);
    patient.plan(of_gibibytes(1));
    const std::optional<Action> told = patient.decide(late(), std::chrono::seconds(11));
    ASSERT_TRUE(told);
    EXPECT_TRUE(std::holds_alternative<Wait>(told->what));
    EXPECT_EQ(told->reason,
              "11 s passed, the ceiling for this guest; 400 MiB are left in pass 7, dirtied at 8 Mb/s; configured to "
              "continue");
    EXPECT_FALSE(patient.decide(late(), std::chrono::seconds(12)));
    const std::optional<Action> abort = decide(MemoryCeiling(10, Reaction::abort), 20);
    ASSERT_TRUE(abort);
    EXPECT_TRUE(std::holds_alternative<AbortMigration>(abort->what));
    EXPECT_EQ(abort->reason.find("continue"), std::string::npos);
}

TEST(MemoryCeiling, TellsTheThrottleWhereThereIsOne) {
    Sample throttled = late();
    throttled.throttle_percent = 30;
    MemoryCeiling ceiling(1, Reaction::abort);
    ceiling.plan(of_gibibytes(1));
    EXPECT_TRUE(ceiling.decide(throttled, std::chrono::seconds(2))->reason.ends_with("under a throttle of 30 %"));
}

Settings given(const Object& values) {
    return apply_keys({downtime_limits_key(), memory_ceiling_key()}, values, "configuration").value();
}

TEST(MemoryCeiling, IsWhatItsKeysSay) {
    const auto made = [](const Object& keys) { return MemoryCeiling(given({{"ceiling", keys}})); };
    EXPECT_FALSE(decide(made({}), 299));
    EXPECT_TRUE(std::holds_alternative<AbortMigration>(decide(made({}), 300)->what));
    const Object patient{{"secondsPerGiB", 5}, {"action", "continue"}};
    EXPECT_TRUE(std::holds_alternative<Wait>(decide(made(patient), 10)->what));
}

TEST(DowntimeLimits, AreWhatTheirKeysSay) {
    EXPECT_EQ(downtime_limits_from(given({})).value(), (DowntimeLimits{Milliseconds(100), Milliseconds(500)}));
    const Object equal{{"initialMs", 7}, {"maximumMs", 7}};
    EXPECT_EQ(downtime_limits_from(given({{"downtime", equal}})).value().maximum, Milliseconds(7));
    const auto crossed = downtime_limits_from(given({{"downtime", Object{{"maximumMs", 99}}}}));
    ASSERT_FALSE(crossed);
    EXPECT_EQ(crossed.error().code, ErrorCode::malformed_configuration);
    EXPECT_NE(crossed.error().details.find("downtime.initialMs: 100 is above maximumMs, 99"), std::string::npos);
}

TEST(DowntimeLimits, HaveKeysOfThePolicyBesideTheirOwn) {
    const Key key = downtime_limits_key({integer_key("steps", 5, {1, 100}, "raises")});
    ASSERT_EQ(key.children.size(), 3U);
    EXPECT_EQ(key.children.back().name, "steps");
}

}  // namespace
}  // namespace vmmi::policy::test
