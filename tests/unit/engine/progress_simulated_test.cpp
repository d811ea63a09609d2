// SPDX-License-Identifier: Apache-2.0
// Percentage and remaining time against how simulated migrations really ended.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/progress.h"
#include "simulator/policies.h"

namespace vmmi::engine::test {
namespace {

using namespace vmmi::simulator;
using namespace vmmi::simulator::test;

struct Moment {
    Sample sample;
    double left = 0;  ///< seconds until the end, as it came
    int percent = 0;
    std::optional<Eta> eta{};

    bool inside() const {
        if (!eta) return false;
        const auto end = Milliseconds(std::llround(1000 * left));
        return eta->earliest <= end && end <= eta->latest.value_or(end);
    }
};

std::vector<Moment> replay(const Report& report) {
    Progress progress;
    std::vector<Moment> moments;
    for (const Sample& sample : report.samples) {
        progress.update(sample);
        const double left = std::chrono::duration<double>(report.total_time - sample.elapsed).count();
        moments.push_back({sample, left, progress.percent(), progress.eta()});
    }
    return moments;
}

/// 4 GiB over 1 Gbit/s, of which the guest rewrites one.
Scenario rewriting(std::uint64_t rate, WorkingSet::Order order) {
    Scenario scenario;
    scenario.working_sets = {{.size = mebibytes(1024), .dirty_rate = mebibytes_per_second(rate), .order = order}};
    return scenario;
}

TEST(ProgressOnTheSimulator, HasTheTrueEndInsideItsIntervalAtHalfTimeAndFromTheSecondPassOn) {
    for (const auto order : {WorkingSet::Order::random, WorkingSet::Order::sequential}) {
        for (const std::uint64_t rate : {0U, 10U, 30U, 50U, 70U}) {
            const Report report = run(rewriting(rate, order));
            ASSERT_EQ(report.ending, Report::Ending::completed);
            const double end = std::chrono::duration<double>(report.total_time).count();
            bool half = false;
            int later = 0;
            int bounded = 0;
            double error = 0;
            for (const Moment& moment : replay(report)) {
                const bool now = !half && moment.left <= end / 2;
                half = half || now;
                if (now) {
                    EXPECT_TRUE(moment.inside()) << rate << " MiB/s at half time, " << moment.left << " s left";
                }
                if (moment.sample.iteration < 2) continue;
                ++later;
                bounded += moment.eta && moment.eta->latest;
                EXPECT_TRUE(moment.inside()) << rate << " MiB/s, " << moment.left << " s left";
                if (moment.eta)
                    error += std::abs(std::chrono::duration<double>(moment.eta->expected).count() - moment.left);
            }
            EXPECT_TRUE(half);
            if (rate == 0) continue;
            EXPECT_GT(bounded, 0) << rate << ": an interval without an end says nothing";
            EXPECT_LT(error / later, 0.08 * end) << rate;
        }
    }
}

TEST(ProgressOnTheSimulator, IsNotMisledByZeroPages) {
    Scenario scenario;
    scenario.zero_pages = mebibytes(3000);
    const Report report = run(scenario);
    for (const Moment& moment : replay(report)) {
        if (moment.sample.elapsed < 1_s || !moment.eta) continue;
        EXPECT_NEAR(std::chrono::duration<double>(moment.eta->expected).count(), moment.left, 0.6);
    }
}

TEST(ProgressOnTheSimulator, TellsNoTimeWhileTheLinkIsCutAndTheRightOneAfterwards) {
    Scenario scenario = rewriting(50, WorkingSet::Order::random);
    scenario.link.bandwidth = {{0_s, mebibytes_per_second(119)}, {20_s, {}}, {35_s, mebibytes_per_second(119)}};
    const Report report = run(scenario);
    ASSERT_EQ(report.ending, Report::Ending::completed);
    int inside = 0;
    for (const Moment& moment : replay(report)) {
        EXPECT_FALSE(moment.eta && moment.sample.elapsed > 25_s && moment.sample.elapsed < 35_s);
        if (moment.sample.elapsed < 38_s) continue;
        inside += moment.inside();
    }
    EXPECT_GT(inside, 10);
}

TEST(ProgressOnTheSimulator, NeverFallsAndLeavesHopelessOnesWhereTheyAre) {
    for (const Trace& trace : published_traces()) {
        Scenario scenario = from_trace(trace);
        scenario.patience = std::chrono::minutes(20);
        const Report report = run(scenario);
        const bool hopeless = trace.name.starts_with("stress-ng");
        int before = 0;
        int at_the_end = 0;
        for (const Moment& moment : replay(report)) {
            EXPECT_GE(moment.percent, before) << trace.name;
            before = moment.percent;
            EXPECT_FALSE(moment.eta && moment.sample.iteration > 2 && hopeless);
            at_the_end = moment.percent;
        }
        EXPECT_TRUE(!hopeless || at_the_end <= 80) << at_the_end;
        EXPECT_TRUE(report.ending != Report::Ending::completed || at_the_end >= 95) << trace.name << at_the_end;
    }
}

}  // namespace
}  // namespace vmmi::engine::test
