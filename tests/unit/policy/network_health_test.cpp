// SPDX-License-Identifier: Apache-2.0
#include "vmmi/network_health.h"

#include <gtest/gtest.h>

namespace vmmi {
namespace {

using State = NetworkHealth::State;

/// A link of 100 MiB/s under a migration, second by second.
struct Link {
    NetworkHealth health;
    Sample now;

    Link() {
        now.iteration = 1;
        now.total = now.remaining = mebibytes(100'000);
        now.bandwidth = mebibytes_per_second(100);  // and frozen at that
        health.add(now);
    }

    void seconds(int count, std::uint64_t wire, std::uint64_t drained) {
        for (int i = 0; i < count; ++i) {
            now.elapsed += Milliseconds(1'000);
            now.transferred = now.transferred + mebibytes(wire);
            now.remaining = now.remaining - mebibytes(drained);
            health.add(now);
        }
    }
    void seconds(int count, std::uint64_t wire) { seconds(count, wire, wire); }
    void passes_of_a_moment(int count) {
        for (int i = 0; i < count; ++i) {
            ++now.iteration;
            now.remaining = mebibytes(20);
            now.elapsed += Milliseconds(300);
            now.transferred = now.transferred + mebibytes(2);
            health.add(now);
        }
    }
};

TEST(NetworkHealth, IsHealthyAtItsAverage) {
    Link link;
    link.seconds(30, 100);
    EXPECT_EQ(link.health.state(), State::healthy);
    EXPECT_EQ(link.health.average(), mebibytes_per_second(100));
    EXPECT_EQ(link.health.healthy_for(), Milliseconds(30'000));
    EXPECT_EQ(link.health.outage(), Milliseconds(0));
}

TEST(NetworkHealth, SeesADeadLinkAndCountsFromItsBeginning) {
    Link link;
    link.seconds(30, 100);
    link.seconds(2, 0);
    EXPECT_EQ(link.health.state(), State::healthy);
    EXPECT_EQ(link.health.healthy_for(), Milliseconds(0));
    link.seconds(8, 0);
    EXPECT_EQ(link.health.state(), State::broken);
    EXPECT_EQ(link.health.outage(), Milliseconds(10'000));
    link.seconds(5, 100);
    EXPECT_EQ(link.health.state(), State::healthy);
    EXPECT_EQ(link.health.healthy_for(), Milliseconds(5'000));
    EXPECT_EQ(link.health.outage(), Milliseconds(10'000));
}

TEST(NetworkHealth, AddsUpItsOutages) {
    Link link;
    for (int i = 0; i < 3; ++i) {
        link.seconds(30, 100);
        link.seconds(5, 0);
    }
    EXPECT_EQ(link.health.outage(), Milliseconds(15'000));
}

TEST(NetworkHealth, SeesACollapsedLinkAsBrokenAndASlowOneAsDegraded) {
    Link link;
    link.seconds(60, 100);
    link.seconds(10, 30);
    EXPECT_EQ(link.health.state(), State::degraded);
    EXPECT_EQ(link.health.outage(), Milliseconds(0));
    link.seconds(60, 5);
    EXPECT_EQ(link.health.state(), State::broken);
    EXPECT_EQ(link.health.outage(), Milliseconds(60'000));
    link.seconds(1, 30);
    EXPECT_EQ(link.health.state(), State::degraded);
}

TEST(NetworkHealth, SeesAnOutageBetweenTwoSamplesAMinuteApart) {
    Link link;
    link.seconds(60, 100);
    link.now.elapsed += Milliseconds(60'000);
    link.health.add(link.now);
    EXPECT_EQ(link.health.state(), State::broken);
    EXPECT_EQ(link.health.outage(), Milliseconds(60'000));
}

TEST(NetworkHealth, GetsUsedToALinkThatTricklesOnButNotToADeadOne) {
    Link link;
    link.seconds(60, 100);
    link.seconds(1'200, 5);
    EXPECT_NE(link.health.state(), State::broken);
    Link dead;
    dead.seconds(60, 100);
    dead.seconds(3'600, 0);
    EXPECT_EQ(dead.health.state(), State::broken);
}

TEST(NetworkHealth, GetsUsedToASlowLinkThatCompressionHelps) {
    for (const std::uint64_t drained : {30U, 5U}) {
        Link link;
        link.seconds(60, 100);
        for (int pass = 0; pass < 300; ++pass) {
            ++link.now.iteration;
            link.now.remaining = mebibytes(1'000);
            link.seconds(10, 1, drained);
        }
        EXPECT_EQ(link.health.state(), State::healthy) << drained;
    }
}

TEST(NetworkHealth, TakesNeitherZeroNorCompressedPagesForAnOutage) {
    Link link;
    link.seconds(30, 100);
    link.seconds(30, 0, 4'000);  // zero pages
    EXPECT_EQ(link.health.state(), State::healthy);
    ++link.now.iteration;
    link.now.remaining = mebibytes(100'000);
    link.seconds(30, 3, 90);  // xbzrle
    EXPECT_EQ(link.health.state(), State::healthy);
    EXPECT_EQ(link.health.average(), mebibytes_per_second(100));
}

TEST(NetworkHealth, TakesATinyLastPassForNothing) {
    Link link;
    link.seconds(30, 100);
    ++link.now.iteration;
    link.now.remaining = {100'000};
    link.seconds(10, 0);
    EXPECT_EQ(link.health.state(), State::healthy);
    EXPECT_EQ(link.health.outage(), Milliseconds(0));
}

TEST(NetworkHealth, TakesPassesOfAMomentForNothing) {
    Link link;
    link.seconds(30, 100);
    link.passes_of_a_moment(200);
    EXPECT_EQ(link.health.state(), State::healthy);
    EXPECT_EQ(link.health.outage(), Milliseconds(0));
}

TEST(NetworkHealth, KeepsNoStateThatNothingTellsOfAnyMore) {
    for (const std::uint64_t rate : {30U, 0U}) {
        Link link;
        link.seconds(60, 100);
        link.seconds(10, rate);
        ASSERT_NE(link.health.state(), State::healthy);
        const Milliseconds outage = link.health.outage();
        link.passes_of_a_moment(4);
        EXPECT_NE(link.health.state(), State::healthy) << "too early";
        link.passes_of_a_moment(8);
        EXPECT_EQ(link.health.state(), State::healthy);
        EXPECT_EQ(link.health.outage(), outage);
    }
}

TEST(NetworkHealth, TakesThePauseOfASwitchoverForNothing) {
    Link link;
    link.seconds(30, 100);
    link.now.phase = Phase::switchover;
    link.seconds(20, 0);
    EXPECT_EQ(link.health.state(), State::healthy);
    link.now.phase = Phase::precopy;  // it failed
    link.seconds(10, 100);
    EXPECT_EQ(link.health.outage(), Milliseconds(0));
}

TEST(NetworkHealth, TakesThePreparationForNothing) {
    NetworkHealth health;
    Sample now;
    for (int second = 0; second < 60; ++second) {
        now.elapsed = Milliseconds(1'000 * second);
        health.add(now);
    }
    EXPECT_EQ(health.state(), State::healthy);
    EXPECT_EQ(health.outage(), Milliseconds(0));
    EXPECT_EQ(health.healthy_for(), Milliseconds(0));
}

TEST(NetworkHealth, TakesALowerCapForNothing) {
    Link link;
    link.seconds(60, 100);
    link.health.limit(mebibytes_per_second(5));
    link.seconds(60, 5);
    EXPECT_EQ(link.health.state(), State::healthy);
    EXPECT_EQ(link.health.outage(), Milliseconds(0));
    link.seconds(10, 0);
    EXPECT_EQ(link.health.state(), State::broken);
}

TEST(NetworkHealth, JudgesPostCopyToo) {
    Link link;
    link.seconds(30, 100);
    link.now.phase = Phase::postcopy;
    link.seconds(10, 100);
    EXPECT_EQ(link.health.state(), State::healthy);
    link.seconds(10, 0);
    EXPECT_EQ(link.health.state(), State::broken);
}

}  // namespace
}  // namespace vmmi
