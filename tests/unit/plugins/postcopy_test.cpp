// SPDX-License-Identifier: Apache-2.0
// `postcopy`: what it asks for at the start, and in closed loops on simulated hosts.
#include "postcopy.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "simulator/promises.h"

namespace vmmi::simulator::test {
namespace {

using Kind = Fault::Kind;

Settings settings_of(const Object& given) {
    return apply_keys(postcopy::plugin().keys, given, "configuration").value();
}

MigrationRequest planned(const Object& given, bool paused) {
    const Guest guest{.name = "g1", .uuid = "u", .memory = mebibytes(512), .paused = paused};
    return postcopy::plugin().make_policy(settings_of(given)).value()->plan(guest);
}

Report postcopy_on(const Scenario& scenario, const Object& given = {}) {
    return simulate(postcopy::plugin(), given, scenario).value();
}

Scenario busy() {
    Scenario scenario = plain({{.size = mebibytes(1024), .dirty_rate = mebibytes_per_second(400)}});
    scenario.guest.memory = mebibytes(2048);
    return scenario;
}

TEST(Postcopy, AsksForPostCopyWithItsCap) {
    const MigrationRequest request = planned({{"postcopy", Object{{"bandwidthMiBPerSecond", 50}}}}, false);
    EXPECT_TRUE(request.live && request.postcopy);
    EXPECT_EQ(request.postcopy_bandwidth, mebibytes_per_second(50));
    EXPECT_EQ(request.downtime_limit, 300_ms);
}

TEST(Postcopy, RefusesATunnel) {  // CFG-13
    const auto policy = postcopy::plugin().make_policy(settings_of({{"tunnelled", true}}));
    ASSERT_FALSE(policy);
    EXPECT_EQ(policy.error().code, ErrorCode::malformed_configuration);
    EXPECT_NE(policy.error().details.find("configuration.tunnelled"), std::string::npos) << policy.error().details;
}

TEST(Postcopy, SwitchesAtTheFirstLookSoThatEachPageCrossesOnce) {
    const Report report = postcopy_on(busy());
    EXPECT_EQ(report.ending, Report::Ending::completed);
    ASSERT_TRUE(switch_of(report));
    EXPECT_LT(switch_of(report)->at, 1'000_ms);
    EXPECT_LT(report.transferred, mebibytes(2048 + 205)) << "a tenth beyond the guest's memory at most";
}

TEST(Postcopy, MigratesAPausedGuestWithoutIt) {
    EXPECT_FALSE(planned({}, true).postcopy);
    Scenario scenario = busy();
    scenario.guest.paused = true;
    const Report report = postcopy_on(scenario);
    EXPECT_EQ(report.ending, Report::Ending::completed);
    EXPECT_TRUE(report.actions.empty());
}

TEST(Postcopy, SaysOnceThatItCannotWhereTheMigrationWasStartedWithoutIt) {
    Scenario scenario = plain();
    scenario.taken_over_after = 2_s;
    const Report report = postcopy_on(scenario);
    EXPECT_EQ(report.ending, Report::Ending::completed) << "in pre-copy";
    const auto waits = std::ranges::count_if(report.actions, [](const ActionTaken& taken) {
        return std::holds_alternative<Wait>(taken.action.what) &&
               taken.action.reason.find("started without post-copy") != std::string::npos;
    });
    EXPECT_EQ(waits, 1);
    EXPECT_FALSE(switch_of(report));
}

TEST(Postcopy, WaitsForABrokenLink) {
    Scenario scenario = busy();
    scenario.link.bandwidth = {{0_s, {}}, {60_s, mebibytes_per_second(100)}};
    const Report report = postcopy_on(scenario);
    EXPECT_EQ(report.ending, Report::Ending::completed) << report.cause;
    EXPECT_LT(report.work_lost.stalled, 60_s);
}

TEST(Postcopy, ResumesWhereItBreaks) {
    Scenario scenario = busy();
    scenario.link.bandwidth = {{0_s, mebibytes_per_second(100)}, {5_s, {}}, {35_s, mebibytes_per_second(100)}};
    scenario.faults = {{.kind = Kind::stream_breaks, .at = 5_s}};
    const Report report = postcopy_on(scenario);
    EXPECT_EQ(report.ending, Report::Ending::completed) << report.cause;
    EXPECT_TRUE(std::ranges::any_of(report.actions, [](const ActionTaken& taken) {
        return std::holds_alternative<ResumePostCopy>(taken.action.what) && !taken.refused;
    }));
}

RC_GTEST_PROP(PostcopyProperty, KeepsItsPromises, ()) {
    const int downtime = *rc::gen::inRange(1, 2000);
    const Report report =
        postcopy_on(any_scenario(), {{"downtimeMs", downtime},
                                     {"postcopy", Object{{"bandwidthMiBPerSecond", *rc::gen::inRange(0, 50)}}},
                                     {"recovery", Object{{"seconds", *rc::gen::inRange(1, 600)}}}});
    const std::vector<std::string> mistakes = broken(report, {.highest_downtime_limit = Milliseconds(downtime)});
    RC_ASSERT(mistakes == std::vector<std::string>());
}

}  // namespace
}  // namespace vmmi::simulator::test
