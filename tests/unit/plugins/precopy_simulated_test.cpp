// SPDX-License-Identifier: Apache-2.0
// `precopy` in closed loops.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "precopy.h"
#include "simulator/promises.h"

namespace vmmi::simulator::test {
namespace {

constexpr auto endless = 0;

Object configuration(int initial, int maximum, int steps = 5, int seconds_per_gib = 150) {
    return {{"downtime", Object{{"initialMs", initial}, {"maximumMs", maximum}, {"steps", steps}}},
            {"ceiling", Object{{"secondsPerGiB", seconds_per_gib}}}};
}

Report precopy_on(const Scenario& scenario, const Object& given) {
    return simulate(precopy::plugin(), given, scenario).value();
}

std::vector<std::int64_t> limits_set(const Report& report) {
    std::vector<std::int64_t> limits;
    for (const ActionTaken& taken : report.actions)
        if (const auto* set = std::get_if<SetDowntimeLimit>(&taken.action.what)) limits.push_back(set->limit.count());
    return limits;
}

/// Each pass finds 100 MiB, whatever happens: at 100 MiB/s they need a pause of a second.
Scenario needs_a_second() {
    return plain(
        {{.size = mebibytes(100), .dirty_rate = mebibytes_per_second(2000), .order = WorkingSet::Order::sequential}});
}

TEST(PrecopySimulated, ChangesNothingForAnIdleGuest) {
    const Report report = precopy_on(plain(), configuration(100, 500));
    EXPECT_EQ(report.ending, Report::Ending::completed);
    EXPECT_TRUE(report.actions.empty());
}

TEST(PrecopySimulated, RaisesTheLimitToTheFirstStepThatSuffices) {
    // Steps of a factor of 2: 100, 200, 400, 800, 1600, 3200 ms.
    const Report report = precopy_on(needs_a_second(), configuration(100, 3200));
    EXPECT_EQ(report.ending, Report::Ending::completed);
    EXPECT_EQ(limits_set(report), (std::vector<std::int64_t>{200, 400, 800, 1600}));
    EXPECT_EQ(report.highest_downtime_limit, 1600_ms);
    EXPECT_NEAR(seconds(report.downtime.value()), 1.03, 0.03) << "the pause is what the rest takes, not the limit";
}

TEST(PrecopySimulated, OrdersALimitAgainThatWasRefused) {
    Scenario scenario = needs_a_second();
    scenario.faults = {{.kind = Fault::Kind::calls_fail, .at = 30_s, .lasting = 30_s}};
    const Report report = precopy_on(scenario, configuration(100, 1600, 1));
    EXPECT_EQ(report.ending, Report::Ending::completed) << "the one raise that there is came too early";
    EXPECT_LT(report.total_time, 100_s);
}

TEST(PrecopySimulated, EndsAtTheCeilingWhereTheMaximumIsTooLittle) {
    const Report report = precopy_on(needs_a_second(), configuration(100, 900));
    EXPECT_EQ(report.ending, Report::Ending::aborted);
    EXPECT_EQ(report.cause, "aborted-by-policy");
    EXPECT_EQ(report.highest_downtime_limit, 900_ms);
    EXPECT_GE(report.total_time, 4 * 150_s);
    EXPECT_LT(report.total_time, 4 * 150_s + 2_s);
}

TEST(PrecopySimulated, GoesOnForEverWithoutACeiling) {
    Scenario scenario = needs_a_second();
    scenario.patience = std::chrono::hours(2);
    EXPECT_EQ(precopy_on(scenario, configuration(100, 900, 5, endless)).ending, Report::Ending::unfinished);
}

TEST(PrecopySimulated, SurvivesACutOfTheLink) {
    Scenario scenario = plain();
    scenario.link.bandwidth = {{0_s, mebibytes_per_second(100)}, {10_s, {}}, {200_s, mebibytes_per_second(100)}};
    const Report report = precopy_on(scenario, configuration(100, 500));
    EXPECT_EQ(report.ending, Report::Ending::completed);
    EXPECT_TRUE(report.actions.empty());
}

TEST(PrecopySimulated, MovesTheWorkloadsOfPublishedTracesThatComeToRest) {
    for (const Trace& trace : published_traces()) {
        const Report report = precopy_on(from_trace(trace), configuration(100, 500));
        const bool rests = trace.name.starts_with("mariadb") || trace.name.starts_with("build");
        EXPECT_EQ(report.ending == Report::Ending::completed, rests) << trace.name;
        const Milliseconds enough(60'000);
        EXPECT_EQ(precopy_on(from_trace(trace), configuration(100, static_cast<int>(enough.count()))).ending,
                  Report::Ending::completed)
            << trace.name;
    }
}

RC_GTEST_PROP(PrecopySimulatedProperty, KeepsItsPromises, ()) {
    const int initial = *rc::gen::inRange(1, 2000);
    const int maximum = initial + *rc::gen::inRange(0, 3000);
    const int seconds_per_gib = *rc::gen::inRange(1, 60);
    const Scenario scenario = any_scenario();
    const Report report =
        precopy_on(scenario, configuration(initial, maximum, *rc::gen::inRange(1, 20), seconds_per_gib));
    const double ceiling = 1000 * seconds_per_gib * std::max(1.0, in_gibibytes(scenario.guest.memory));
    const std::vector<std::string> mistakes = broken(
        report,
        {.highest_downtime_limit = Milliseconds(maximum), .ceiling = Milliseconds(static_cast<std::int64_t>(ceiling))});
    RC_ASSERT(mistakes == std::vector<std::string>());
}

}  // namespace
}  // namespace vmmi::simulator::test
