// SPDX-License-Identifier: Apache-2.0
// `schedule` in closed loops: what its presets do, and when.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "core/configuration.h"
#include "message/messages.h"
#include "schedule_policy.h"
#include "simulator/promises.h"

namespace vmmi::simulator::test {
namespace {

Report schedule_on(Scenario scenario, const Object& given) {
    const Configuration configuration = make_configuration(given, schedule::plugin().keys).value();
    const std::unique_ptr<Policy> policy = schedule::plugin().make_policy(configuration.settings).value();
    scenario.sample_interval = configuration.monitor_interval;
    return simulate(*policy, scenario).value();
}

Object preset(const std::string& name) {
    std::ifstream file(std::string(VMMI_PRESETS) + "/" + name + ".json");
    std::stringstream text;
    text << file.rdbuf();
    return message::read_configuration(text.str()).value();
}

Report preset_on(Scenario scenario, const std::string& name) {
    return schedule_on(std::move(scenario), preset(name));
}

Trace trace(const std::string& name) {
    for (Trace& trace : published_traces())
        if (trace.name.starts_with(name)) return std::move(trace);
    return {};
}

std::string in_short(const Action& action) {
    if (const auto* set = std::get_if<SetDowntimeLimit>(&action.what)) return std::to_string(set->limit.count());
    if (const auto* set = std::get_if<SetBandwidth>(&action.what))
        return fmt::format("{} MiB/s", set->limit.count >> 20);
    if (std::holds_alternative<StartPostCopy>(action.what)) return "post-copy";
    if (std::holds_alternative<PauseGuest>(action.what)) return "pause";
    if (std::holds_alternative<AbortMigration>(action.what)) return "abort";
    return "wait";
}

/// The pass in which it was done, as the policy saw it.
int pass_of(const ActionTaken& taken, const Report& report) {
    int pass = 0;
    for (const Sample& sample : report.samples)
        if (sample.elapsed <= taken.at) pass = sample.iteration;
    return pass;
}

/// "pass 3, 53 s: 150; pass 4, 64 s: abort": when, in whole seconds, and what was done.
std::string taken(const Report& report) {
    std::string text;
    for (const ActionTaken& taken : report.actions) {
        text += fmt::format("{}pass {}, {} s: {}", text.empty() ? "" : "; ", pass_of(taken, report),
                            taken.at.count() / 1000, in_short(taken.action));
        if (taken.refused) text += " refused";
    }
    return text;
}

std::string limits_set(const Report& report) {
    std::string text;
    for (const ActionTaken& taken : report.actions)
        text += fmt::format("{}{}", text.empty() ? "" : " ", in_short(taken.action));
    return text;
}

/// Each pass finds 1200 MiB, whatever happens: at 100 MiB/s, 12 s each, and a pause of 12 s. The first pass takes 41 s.
Scenario hopeless() {
    return plain(
        {{.size = mebibytes(1200), .dirty_rate = mebibytes_per_second(4000), .order = WorkingSet::Order::sequential}});
}

Object without(const Object& given, const char* key) {
    Object rest;
    for (const Member& member : given.members())
        if (member.name != key) rest.set(member.name, member.value);
    return rest;
}

/// A guest of 1 GiB that rewrites half of it all the time; passes take 5 s.
Scenario small() {
    Scenario scenario = plain(
        {{.size = mebibytes(500), .dirty_rate = mebibytes_per_second(4000), .order = WorkingSet::Order::sequential}});
    scenario.guest.memory = mebibytes(1024);
    return scenario;
}

TEST(ScheduleSimulated, FollowsMinimalDowntimePassByPass) {
    const Object given = without(preset("ovirt-minimal-downtime"), "autoConverge");
    const Report report = schedule_on(hopeless(), given);
    EXPECT_EQ(taken(report),
              "pass 3, 52 s: 150; pass 4, 64 s: 200; pass 5, 76 s: 300; pass 6, 88 s: 400; pass 8, 111 s: 500; pass 9, "
              "123 s: abort");
    EXPECT_EQ(report.cause, "aborted-by-policy");
    EXPECT_EQ(report.highest_downtime_limit, 500_ms);
    EXPECT_EQ(taken(schedule_on(hopeless(), {{"monitorInterval", 10}})), taken(report)) << "the default";
}

TEST(ScheduleSimulated, CountsPassesByWhatWasSentWhereAutoConvergeLooksInTheirMiddle) {
    // QEMU looks at the dirty memory every 5 s then; passes take 10 s, and of two that begin within the monitorInterval
    // of 10 s, one has a step.
    EXPECT_EQ(
        taken(preset_on(hopeless(), "ovirt-minimal-downtime")),
        "pass 3, 50 s: 150; pass 4, 62 s: 200; pass 6, 82 s: 300; pass 8, 102 s: 400; pass 9, 112 s: 500; pass 10, "
        "122 s: abort");
}

TEST(ScheduleSimulated, KeepsStepsAMonitorIntervalApartWherePassesAreShort) {
    EXPECT_EQ(taken(schedule_on(small(), without(preset("ovirt-minimal-downtime"), "autoConverge"))),
              "pass 3, 15 s: 150; pass 6, 29 s: 200; pass 9, 44 s: 300; pass 12, 58 s: 400; pass 15, 72 s: 500; pass "
              "18, 86 s: abort");
}

TEST(ScheduleSimulated, SwitchesToPostCopyAfterTwoSteps) {
    const Report report = preset_on(hopeless(), "ovirt-post-copy");
    EXPECT_EQ(taken(report), "pass 3, 50 s: 150; pass 4, 62 s: 200; pass 6, 82 s: post-copy");
    EXPECT_EQ(report.ending, Report::Ending::completed);
    EXPECT_LT(report.downtime.value(), 100_ms);
}

TEST(ScheduleSimulated, AllowsFiveSecondsBeforeTheAbortWhereTheWorkloadMayBeSuspended) {
    const Report enough = preset_on(small(), "ovirt-suspend-workload-if-needed");
    EXPECT_EQ(enough.ending, Report::Ending::completed);
    EXPECT_EQ(limits_set(enough), "150 200 300 400 500 5000");
    EXPECT_EQ(limits_set(preset_on(hopeless(), "ovirt-suspend-workload-if-needed")), "150 200 300 400 500 5000 abort");
    EXPECT_EQ(limits_set(preset_on(hopeless(), "ovirt-very-large-vms")), "400 500 700 1000 1500 5000 abort");
}

TEST(ScheduleSimulated, RaisesTheLimitOfNovaBySecondsForEveryGibibyte) {
    const std::string ramp =
        "pass 23, 300 s: 95; pass 48, 600 s: 140; pass 73, 900 s: 185; pass 99, 1200 s: 230; "
        "pass 124, 1500 s: 275; pass 150, 1800 s: 320; pass 175, 2100 s: 365; pass 201, 2400 s: "
        "410; pass 227, 2700 s: 455; pass 253, 3000 s: 500; pass 270, 3200 s: ";
    EXPECT_EQ(taken(preset_on(hopeless(), "nova-abort")), ramp + "abort");
    EXPECT_EQ(taken(preset_on(hopeless(), "nova-force-post-copy")), ramp + "post-copy");
    const Report paused = preset_on(hopeless(), "nova-force-pause");
    EXPECT_EQ(taken(paused), ramp + "pause");
    EXPECT_EQ(paused.ending, Report::Ending::completed);
    EXPECT_LT(paused.downtime.value(), 60_s);
}

TEST(ScheduleSimulated, AbortsWhereKubevirtSeesNoProgress) {
    for (const char* name : {"kubevirt-abort", "kubevirt-post-copy", "kubevirt-pause"})
        EXPECT_EQ(taken(preset_on(hopeless(), name)), "pass 20, 252 s: abort") << name;
}

TEST(ScheduleSimulated, FollowsKubevirtAtTheEndOfItsTime) {
    EXPECT_EQ(taken(preset_on(small(), "kubevirt-abort")), "pass 31, 150 s: abort");
    EXPECT_EQ(taken(preset_on(small(), "kubevirt-post-copy")), "pass 31, 150 s: post-copy");
    const Report paused = preset_on(small(), "kubevirt-pause");
    EXPECT_EQ(taken(paused), "pass 31, 150 s: pause");
    EXPECT_EQ(paused.ending, Report::Ending::completed);
}

TEST(ScheduleSimulated, EndsAtOnceWhereKubevirtsDetectorSeesAStallFarFromTheLimit) {
    EXPECT_EQ(taken(preset_on(hopeless(), "kubevirt-stall-detector")), "pass 6, 87 s: abort");
    EXPECT_EQ(taken(preset_on(hopeless(), "kubevirt-stall-detector-post-copy")), "pass 6, 87 s: post-copy");
}

TEST(ScheduleSimulated, RaisesTheLimitWhereKubevirtsDetectorSeesAStallNearToIt) {
    Scenario near = small();
    near.working_sets[0].size = mebibytes(45);
    const Report report = preset_on(near, "kubevirt-stall-detector");
    EXPECT_EQ(taken(report), "pass 106, 51 s: 500");
    EXPECT_EQ(report.ending, Report::Ending::completed);
    EXPECT_EQ(report.highest_downtime_limit, 500_ms);
}

TEST(ScheduleSimulated, AbortsTheBuildOfAKernelThatWouldHaveEndedByItself) {
    const Scenario build = from_trace(trace("build"));
    const Report minimal = schedule_on(build, without(preset("ovirt-minimal-downtime"), "autoConverge"));
    EXPECT_EQ(minimal.cause, "aborted-by-policy");
    EXPECT_NEAR(seconds(minimal.total_time), 120, 10) << taken(minimal);
    const Report detector = preset_on(build, "kubevirt-stall-detector");
    EXPECT_EQ(detector.cause, "aborted-by-policy");
    EXPECT_NEAR(seconds(detector.total_time), 96, 10) << taken(detector);
    // The forecast knows better: it is never sure that this load does not fit.
    const Object patient{{"schedule", Object{{"rules", List{Object{{"when", Object{{"forecastAboveMs", 300}}},
                                                                   {"action", Object{{"name", "abort"}}}}}}}}};
    EXPECT_EQ(schedule_on(build, patient).ending, Report::Ending::completed);
    EXPECT_EQ(taken(schedule_on(from_trace(trace("stress")), patient)), "pass 4, 150 s: abort");
}

TEST(ScheduleSimulated, MovesTheWorkloadsOfPublishedTracesByPostCopy) {
    for (const Trace& trace : published_traces())
        for (const char* name : {"ovirt-post-copy", "kubevirt-stall-detector-post-copy"})
            EXPECT_EQ(preset_on(from_trace(trace), name).ending, Report::Ending::completed) << trace.name << name;
}

TEST(ScheduleSimulated, ResumesAGuestWhosePauseIsNotEnough) {
    const Object given{
        {"schedule",
         Object{{"stalling",
                 List{Object{{"limit", 1}, {"action", Object{{"name", "pause"}, {"params", List{"3000"}}}}}}}}}};
    const Report report = schedule_on(hopeless(), given);
    EXPECT_EQ(report.ending, Report::Ending::aborted);
    EXPECT_EQ(limits_set(report), "pause");
    EXPECT_NEAR(seconds(report.work_lost.paused), 3, 0.5);
}

TEST(ScheduleSimulated, WaitsWithPostCopyForABrokenLink) {
    Scenario scenario = small();
    scenario.link.bandwidth = {{0_s, mebibytes_per_second(100)}, {20_s, {}}, {100_s, mebibytes_per_second(100)}};
    const Object given{{"schedule", Object{{"rules", List{Object{{"when", Object{{"elapsedSeconds", 30}}},
                                                                 {"action", Object{{"name", "postcopy"}}}}}}}}};
    const Report report = schedule_on(scenario, given);
    EXPECT_EQ(limits_set(report), "wait post-copy");
    EXPECT_GE(report.actions.back().at, 100_s);
    EXPECT_EQ(report.ending, Report::Ending::completed);
}

Object any_action(bool last_resorts) {
    switch (*rc::gen::inRange(0, last_resorts ? 5 : 2)) {
        case 0:
            return {{"name", "setDowntime"}, {"params", List{std::to_string(*rc::gen::inRange(1, 3000))}}};
        case 1:
            return {{"name", "setBandwidth"}, {"params", List{std::to_string(*rc::gen::inRange(0, 200))}}};
        case 2:
            return {{"name", "postcopy"}};
        case 3:
            return {{"name", "pause"}, {"params", List{std::to_string(*rc::gen::inRange(1, 60'000))}}};
        default:
            return {{"name", "abort"}};
    }
}

Object any_conditions() {
    Object when;
    if (*rc::gen::arbitrary<bool>()) when.set("elapsedSeconds", *rc::gen::inRange(0, 200));
    if (*rc::gen::inRange(0, 3) == 0) when.set("stalledSeconds", *rc::gen::inRange(0, 60));
    if (*rc::gen::inRange(0, 3) == 0) when.set("pauseAboveMs", *rc::gen::inRange(1, 3000));
    if (*rc::gen::inRange(0, 3) == 0) when.set("forecastAboveMs", *rc::gen::inRange(1, 3000));
    if (when.members().empty()) when.set("elapsedSecondsPerGiB", *rc::gen::inRange(1, 60));
    return when;
}

/// No limit above the highest that the schedule names, and an end where its last rule aborts.
RC_GTEST_PROP(ScheduleSimulatedProperty, KeepsItsPromises, ()) {
    List stalling;
    int limit = 0;
    for (int steps = *rc::gen::inRange(0, 6); steps > 0; --steps) {
        limit += *rc::gen::inRange(0, 5);
        stalling.push_back(Object{{"limit", *rc::gen::arbitrary<bool>() ? limit : -1}, {"action", any_action(false)}});
    }
    stalling.push_back(Object{{"limit", limit}, {"action", any_action(true)}});
    List rules;
    for (int count = *rc::gen::inRange(0, 4); count > 0; --count)
        rules.push_back(Object{{"when", any_conditions()}, {"action", any_action(true)}});
    const int ceiling = *rc::gen::inRange(1, 600);
    rules.push_back(Object{{"when", Object{{"elapsedSeconds", ceiling}}}, {"action", Object{{"name", "abort"}}}});
    const Object given{{"schedule", Object{{"stalling", stalling}, {"rules", rules}}}};
    const Scenario scenario = any_scenario();
    const Report report = simulate(schedule::plugin(), given, scenario).value();
    const std::vector<std::string> mistakes =
        broken(report, {.highest_downtime_limit = 3000_ms, .ceiling = std::chrono::seconds(ceiling)});
    RC_ASSERT(mistakes == std::vector<std::string>());
}

}  // namespace
}  // namespace vmmi::simulator::test
