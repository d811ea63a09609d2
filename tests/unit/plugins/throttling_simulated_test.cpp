// SPDX-License-Identifier: Apache-2.0
// `converge-by-throttling` in closed loops.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "simulator/promises.h"
#include "throttling.h"

namespace vmmi::simulator::test {
namespace {

using Order = WorkingSet::Order;

Report throttling_on(const Scenario& scenario, const Object& given = {}) {
    return simulate(throttling::plugin(), given, scenario).value();
}

/// What a user gets who starts a migration with auto-converge and lets it go.
Report unattended(const Scenario& scenario) {
    MigrationRequest request;
    request.auto_converge.emplace();
    return run(scenario, request);
}

Milliseconds lost(const Report& report) {
    return report.work_lost.throttled + report.work_lost.paused;
}

/// A guest of 192 MiB that rewrites 64 MiB, over 400 Mbit/s.
Scenario furious(std::uint64_t mebibytes_a_second, Order order = Order::sequential) {
    Scenario scenario;
    scenario.guest.memory = mebibytes(192);
    scenario.zero_pages = mebibytes(64);
    scenario.working_sets = {
        {.size = mebibytes(64), .dirty_rate = mebibytes_per_second(mebibytes_a_second), .order = order}};
    scenario.link.bandwidth = BytesPerSecond{47'500'000};
    return scenario;
}

TEST(ThrottlingSimulated, LeavesAnIdleGuestAlone) {
    const Report report = throttling_on(plain());
    EXPECT_EQ(report.ending, Report::Ending::completed);
    EXPECT_TRUE(report.actions.empty());
    EXPECT_EQ(report.work_lost.throttled, 0_ms);
}

TEST(ThrottlingSimulated, IsFasterAndCostsLessThanAutoConvergeAlone) {
    for (const Order order : {Order::sequential, Order::random}) {
        const Report ours = throttling_on(furious(100, order));
        const Report alone = unattended(furious(100, order));
        ASSERT_EQ(ours.ending, Report::Ending::completed);
        ASSERT_EQ(alone.ending, Report::Ending::completed);
        EXPECT_LT(2 * lost(ours), lost(alone));
        EXPECT_LT(3 * ours.total_time, 2 * alone.total_time);
        EXPECT_LE(ours.highest_throttle_percent, 80);
        EXPECT_LE(ours.downtime, 700_ms);
    }
}

TEST(ThrottlingSimulated, PausesInsteadOfThrottlingWherePausesAreAllowed) {
    const Report report = throttling_on(furious(100), {{"downtime", Object{{"maximumMs", 3'000}}}});
    EXPECT_EQ(report.ending, Report::Ending::completed);
    EXPECT_LT(report.work_lost.throttled, 200_ms);
    EXPECT_LT(report.downtime, 1'600_ms);
}

TEST(ThrottlingSimulated, EndsAsConfiguredWhereTheGuestWritesAllOfItsWorkingSetNevertheless) {
    const auto when = [](const char* action) {
        return throttling_on(furious(1000),
                             {{"whenThrottlingFails", action}, {"ceiling", Object{{"secondsPerGiB", 60}}}});
    };
    const Report aborted = when("abort");
    EXPECT_EQ(aborted.cause, "aborted-by-policy");
    EXPECT_LT(lost(aborted), 4'000_ms);
    EXPECT_LT(aborted.total_time, 15'000_ms);
    const Report paused = when("pause");
    EXPECT_EQ(paused.ending, Report::Ending::completed);
    EXPECT_LT(paused.downtime, 2'000_ms);
    EXPECT_LE(paused.highest_throttle_percent, 80);
    const Report went_on = when("continue");
    ASSERT_FALSE(went_on.actions.empty());
    EXPECT_TRUE(std::ranges::any_of(
        went_on.actions, [](const ActionTaken& taken) { return std::holds_alternative<Wait>(taken.action.what); }));
    EXPECT_GT(went_on.total_time, aborted.total_time);
}

TEST(ThrottlingSimulated, BoundsThePauseWhereTheLinkFails) {
    Scenario scenario = furious(1000);
    scenario.link.bandwidth = {{0_s, mebibytes_per_second(45)}, {8_s, mebibytes_per_second(1)}};
    const Report report = throttling_on(scenario, {{"whenThrottlingFails", "pause"}});
    EXPECT_NE(report.ending, Report::Ending::unfinished);
    EXPECT_LE(report.work_lost.paused, 7'000_ms);
}

TEST(ThrottlingSimulated, KeepsTheMaximumOfAUserWhoSetTheSteps) {
    const Report report =
        throttling_on(furious(1000), {{"throttle", Object{{"maximumPercent", 50}}},
                                      {"autoConverge", Object{{"initialPercent", 10}, {"incrementPercent", 15}}}});
    EXPECT_EQ(report.cause, "aborted-by-policy");
    EXPECT_EQ(report.highest_throttle_percent, 40) << "the next would be 55";
}

TEST(ThrottlingSimulated, KeepsTheMaximumWherePassesAreLong) {
    // QEMU looks every 5 s, and takes a step with every other look; a pass takes 18 s.
    const Report report = throttling_on(
        plain({{.size = mebibytes(1800), .dirty_rate = mebibytes_per_second(4000), .order = Order::sequential}}),
        {{"throttle", Object{{"maximumPercent", 50}}},
         {"autoConverge", Object{{"initialPercent", 10}, {"incrementPercent", 15}}}});
    EXPECT_EQ(report.cause, "aborted-by-policy");
    EXPECT_EQ(report.highest_throttle_percent, 40) << "the next would be 55";
}

/// That the policy saw.
int passes_above(const Report& report, int throttle) {
    int count = 0;
    int last = 0;
    for (const Sample& sample : report.samples) {
        if (sample.throttle_percent.value_or(0) <= throttle || sample.iteration == last) continue;
        ++count;
        last = sample.iteration;
    }
    return count;
}

RC_GTEST_PROP(ThrottlingSimulatedProperty, KeepsItsPromises, ()) {
    const int initial = *rc::gen::inRange(1, 2000);
    const int longest = initial + *rc::gen::inRange(0, 3000);
    const int seconds_per_gib = *rc::gen::inRange(1, 60);
    const int throttle = *rc::gen::inRange(1, 100);
    const std::string when = *rc::gen::element<std::string>("abort", "continue", "pause");
    const Scenario scenario = any_scenario();
    const Report report = throttling_on(scenario, {{"downtime", Object{{"initialMs", initial}, {"maximumMs", longest}}},
                                                   {"throttle", Object{{"maximumPercent", throttle}}},
                                                   {"whenThrottlingFails", when},
                                                   {"ceiling", Object{{"secondsPerGiB", seconds_per_gib}}}});
    const double ceiling = 1000 * seconds_per_gib * std::max(1.0, in_gibibytes(scenario.guest.memory));
    const std::vector<std::string> mistakes = broken(
        report,
        {.highest_downtime_limit = Milliseconds(longest), .ceiling = Milliseconds(static_cast<std::int64_t>(ceiling))});
    RC_ASSERT(mistakes == std::vector<std::string>());
    const bool calls_work = scenario.faults.empty() || scenario.faults[0].kind != Fault::Kind::calls_fail;
    if (when == "continue" || !calls_work) return;
    // Where the rest fits the limit, QEMU is left to it, and may take one more step before it switches over. Where it
    // does not after all, that ends it.
    RC_ASSERT(report.highest_throttle_percent <= throttling::steps_to(throttle, {}, {}).after(throttle));
    RC_ASSERT(report.ending == Report::Ending::completed || passes_above(report, throttle) <= 1);
}

}  // namespace
}  // namespace vmmi::simulator::test
