// SPDX-License-Identifier: Apache-2.0
#include "engine/progress.h"

#include <gtest/gtest.h>

#include "engine/script.h"

namespace vmmi::engine::test {
namespace {

JobStats first_pass(std::uint64_t remaining_mebibytes) {
    JobStats stats = running_job(1);
    stats.memory_remaining = mebibytes(remaining_mebibytes);
    stats.dirty_rate = {};
    return stats;
}

TEST(Progress, IsZeroBeforeMemoryIsSent) {
    Progress progress;
    progress.update(JobStats{});
    EXPECT_EQ(progress.percent(), 0);
    EXPECT_FALSE(progress.eta());
}

TEST(Progress, KeepsAShareBackForThePassesAfterTheFirst) {
    Progress progress;
    progress.update(first_pass(512));
    EXPECT_EQ(progress.percent(), 40);  // 512 / (512 + 512 + 256)
    progress.update(first_pass(0));
    EXPECT_EQ(progress.percent(), 80);
}

TEST(Progress, CountsZeroPagesAsDone) {
    Progress progress;
    JobStats stats = first_pass(100);
    stats.memory_transferred = mebibytes(1);
    progress.update(stats);
    EXPECT_GT(progress.percent(), 70);
}

TEST(Progress, TellsTheTimeOfTheGeometricSeriesOfPasses) {
    Progress progress;
    progress.update(first_pass(512));
    EXPECT_EQ(progress.eta(), 5120_ms);
    JobStats second = running_job(2);  // 512 MiB at 100 MiB/s, dirtied at 20 MiB/s
    progress.update(second);
    ASSERT_TRUE(progress.eta());
    EXPECT_NEAR(static_cast<double>(progress.eta()->count()), 512.0 / (1 - 0.2) / 100 * 1000, 1);
}

TEST(Progress, TellsNoTimeWhileItDoesNotConverge) {
    Progress progress;
    JobStats stats = running_job(2);
    stats.dirty_rate = mebibytes_per_second(95);
    progress.update(stats);
    EXPECT_FALSE(progress.eta());
}

TEST(Progress, TellsNoTimeWhileTheLinkStandsStill) {
    Progress progress;
    JobStats stats = running_job(1);
    stats.bandwidth = {};
    progress.update(stats);
    EXPECT_FALSE(progress.eta());
}

TEST(Progress, TellsNoNegativeTimeForAbsurdNumbers) {
    Progress progress;
    JobStats stats = running_job(1);
    stats.memory_remaining = {~std::uint64_t{0}};
    stats.bandwidth = {1};
    progress.update(stats);
    EXPECT_GE(progress.eta().value_or(0_ms).count(), 0);
}

}  // namespace
}  // namespace vmmi::engine::test
