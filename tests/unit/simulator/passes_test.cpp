// SPDX-License-Identifier: Apache-2.0
// What pre-copy comes to in closed form.
#include <gtest/gtest.h>

#include <cmath>

#include "simulator/policies.h"

namespace vmmi::simulator::test {
namespace {

const MigrationRequest strict{.downtime_limit = 1_ms};
constexpr double wire = 4104.0 / 4096;  // each page has a header

WorkingSet in_order(std::uint64_t size, std::uint64_t rate) {
    return {.size = mebibytes(size), .dirty_rate = mebibytes_per_second(rate), .order = WorkingSet::Order::sequential};
}

TEST(SimulatedPasses, AnIdleGuestIsSentOnce) {
    const Report r = run(plain(), strict);
    EXPECT_EQ(r.ending, Report::Ending::completed);
    EXPECT_EQ(r.cause, "completed");
    EXPECT_NEAR(mebi(r.transferred), 4096 * wire, 1);
    // 40.96 s of transfer, 250 ms until the call is back, and calls of 2 ms around.
    EXPECT_NEAR(seconds(r.total_time), 40.96 * wire + 0.03 + 0.25, 0.02);
    EXPECT_NEAR(seconds(r.downtime.value()), 0.030, 0.002);
    EXPECT_EQ(r.work_lost.paused, r.downtime);
    EXPECT_EQ(r.work_lost.throttled, 0_ms);
    EXPECT_TRUE(r.actions.empty());
}

TEST(SimulatedPasses, PagesOfZerosCostNextToNothing) {
    Scenario scenario = plain();
    scenario.zero_pages = mebibytes(3072);
    const Report r = run(scenario, strict);
    EXPECT_NEAR(mebi(r.transferred), 1024 * wire + 3072 * 9.0 / 4096, 1);
    EXPECT_NEAR(seconds(r.total_time), 10.24 * wire + 0.07 + 3072 / 4096.0 + 0.28, 0.1);
}

TEST(SimulatedPasses, ShrinkByTheRatioOfDirtyRateAndBandwidth) {
    const Report r = run(plain({in_order(4096, 50)}), strict);
    EXPECT_EQ(r.ending, Report::Ending::completed);
    ASSERT_GE(r.passes.size(), 6U);
    for (std::size_t i = 1; i < 6; ++i)
        EXPECT_NEAR(mebi(r.passes[i].remaining), 4096 * std::pow(0.5 * wire, i), 8) << "pass " << i + 1;
}

TEST(SimulatedPasses, OfRandomWritesFollowTheWritableWorkingSet) {
    const Report r = run(plain({{.size = mebibytes(1024), .dirty_rate = mebibytes_per_second(60)}}), strict);
    ASSERT_GE(r.passes.size(), 5U);
    for (std::size_t i = 1; i < 5; ++i) {
        const double duration = mebi(r.passes[i - 1].remaining) * wire / 100;
        EXPECT_NEAR(mebi(r.passes[i].remaining), 1024 * (1 - std::exp(-60 * duration / 1024)), 8) << "pass " << i + 1;
    }
}

TEST(SimulatedPasses, EndWhereNoWholePageIsLeft) {
    // The first pass is over before QEMU has measured a bandwidth: until then, no rest but none is small enough.
    Scenario scenario = plain({{.size = mebibytes(31), .dirty_rate = mebibytes_per_second(108)}, in_order(1, 857)});
    scenario.guest.memory = mebibytes(60);
    scenario.link.bandwidth = mebibytes_per_second(1341);
    const Report r = run(scenario, strict);
    EXPECT_EQ(r.ending, Report::Ending::completed);
    EXPECT_LT(r.total_time, 400_ms);
    EXPECT_LT(r.passes.size(), 100U);
}

TEST(SimulatedPasses, ABusierGuestThanTheLinkStaysAtItsPlateau) {
    Scenario scenario = plain({{.size = mebibytes(1024), .dirty_rate = mebibytes_per_second(200)}});
    scenario.patience = std::chrono::minutes(20);
    const Report r = run(scenario, strict);
    EXPECT_EQ(r.ending, Report::Ending::unfinished);
    // R* = W(1 − exp(−d·R*/(b·W))) at d = 2b: R* = 0.797 W.
    EXPECT_NEAR(mebi(r.passes.back().remaining) / 1024, 0.797, 0.01);
    EXPECT_FALSE(r.downtime);
    EXPECT_EQ(r.highest_downtime_limit, 1_ms);
}

TEST(SimulatedPasses, TheSwitchoverComesWhenTheRestFitsIntoTheLimitAndNotBefore) {
    const std::vector<WorkingSet> all_in_every_pass = {in_order(100, 2000)};  // 100 MiB at 100 MiB/s: a pause of 1 s
    Scenario scenario = plain(all_in_every_pass);
    scenario.patience = std::chrono::minutes(20);
    EXPECT_EQ(run(scenario, {.downtime_limit = 990_ms}).ending, Report::Ending::unfinished);
    const Report r = run(scenario, {.downtime_limit = 1010_ms});
    EXPECT_EQ(r.ending, Report::Ending::completed);
    EXPECT_NEAR(seconds(r.downtime.value()), wire + 0.030, 0.02) << "the rest, and the fixed part";
}

TEST(SimulatedPasses, ALimitThatIsRaisedInTheMiddleEndsThePass) {
    Scenario scenario = plain({in_order(100, 2000)});
    const Report r = run(scenario, strict, once_at(60'500_ms, {SetDowntimeLimit{1010_ms}, "enough"}));
    EXPECT_EQ(r.ending, Report::Ending::completed);
    EXPECT_NEAR(seconds(r.total_time), 61 + wire + 0.28, 1.1);
    EXPECT_EQ(r.highest_downtime_limit, 1010_ms);
}

TEST(SimulatedPasses, TheCapSlowsThePassesAndIsLiftedForTheLast) {
    const Scenario scenario = plain({in_order(100, 2000)});
    const Report r = run(scenario, {.bandwidth = mebibytes_per_second(25), .downtime_limit = 5_s});
    EXPECT_NEAR(seconds(r.total_time), 4096 * wire / 25, 8);
    // 5 s at the cap allow for 125 MiB, which take a quarter of that without it.
    EXPECT_NEAR(seconds(r.downtime.value()), 1.25 * wire + 0.030, 0.05);
    EXPECT_NEAR(static_cast<double>(r.samples.back().bandwidth.count) / (1 << 20), 25, 0.1);
}

TEST(SimulatedPasses, WhatTcpHasAcceptedIsWaitedFor) {
    Scenario scenario = plain();
    scenario.link.buffers = mebibytes(50);
    const Report r = run(scenario, strict);
    EXPECT_NEAR(seconds(r.downtime.value()), 0.5 + 0.03, 0.01);
    EXPECT_NEAR(seconds(r.total_time), 40.96 * wire + 0.28, 0.05) << "it is no more to send";
}

TEST(SimulatedPasses, ChannelsAddUpToTheLink) {
    Scenario scenario = plain();
    scenario.link.stream_limit = mebibytes_per_second(20);
    const auto transfer = [&](int channels) {
        scenario.features.multifd_channels = channels;
        return seconds(run(scenario, strict).total_time) - 0.28;
    };
    EXPECT_NEAR(transfer(1), 4096 * wire / 20, 0.2);
    EXPECT_NEAR(transfer(4), 4096 * wire / 80, 0.2);
    EXPECT_NEAR(transfer(8), 4096 * wire / 100, 0.2);
}

TEST(SimulatedPasses, LostPacketsLimitAStream) {
    Scenario scenario = plain();
    scenario.link.latency = std::chrono::milliseconds(5);
    scenario.link.loss = 0.001;
    // 1448 bytes / 10 ms · √(1.5/0.001) = 5.6 MB/s.
    EXPECT_NEAR(seconds(run(scenario, strict).total_time), 4096 * 1048576.0 * wire / 5.608e6, 5);
}

TEST(SimulatedPasses, XbzrleMakesABusyGuestConverge) {
    WorkingSet set{.size = mebibytes(512), .dirty_rate = mebibytes_per_second(300), .delta_bytes = 400};
    Scenario scenario = plain({set});
    scenario.patience = std::chrono::minutes(20);
    EXPECT_EQ(run(scenario, {.downtime_limit = 300_ms}).ending, Report::Ending::unfinished);
    scenario.features.xbzrle_cache = mebibytes(512);
    EXPECT_EQ(run(scenario, {.downtime_limit = 300_ms}).ending, Report::Ending::completed);
}

TEST(SimulatedPasses, AreCountedByWhatWasSentWhereQemuLooksAllTheTime) {
    Scenario scenario = plain({in_order(1000, 2000)});  // 10 s each, behind a first one of 41 s
    scenario.features.postcopy = scenario.features.postcopy_looks = true;
    scenario.patience = 100_s;
    const Report r = run(scenario, strict);
    EXPECT_GT(r.passes.size(), 1900U) << "looks: 20 a second";
    EXPECT_NEAR(r.samples.back().iteration, 7, 1);
    EXPECT_EQ(r.samples.back().looks, static_cast<int>(r.passes.size()));
    EXPECT_GT(r.samples.back().dirty, mebibytes(900));
}

TEST(SimulatedPasses, ALoadThatEndsLetsTheMigrationEnd) {
    WorkingSet set{.size = mebibytes(1024),
                   .dirty_rate = {{0_ms, mebibytes_per_second(200)}, {300_s, mebibytes_per_second(1)}}};
    const Report r = run(plain({set}));
    EXPECT_EQ(r.ending, Report::Ending::completed);
    EXPECT_GT(r.total_time, 300_s);
    EXPECT_LT(r.total_time, 315_s);
}

TEST(SimulatedPasses, APausedGuestIsSentOnceAndLosesNothing) {
    Scenario scenario = plain({in_order(1024, 200)});
    scenario.guest.paused = true;
    const Report r = run(scenario, strict);
    EXPECT_EQ(r.ending, Report::Ending::completed);
    EXPECT_EQ(r.work_lost.paused, 0_ms);
    EXPECT_EQ(r.passes.size(), 2U);
}

TEST(SimulatedPasses, AMigrationThatIsNotLivePausesTheGuestForAllOfIt) {
    const Report r = run(plain({in_order(1024, 200)}), {.live = false});
    EXPECT_EQ(r.ending, Report::Ending::completed);
    EXPECT_NEAR(seconds(r.downtime.value()), 40.96 * wire + 0.03, 0.1);
}

TEST(SimulatedPasses, TheSameScenarioIsTheSameRun) {
    Scenario scenario = plain({{.size = mebibytes(1024), .dirty_rate = mebibytes_per_second(60)}});
    scenario.link.noise = 0.3;
    const auto once = [&](std::uint64_t seed) {
        scenario.link.seed = seed;
        return run(scenario);
    };
    EXPECT_EQ(once(1).total_time, once(1).total_time);
    EXPECT_EQ(once(1).transferred, once(1).transferred);
    EXPECT_NE(once(1).transferred, once(2).transferred);
}

}  // namespace
}  // namespace vmmi::simulator::test
