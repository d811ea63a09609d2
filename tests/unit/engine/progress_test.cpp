// SPDX-License-Identifier: Apache-2.0
#include "engine/progress.h"

#include <gtest/gtest.h>

#include "engine/script.h"
#include "policy/guests.h"

namespace vmmi::engine::test {
namespace {

using policy::test::boundaries;
using policy::test::mib;
using policy::test::ModelGuest;

Sample first_pass(std::uint64_t remaining_mebibytes) {
    JobStats stats = running_job(1);
    stats.memory_remaining = mebibytes(remaining_mebibytes);
    stats.dirty_rate = {};
    return sample_of(stats);
}

TEST(Progress, IsZeroBeforeMemoryIsSent) {
    Progress progress;
    progress.update(Sample{});
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

Sample storage(std::uint64_t remaining_mebibytes) {
    Sample sample;
    sample.phase = Phase::storage;
    sample.disk_total = mebibytes(1024);
    sample.disk_remaining = mebibytes(remaining_mebibytes);
    return sample;
}

TEST(Progress, CountsDisksBeforeTheMemoryAndWithIt) {
    Progress progress;
    progress.expect(mebibytes(1024));
    progress.update(storage(512));
    EXPECT_EQ(progress.percent(), 22);  // 512 / (1024 + 1024 + 256)
    EXPECT_FALSE(progress.eta());
    progress.update(storage(0));
    EXPECT_EQ(progress.percent(), 44);
    Sample sample = first_pass(512);
    sample.disk_total = mebibytes(1024);
    progress.update(sample);
    EXPECT_EQ(progress.percent(), 66);
    EXPECT_TRUE(progress.eta());
}

TEST(Progress, IsZeroWhereNothingIsKnownOfDisksNorMemory) {
    Progress progress;
    Sample sample;
    sample.disk_remaining = mebibytes(1);
    progress.update(sample);
    EXPECT_EQ(progress.percent(), 0);
}

TEST(Progress, CountsZeroPagesAsDone) {
    Progress progress;
    Sample sample = first_pass(100);
    sample.transferred = mebibytes(1);
    progress.update(sample);
    EXPECT_GT(progress.percent(), 70);
}

TEST(Progress, TellsTheEndOfTheFirstPassAndNoLatestOne) {
    Progress progress;
    progress.update(first_pass(512));
    ASSERT_TRUE(progress.eta());
    EXPECT_EQ(progress.eta()->expected, 5170_ms);  // 512 MiB at 100 MiB/s, and the fixed part of the pause
    EXPECT_LT(progress.eta()->earliest, 5000_ms);
    EXPECT_FALSE(progress.eta()->latest) << "how busy the guest is shows only after it";
}

TEST(Progress, TakesTheRestToHoldAsManyZeroPagesAsWhatIsSent) {
    Progress progress;
    Sample sample = first_pass(1024);
    sample.elapsed = 0_ms;
    sample.transferred = {};
    progress.update(sample);
    sample = first_pass(512);
    sample.elapsed = 1000_ms;
    sample.transferred = mebibytes(100);  // of 512: the others were zero
    progress.update(sample);
    ASSERT_TRUE(progress.eta());
    EXPECT_EQ(progress.eta()->expected, 1050_ms);
}

TEST(Progress, IsThatOfTheForecastFromTheSecondPassOn) {
    const ModelGuest guest{.working_set = 1000 * mib, .dirty_rate = 40 * mib};
    Progress progress;
    Forecaster forecaster;
    for (Sample sample : boundaries(guest, 4)) {
        sample.downtime_limit = 300_ms;
        progress.update(sample);
        forecaster.add(sample);
        if (sample.iteration < 2) continue;
        const Reach reach = forecaster.forecast().reach(300_ms);
        ASSERT_TRUE(progress.eta()) << sample.iteration;
        EXPECT_EQ(progress.eta()->expected, reach.expected);
        EXPECT_EQ(progress.eta()->earliest, reach.low);
        ASSERT_TRUE(progress.eta()->latest);
        EXPECT_EQ(*progress.eta()->latest, *reach.high + 1000_ms);
        const double sent = static_cast<double>(sample.transferred.count);
        const double all = sent + static_cast<double>(reach.to_send.count);
        EXPECT_EQ(progress.percent(), static_cast<int>(100 * sent / all)) << sample.iteration;
    }
}

TEST(Progress, StandsStillAndTellsNoTimeWhereTheLimitIsNeverMet) {
    const ModelGuest hopeless;  // writes 150 MiB/s, and the link takes 100
    Progress progress;
    int before = 0;
    for (Sample sample : boundaries(hopeless, 8)) {
        sample.downtime_limit = 300_ms;
        progress.update(sample);
        if (sample.iteration > 3) {
            EXPECT_FALSE(progress.eta()) << sample.iteration;
            EXPECT_EQ(progress.percent(), before) << sample.iteration;
        }
        before = progress.percent();
    }
    EXPECT_LT(before, 85);
}

TEST(Progress, OfATakeoverCountsWhatWasSentOnce) {
    Progress progress;
    Sample sample = sample_of(running_job(3));  // 1500 of 1024 MiB are sent, 512 are left
    sample.dirty_rate = mebibytes_per_second(1);
    progress.update(sample);
    EXPECT_NEAR(progress.percent(), 100 * 1500 / (1500 + 512), 1);
}

TEST(Progress, SendsNothingTwiceInPostCopyAndInTheSwitchover) {
    for (const Phase phase : {Phase::switchover, Phase::postcopy}) {
        Progress progress;
        progress.update(first_pass(0));
        JobStats stats = running_job(2);  // dirtied at 20 MiB/s
        stats.dirty_rate = mebibytes_per_second(200);
        progress.update(sample_of(stats, phase));
        ASSERT_TRUE(progress.eta()) << to_string(phase);
        EXPECT_EQ(progress.eta()->expected, 5120_ms) << to_string(phase);
        EXPECT_TRUE(progress.eta()->latest) << to_string(phase);
        stats.memory_remaining = mebibytes(1);
        stats.memory_transferred = mebibytes(1500);
        progress.update(sample_of(stats, phase));
        EXPECT_EQ(progress.percent(), 99) << to_string(phase);
    }
}

TEST(Progress, TellsNoTimeWhilePostCopyIsBroken) {
    Progress progress;
    progress.update(sample_of(running_job(2), Phase::postcopy_failed));
    EXPECT_FALSE(progress.eta());
    EXPECT_GT(progress.percent(), 0);
}

TEST(Progress, TellsNoTimeWhileTheLinkStandsStill) {
    Progress progress;
    Sample sample = first_pass(512);
    sample.bandwidth = {};
    progress.update(sample);
    EXPECT_FALSE(progress.eta());
}

TEST(Progress, TellsNoTimeOverABrokenLinkWhateverQemuSays) {
    Progress progress;
    Sample sample = first_pass(1000);
    for (std::uint64_t second = 0; second < 20; ++second) {
        const std::uint64_t moved = 50 * std::min<std::uint64_t>(second, 10);
        sample.elapsed = Milliseconds(static_cast<std::int64_t>(1000 * second));
        sample.remaining = mebibytes(1000 - moved);
        sample.transferred = mebibytes(moved);
        progress.update(sample);
        EXPECT_TRUE(progress.eta() || second > 10) << second;
    }
    EXPECT_FALSE(progress.eta());  // its bandwidth is frozen at 100 MiB/s
}

TEST(Progress, CountsANewCapAtOnceAndNotAsABrokenLink) {
    Progress progress;
    Sample sample = first_pass(1000);
    for (std::uint64_t second = 0; second < 20; ++second) {
        const std::uint64_t moved = second <= 10 ? 50 * second : 500 + 2 * (second - 10);
        if (second == 11) progress.limit_bandwidth(mebibytes_per_second(2));
        sample.elapsed = Milliseconds(static_cast<std::int64_t>(1000 * second));
        sample.remaining = mebibytes(1000 - moved);
        sample.transferred = mebibytes(moved);
        progress.update(sample);
        ASSERT_TRUE(progress.eta()) << second;
    }
    EXPECT_NEAR(static_cast<double>(progress.eta()->expected.count()), 1000 * 482.0 / 2, 100);
}

TEST(Progress, StaysBetweenItsBoundsForAbsurdNumbers) {
    for (const std::uint64_t remaining : {std::uint64_t{0}, ~std::uint64_t{0}}) {
        for (const std::uint64_t total : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
            for (const Phase phase : {Phase::storage, Phase::precopy, Phase::switchover, Phase::postcopy}) {
                Progress progress;
                JobStats stats = running_job(1);
                stats.memory_remaining = {remaining};
                stats.memory_total = {total};
                stats.disk_total = {1};
                progress.update(sample_of(stats, phase));
                stats.iteration = 2;
                progress.update(sample_of(stats, phase));
                EXPECT_GE(progress.percent(), 0) << remaining << " of " << total;
                EXPECT_LE(progress.percent(), 99) << remaining << " of " << total;
            }
        }
    }
}

TEST(Progress, TellsNoNegativeTimeForAbsurdNumbers) {
    for (const Phase phase : {Phase::precopy, Phase::postcopy}) {
        Progress progress;
        JobStats stats = running_job(1);
        stats.memory_remaining = {~std::uint64_t{0}};
        stats.bandwidth = {1};
        progress.update(sample_of(stats, phase));
        EXPECT_GE(progress.eta().value_or(Eta{}).earliest.count(), 0);
        EXPECT_GE(progress.eta().value_or(Eta{}).expected.count(), 0);
    }
}

}  // namespace
}  // namespace vmmi::engine::test
