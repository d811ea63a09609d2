// SPDX-License-Identifier: Apache-2.0
#include "simulator/memory.h"

#include <gtest/gtest.h>

#include <cmath>

#include "simulator/policies.h"

namespace vmmi::simulator::test {
namespace {

constexpr double mib = 1 << 20;

Scenario with(WorkingSet set) {
    Scenario scenario;
    scenario.working_sets = {std::move(set)};
    return scenario;
}

/// What a look finds after the guest ran for so long, all of its memory sent before.
double dirtied(const Scenario& scenario, Instant time, double share = 1) {
    Memory memory(scenario);
    memory.send(memory.unsent());
    memory.write(Instant(0), time, share);
    return memory.sync(time);
}

TEST(SimulatedMemory, RandomWritesDirtyUniquePagesAsTheWritableWorkingSetSays) {
    const Scenario scenario = with({.size = mebibytes(512), .dirty_rate = mebibytes_per_second(100)});
    for (const int seconds : {1, 5, 60}) {
        EXPECT_NEAR(dirtied(scenario, std::chrono::seconds(seconds)),
                    512 * mib * (1 - std::exp(-100.0 * seconds / 512)), 1);
    }
}

TEST(SimulatedMemory, RandomWritesAreTheSameInOneStretchOrInMany) {
    const Scenario scenario = with({.size = mebibytes(512), .dirty_rate = mebibytes_per_second(100)});
    Memory memory(scenario);
    memory.send(memory.unsent());
    for (int i = 0; i < 100; ++i) memory.write(i * 10_ms, (i + 1) * 10_ms, 1);
    EXPECT_NEAR(memory.sync(1_s), dirtied(scenario, 1_s), 1);
}

TEST(SimulatedMemory, WritesInOrderDirtyUpToTheWholeSet) {
    const Scenario scenario =
        with({.size = mebibytes(512), .dirty_rate = mebibytes_per_second(100), .order = WorkingSet::Order::sequential});
    EXPECT_NEAR(dirtied(scenario, 5_s), 500 * mib, 1);
    EXPECT_NEAR(dirtied(scenario, 6_s), 512 * mib, 1);
}

TEST(SimulatedMemory, WritesInOrderMeetWhatAPassLeftOrWhatItSent) {
    // 512 MiB are dirty, 64 of them are left, and meanwhile the guest wrote to 300.
    const auto next_pass = [](WorkingSet::First first) {
        const Scenario scenario = with({.size = mebibytes(512),
                                        .dirty_rate = mebibytes_per_second(100),
                                        .order = WorkingSet::Order::sequential,
                                        .first = first});
        Memory memory(scenario);
        memory.send(memory.unsent());
        memory.write(Instant(0), 6_s, 1);
        memory.sync(6_s);
        memory.send(448 * mib);
        memory.write(6_s, 9_s, 1);
        memory.sync(9_s);
        return memory.unsent() / mib;
    };
    EXPECT_NEAR(next_pass(WorkingSet::First::unsent), 300, 1e-6);
    EXPECT_NEAR(next_pass(WorkingSet::First::sent), 364, 1e-6);
    EXPECT_NEAR(next_pass(WorkingSet::First::any), 64 + 300 * 448.0 / 512, 1e-6);
}

TEST(SimulatedMemory, AThrottledGuestWritesLess) {
    const Scenario scenario =
        with({.size = mebibytes(512), .dirty_rate = mebibytes_per_second(100), .order = WorkingSet::Order::sequential});
    EXPECT_NEAR(dirtied(scenario, 1_s, 0.25), 25 * mib, 1);
}

TEST(SimulatedMemory, APageIsSentOnceForAllWritesBeforeIt) {
    const Scenario scenario = with({.size = mebibytes(512), .dirty_rate = mebibytes_per_second(100)});
    Memory memory(scenario);
    memory.write(Instant(0), 1_s, 1);
    EXPECT_NEAR(memory.sync(1_s), 0, 1) << "all of it is to be sent anyway";
    EXPECT_NEAR(memory.unsent(), 4096 * mib, 1);
}

TEST(SimulatedMemory, PagesOfZerosTravelAsNineBytes) {
    Scenario scenario;
    scenario.zero_pages = scenario.guest.memory;
    EXPECT_NEAR(Memory(scenario).travel(false).wire, 9.0 / 4096, 1e-9);
}

TEST(SimulatedMemory, XbzrleHelpsAsFarAsItsCacheReaches) {
    Scenario scenario = with({.size = mebibytes(512), .dirty_rate = mebibytes_per_second(100), .delta_bytes = 92});
    scenario.guest.memory = mebibytes(512);
    scenario.features.xbzrle_cache = mebibytes(512);
    EXPECT_NEAR(Memory(scenario).travel(true).wire, 100.0 / 4096, 1e-9);
    EXPECT_NEAR(Memory(scenario).travel(false).wire, 4104.0 / 4096, 1e-9);
    scenario.features.xbzrle_cache = mebibytes(128);
    EXPECT_NEAR(Memory(scenario).travel(true).wire, 0.25 * 100 / 4096 + 0.75 * 4104 / 4096, 1e-9);
}

TEST(SimulatedMemory, ATraceIsFoundAgainBetweenItsPoints) {
    const Scenario scenario = from_trace({"made up",
                                          mebibytes_per_second(100),
                                          {{0_s, mebibytes(1000)}, {10_s, mebibytes(300)}, {20_s, mebibytes(100)}}});
    Memory memory(scenario);
    memory.send(memory.unsent());
    memory.sync(15_s);
    EXPECT_NEAR(memory.unsent(), 200 * mib, 1);
    memory.send(memory.unsent());
    memory.sync(1000_s);
    EXPECT_NEAR(memory.unsent(), 100 * mib, 1) << "behind its end it stays";
}

}  // namespace
}  // namespace vmmi::simulator::test
