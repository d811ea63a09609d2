// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "simulator/policies.h"
#include "simulator/qemu.h"

namespace vmmi::simulator::test {
namespace {

using Kind = Fault::Kind;

Report with_fault(Fault fault, Told::Answer answer = {}) {
    Scenario scenario = plain({{.size = mebibytes(512), .dirty_rate = mebibytes_per_second(50)}});
    scenario.faults = {fault};
    return run(scenario, {}, std::move(answer));
}

TEST(SimulatedFaults, ABrokenStreamEndsPreCopyAtTheSource) {
    const Report r = with_fault({.kind = Kind::stream_breaks, .at = 20_s});
    EXPECT_EQ(r.ending, Report::Ending::failed);
    EXPECT_EQ(r.cause, "migration-failed");
    ASSERT_TRUE(r.error);
    EXPECT_NE(r.error->details.find("is running at the source"), std::string::npos) << r.error->details;
    EXPECT_FALSE(r.downtime);
}

TEST(SimulatedFaults, SoDoesADestinationThatDies) {
    EXPECT_EQ(with_fault({.kind = Kind::destination_dies, .at = 20_s}).cause, "migration-failed");
}

TEST(SimulatedFaults, AGuestThatEndsTakesTheMigrationWithIt) {
    EXPECT_EQ(with_fault({.kind = Kind::guest_powers_off, .at = 20_s}).cause, "guest-powered-off");
    EXPECT_EQ(with_fault({.kind = Kind::guest_crashes, .at = 20_s}).cause, "guest-crashed");
}

TEST(SimulatedFaults, WhatComesAfterTheEndComesTooLate) {
    for (const Kind kind : {Kind::stream_breaks, Kind::guest_powers_off, Kind::destination_dies})
        EXPECT_EQ(with_fault({.kind = kind, .at = 300_s}).ending, Report::Ending::completed);
}

TEST(SimulatedFaults, ABrokenStreamInTheSwitchoverLetsTheGuestGoOnAtTheSource) {
    Scenario scenario = plain({{.size = mebibytes(512), .dirty_rate = mebibytes_per_second(1000)}});
    scenario.faults = {{.kind = Kind::stream_breaks, .at = 25_s}};
    const Report r = run(scenario, {.downtime_limit = 30_s});
    EXPECT_EQ(r.ending, Report::Ending::failed);
    EXPECT_GT(r.work_lost.paused, 1_s);
    EXPECT_NE(r.error.value().details.find("is running at the source"), std::string::npos) << r.error->details;
}

TEST(SimulatedFaults, ALostDaemonLeavesTheMigrationAlone) {
    const Report r = with_fault({.kind = Kind::source_daemon_lost, .at = 20_s});
    EXPECT_EQ(r.ending, Report::Ending::failed);
    EXPECT_EQ(r.cause, "connection-lost");
}

TEST(SimulatedFaults, CallsThatFailAreToldWithTheirActions) {
    const Fault fault{.kind = Kind::calls_fail, .at = 10_s, .lasting = 20_s};
    const Report during = with_fault(fault, once_at(15_s, {SetDowntimeLimit{400_ms}, "why not"}));
    ASSERT_EQ(during.actions.size(), 1U);
    EXPECT_TRUE(during.actions.front().refused);
    EXPECT_EQ(during.highest_downtime_limit, 300_ms);
    const Report after = with_fault(fault, once_at(35_s, {SetDowntimeLimit{400_ms}, "why not"}));
    EXPECT_FALSE(after.actions.at(0).refused);
    EXPECT_EQ(after.highest_downtime_limit, 400_ms);
}

TEST(SimulatedFaults, ALimitThatQemuDoesNotTakeIsRefused) {
    const Report r = run(plain(), {}, once_at(5_s, {SetDowntimeLimit{2'000'001_ms}, "for ever"}));
    EXPECT_TRUE(r.actions.at(0).refused);
    EXPECT_EQ(r.highest_downtime_limit, 300_ms);
}

TEST(SimulatedFaults, WhileTheLinkStandsStillTheLastBandwidthIsTold) {
    Scenario scenario = plain();
    scenario.link.bandwidth = {{0_s, mebibytes_per_second(100)}, {10_s, {}}, {30_s, mebibytes_per_second(100)}};
    const Report r = run(scenario);
    EXPECT_EQ(r.ending, Report::Ending::completed);
    EXPECT_NEAR(seconds(r.total_time), 61.3, 0.2);
    const auto at = [&](Milliseconds time) {
        return *std::ranges::find_if(r.samples, [&](const Sample& sample) { return sample.elapsed >= time; });
    };
    EXPECT_EQ(at(12_s).bandwidth, at(28_s).bandwidth);
    EXPECT_GT(at(12_s).bandwidth.count, 0U);
    EXPECT_EQ(at(12_s).transferred, at(28_s).transferred);
}

TEST(SimulatedFaults, AnAbortLeavesTheGuestAtTheSource) {
    const Report r = run(plain(), {}, once_at(10_s, {AbortMigration{}, "10 s are enough"}));
    EXPECT_EQ(r.ending, Report::Ending::aborted);
    EXPECT_EQ(r.cause, "aborted-by-policy");
    EXPECT_NE(r.error.value().details.find("10 s are enough"), std::string::npos);
    EXPECT_LT(r.total_time, 12_s);
}

TEST(SimulatedFaults, AnAbortThatFailsIsTriedAgain) {
    const Report r = with_fault({.kind = Kind::calls_fail, .at = 9_s, .lasting = 5_s},
                                once_at(10_s, {AbortMigration{}, "10 s are enough"}));
    EXPECT_EQ(r.cause, "aborted-by-policy");
    EXPECT_GT(r.total_time, 14_s);
    EXPECT_LT(r.total_time, 16_s);
}

TEST(SimulatedFaults, AnAbortInTheSwitchoverTakesEffectAtItsEnd) {
    const Scenario scenario = plain();
    Qemu qemu(scenario, {.downtime_limit = 10_s});
    while (qemu.advance(60_s) != Happening::paused) {
    }
    const Instant paused = qemu.now();
    qemu.cancel();
    EXPECT_EQ(qemu.advance(60_s), Happening::cancelled);
    EXPECT_GT(qemu.now(), paused + 9_s) << "nearly a thousand MiB were left";
}

TEST(SimulatedFaults, NoCallIsAnsweredWhileTheLastOfTheMemoryMoves) {
    Scenario scenario = plain({{.size = mebibytes(1000), .dirty_rate = mebibytes_per_second(1000)}});
    const Report r = run(scenario, {.downtime_limit = 30_s});
    EXPECT_EQ(r.ending, Report::Ending::completed);
    ASSERT_GE(r.passes.size(), 2U);
    EXPECT_LE(r.samples.back().elapsed, r.passes.back().at);
}

TEST(SimulatedTakeover, BringsARunningMigrationUnderThePolicy) {
    Scenario scenario = plain({{.size = mebibytes(1024), .dirty_rate = mebibytes_per_second(200)}});
    scenario.taken_over_after = 60_s;
    const Report r = run(scenario, {}, once_at(70_s, {SetDowntimeLimit{10'000_ms}, "enough for all of it"}));
    EXPECT_EQ(r.ending, Report::Ending::completed);
    EXPECT_NEAR(seconds(r.samples.front().elapsed), 60, 0.1);
    EXPECT_EQ(r.samples.front().downtime_limit, 300_ms);
}

}  // namespace
}  // namespace vmmi::simulator::test
