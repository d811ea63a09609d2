// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "simulator/policies.h"
#include "simulator/qemu.h"

namespace vmmi::simulator::test {
namespace {

const Action switch_over{StartPostCopy{}, "the guest dirties more than the link takes"};
constexpr double wire = 4104.0 / 4096;

Scenario hopeless() {
    Scenario scenario = plain({{.size = mebibytes(1024), .dirty_rate = mebibytes_per_second(200)}});
    scenario.features.postcopy = true;
    scenario.link.latency = std::chrono::microseconds(100);
    scenario.patience = std::chrono::minutes(20);
    return scenario;
}

/// QEMU alone, switched to post-copy at that time.
Qemu in_postcopy(const Scenario& scenario, Instant at = 60_s) {
    Qemu qemu(scenario, {});
    while (qemu.advance(at)) {
    }
    qemu.start_postcopy();
    while (qemu.advance(at + 1_s) != Happening::postcopy_began) {
    }
    return qemu;
}

std::optional<Happening> next(Qemu& qemu, Instant until) {
    return qemu.advance(qemu.now() + until);
}

TEST(SimulatedPostCopy, EndsWhateverTheGuestDoes) {
    const Report r = run(hopeless(), {}, once_at(60_s, switch_over));
    EXPECT_EQ(r.ending, Report::Ending::completed);
    ASSERT_EQ(r.actions.size(), 1U);
    EXPECT_FALSE(r.actions.front().refused);
    // No more than the working set is left, and nothing is sent twice any more.
    EXPECT_LT(r.total_time, 60_s + 11_s);
    EXPECT_NEAR(seconds(r.downtime.value()), 0.010, 0.003);
    EXPECT_EQ(r.work_lost.paused, r.downtime);
}

TEST(SimulatedPostCopy, TakesTheTimeThatTheRestNeeds) {
    const Scenario scenario = hopeless();
    Qemu qemu = in_postcopy(scenario);
    const double left = mebi(qemu.statistics().memory_remaining);
    const Instant began = qemu.now();
    EXPECT_EQ(next(qemu, 60_s), Happening::completed);
    EXPECT_NEAR(seconds(whole_milliseconds(qemu.now() - began)), left * wire / 100, 0.05);
}

TEST(SimulatedPostCopy, StallsTheGuestUntilItsWorkingSetIsThere) {
    const Report busy = run(hopeless(), {}, once_at(60_s, switch_over));
    EXPECT_GT(busy.work_lost.stalled, 2_s);
    EXPECT_LT(busy.work_lost.stalled, 11_s);
    Scenario slow = hopeless();
    slow.working_sets.front().dirty_rate = mebibytes_per_second(2);
    const Report idle = run(slow, {.downtime_limit = 1_ms}, once_at(30_s, switch_over));
    EXPECT_LT(idle.work_lost.stalled, busy.work_lost.stalled);
}

TEST(SimulatedPostCopy, WithoutAChannelOfTheirOwnRequestsWaitBehindTheBuffers) {
    Scenario scenario = hopeless();
    scenario.link.buffers = mebibytes(4);
    const Report quick = run(scenario, {}, once_at(60_s, switch_over));
    scenario.features.postcopy_preempt = false;
    const Report slow = run(scenario, {}, once_at(60_s, switch_over));
    EXPECT_GT(slow.work_lost.stalled, quick.work_lost.stalled);
}

TEST(SimulatedPostCopy, IsRefusedWhereTheMigrationWasStartedWithout) {
    Scenario scenario = hopeless();
    scenario.features.postcopy = false;
    const Report r = run(scenario, {}, once_at(60_s, switch_over));
    EXPECT_EQ(r.ending, Report::Ending::unfinished);
    EXPECT_TRUE(r.work_lost.stalled == 0_ms);
}

TEST(SimulatedPostCopy, AStandingLinkDelaysTheSwitchToIt) {
    Scenario scenario = hopeless();
    scenario.link.bandwidth = {{0_s, mebibytes_per_second(100)}, {50_s, {}}, {90_s, mebibytes_per_second(100)}};
    const Report r = run(scenario, {}, once_at(60_s, switch_over));
    EXPECT_EQ(r.ending, Report::Ending::completed);
    EXPECT_GT(r.total_time, 90_s);
    EXPECT_LT(r.work_lost.paused, 1_s) << "until then it runs at the source";
}

TEST(SimulatedPostCopy, AStandingLinkStopsTheGuest) {
    Scenario scenario = hopeless();
    scenario.link.bandwidth = {{0_s, mebibytes_per_second(100)}, {62_s, {}}, {92_s, mebibytes_per_second(100)}};
    const Report r = run(scenario, {}, once_at(60_s, switch_over));
    EXPECT_EQ(r.ending, Report::Ending::completed);
    EXPECT_GT(r.work_lost.stalled, 30_s);
}

TEST(SimulatedPostCopy, ABrokenStreamIsTakenUpAgain) {
    const Scenario scenario = hopeless();
    Qemu qemu = in_postcopy(scenario);
    qemu.break_stream();
    EXPECT_EQ(next(qemu, 1_s), Happening::postcopy_failed);
    EXPECT_EQ(qemu.stage(), Stage::postcopy_paused);
    EXPECT_EQ(next(qemu, 30_s), std::nullopt) << "it waits";
    const Bytes left = qemu.statistics().memory_remaining;
    qemu.recover();
    EXPECT_EQ(next(qemu, 1_s), Happening::postcopy_began);
    EXPECT_EQ(qemu.statistics().memory_remaining, left) << "nothing is lost";
    EXPECT_EQ(next(qemu, 60_s), Happening::completed);
    EXPECT_GT(qemu.work_lost().stalled, 30_s);
}

TEST(SimulatedPostCopy, ABrokenStreamThatNobodyTakesUpEndsTheRunAndNotTheGuest) {
    Scenario scenario = hopeless();
    scenario.faults = {{.kind = Fault::Kind::stream_breaks, .at = 61_s}};
    const Report r = run(scenario, {}, once_at(60_s, switch_over));
    EXPECT_EQ(r.ending, Report::Ending::failed);
    EXPECT_EQ(r.cause, "postcopy-failed");
    EXPECT_FALSE(r.downtime);
    EXPECT_LT(r.total_time, 66_s);
}

TEST(SimulatedPostCopy, IsResumedOnceTheLinkIsBack) {
    Scenario scenario = hopeless();
    scenario.link.bandwidth = {{0_s, mebibytes_per_second(100)}, {61_s, {}}, {91_s, mebibytes_per_second(100)}};
    scenario.faults = {{.kind = Fault::Kind::stream_breaks, .at = 61_s}};
    int tries = 0;
    Told policy({.postcopy = true}, [&](const Sample& sample) -> std::vector<Action> {
        if (sample.elapsed >= 60_s && sample.phase == Phase::precopy && tries == 0) return {switch_over};
        if (sample.phase != Phase::postcopy_failed || sample.resuming) return {};
        ++tries;
        return {{ResumePostCopy{}, "it broke"}};
    });
    policy.stays = true;
    const Report r = simulate(policy, scenario).value();
    EXPECT_EQ(r.ending, Report::Ending::completed) << r.cause;
    EXPECT_GT(tries, 10);
    EXPECT_GT(r.work_lost.stalled, 30_s);
    for (std::size_t i = 1; i + 1 < r.actions.size(); ++i) EXPECT_TRUE(r.actions[i].refused);
    EXPECT_FALSE(r.actions.back().refused);
}

}  // namespace
}  // namespace vmmi::simulator::test
