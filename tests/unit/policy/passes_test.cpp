// SPDX-License-Identifier: Apache-2.0
#include "vmmi/passes.h"

#include <gtest/gtest.h>

#include "policy/guests.h"

namespace vmmi::policy::test {
namespace {

Sample at(double seconds, int iteration, double remaining, double transferred) {
    Sample sample;
    sample.trigger = Sample::Trigger::iteration;
    sample.iteration = iteration;
    sample.elapsed = Milliseconds(std::llround(1000 * seconds));
    sample.total = mebibytes(1000);
    sample.remaining = mebibytes(static_cast<std::uint64_t>(remaining));
    sample.transferred = mebibytes(static_cast<std::uint64_t>(transferred));
    sample.bandwidth = mebibytes_per_second(100);
    sample.downtime_limit = Milliseconds(300);
    return sample;
}

TEST(Passes, AreRecordedFromBoundaryToBoundary) {
    Passes passes;
    EXPECT_TRUE(passes.add(at(1, 1, 1000, 0)));
    EXPECT_TRUE(passes.add(at(11, 2, 400, 1000)));
    ASSERT_EQ(passes.completed().size(), 1U);
    const Pass& first = passes.completed().front();
    EXPECT_EQ(first.number, 1);
    EXPECT_EQ(first.began, Milliseconds(1'000));
    EXPECT_EQ(first.duration, Milliseconds(10'000));
    EXPECT_EQ(first.to_move, mebibytes(1000));
    EXPECT_EQ(first.moved, mebibytes(1000));
    EXPECT_EQ(first.dirtied, mebibytes(400));
    EXPECT_EQ(first.bandwidth, mebibytes_per_second(100));
    EXPECT_EQ(first.dirty_rate, mebibytes_per_second(40));
    EXPECT_TRUE(first.whole);
    EXPECT_EQ(passes.current()->number, 2);
}

TEST(Passes, BeginOnceHoweverManySamplesTheyHave) {
    Passes passes;
    passes.add(at(0, 1, 1000, 0));
    EXPECT_FALSE(passes.add(at(5, 1, 500, 500)));
    EXPECT_EQ(passes.current()->duration, Milliseconds(5'000));
    EXPECT_EQ(passes.current()->to_move, mebibytes(1000));
    EXPECT_EQ(passes.current()->left_over, mebibytes(500));
}

TEST(Passes, DoNotBeginBeforeQemuDoes) {
    Passes passes;
    EXPECT_FALSE(passes.add(at(0, 0, 0, 0)));
    Sample preparing = at(1, 1, 0, 0);
    preparing.total = {};
    EXPECT_FALSE(passes.add(preparing));
    Sample paused = at(2, 1, 10, 0);
    paused.phase = Phase::switchover;
    EXPECT_FALSE(passes.add(paused));
    EXPECT_FALSE(passes.current());
}

TEST(Passes, HaveABandwidthWithoutTheOutages) {
    Passes passes;
    passes.add(at(0, 1, 1000, 0));
    passes.add(at(20, 2, 400, 1000), Milliseconds(10'000));
    EXPECT_EQ(passes.completed().front().outage, Milliseconds(10'000));
    EXPECT_EQ(passes.completed().front().bandwidth, mebibytes_per_second(100));
    passes.add(at(24, 3, 400, 1400), Milliseconds(10'000));
    EXPECT_EQ(passes.completed().back().outage, Milliseconds(0));
}

/// QEMU ends a pass of 400 MiB with 100 MiB left where the limit is 1 s: of the 250 MiB of the next, 150 are new.
TEST(Passes, TellWhatIsNewFromWhatWasLeftOver) {
    Passes passes;
    Sample first = at(0, 2, 400, 1000);
    first.downtime_limit = Milliseconds(1'000);
    passes.add(first);
    passes.add(at(3, 3, 250, 1300));
    EXPECT_EQ(passes.completed().front().left_over, mebibytes(100));
    EXPECT_EQ(passes.completed().front().dirtied, mebibytes(150));
    EXPECT_EQ(passes.completed().front().dirty_rate, mebibytes_per_second(50));
}

TEST(Passes, DoNotTakeCompressionForWhatWasLeftOver) {
    Passes passes;
    passes.add(at(0, 2, 400, 1000));
    passes.add(at(1, 3, 250, 1020));
    EXPECT_EQ(passes.completed().front().left_over, mebibytes(30));  // 300 ms of 100 MiB/s
    EXPECT_EQ(passes.completed().front().moved, mebibytes(20));
}

TEST(Passes, ThatNobodySawAreJoinedAndHaveQemusDirtyRate) {
    Passes passes;
    passes.add(at(0, 2, 400, 1000));
    Sample later = at(9, 5, 300, 1900);
    later.dirty_rate = mebibytes_per_second(90);
    passes.add(later);
    ASSERT_EQ(passes.completed().size(), 1U);
    const Pass& joined = passes.completed().front();
    EXPECT_FALSE(joined.whole);
    EXPECT_EQ(joined.number, 4);
    EXPECT_EQ(joined.moved, mebibytes(900));
    EXPECT_EQ(joined.dirty_rate, mebibytes_per_second(90));
}

TEST(Passes, BeginInTheMiddleAtATakeover) {
    Passes passes;
    Sample now = at(100, 7, 200, 5000);
    now.trigger = Sample::Trigger::interval;
    passes.add(now);
    EXPECT_FALSE(passes.current()->whole);
    passes.add(at(102, 8, 300, 5200));
    EXPECT_FALSE(passes.completed().front().whole);
    EXPECT_TRUE(passes.current()->whole);
}

TEST(Passes, AreNotWholeWhereATakeoverComesLateInTheFirst) {
    const auto whole = [](double remaining, double transferred) {
        Passes passes;
        Sample now = at(1, 1, remaining, transferred);
        now.trigger = Sample::Trigger::interval;
        passes.add(now);
        Sample next = at(11, 2, 60, 1000);
        next.dirty_rate = mebibytes_per_second(7);
        passes.add(next);
        EXPECT_EQ(passes.completed().front().dirty_rate == next.dirty_rate, !passes.completed().front().whole);
        return passes.completed().front().whole;
    };
    EXPECT_TRUE(whole(960, 40));
    EXPECT_FALSE(whole(300, 700));
}

TEST(Passes, AreDatedBackWhereTheirFirstSampleComesLate) {
    Passes passes;
    passes.add(at(0, 1, 1000, 0));
    passes.add(at(9, 1, 100, 900));
    passes.add(at(11, 2, 300, 1100));  // 100 MiB of it since 10 s
    EXPECT_EQ(passes.current()->began, Milliseconds(10'000));
    EXPECT_EQ(passes.current()->to_move, mebibytes(400));
    EXPECT_EQ(passes.current()->moved, mebibytes(100));
    EXPECT_EQ(passes.completed().front().duration, Milliseconds(10'000));
    EXPECT_EQ(passes.completed().front().dirtied, mebibytes(400));
}

TEST(Passes, TakeTheThrottleInForceDuringAPass) {
    Passes passes;
    passes.add(at(0, 2, 400, 1000));
    Sample between = at(2, 2, 200, 1200);
    between.throttle_percent = 20;
    passes.add(between);
    Sample next = at(4, 3, 300, 1400);
    next.throttle_percent = 30;
    passes.add(next);
    EXPECT_EQ(passes.completed().front().throttle_percent, 20);
    EXPECT_EQ(passes.current()->throttle_percent, 30);
}

TEST(Passes, SurviveCountersThatRunBackwards) {
    Passes passes;
    passes.add(at(10, 1, 1000, 500));
    passes.add(at(5, 2, 400, 100));
    EXPECT_EQ(passes.completed().front().duration, Milliseconds(0));
    EXPECT_EQ(passes.completed().front().moved, Bytes{});
    EXPECT_EQ(passes.completed().front().bandwidth, BytesPerSecond{});
}

TEST(Passes, BeginAnewWhereTheirNumberFalls) {
    Passes passes;
    passes.add(at(0, 1, 1000, 0));
    passes.add(at(10, 2, 400, 1000));
    EXPECT_TRUE(passes.add(at(11, 1, 1000, 0)));
    EXPECT_TRUE(passes.completed().empty());
}

TEST(Passes, KeepTheFirstAndTheMostRecent) {
    Passes passes;
    for (int i = 1; i <= 10'000; ++i) passes.add(at(i, i, 1, i));
    EXPECT_EQ(passes.completed().size(), Passes::most);
    EXPECT_EQ(passes.completed().front().number, 1);
    EXPECT_EQ(passes.completed().back().number, 9'999);
}

}  // namespace
}  // namespace vmmi::policy::test
