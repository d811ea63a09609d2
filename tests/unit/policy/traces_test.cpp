// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "policy/guests.h"
#include "vmmi/explain.h"

namespace vmmi::policy::test {
namespace {

constexpr Milliseconds limit{300};
/// Of an answer on which a policy would act that cannot take back what it does.
constexpr double clear = 0.8;

/// Shows `look` the forecaster at the beginning of every pass.
template <typename Look>
void at_boundaries(const simulator::Trace& trace, Look look) {
    Forecaster forecaster;
    for (const Sample& sample : samples(trace))
        if (forecaster.add(sample)) look(forecaster, sample);
}

TEST(PublishedTrace, StressNgIsClearAfterThreePasses) {
    at_boundaries(stress_ng(), [](const Forecaster& forecaster, const Sample& sample) {
        if (sample.iteration < 4) return;
        const Reach reach = forecaster.forecast().reach(limit);
        EXPECT_TRUE(reach.never());
        EXPECT_GE(reach.confidence, clear) << "pass " << sample.iteration;
        EXPECT_NEAR(static_cast<double>(forecaster.forecast().plateau().value.count) / mib, 5'140, 150);
        EXPECT_TRUE(forecaster.stall().stalled());
    });
}

TEST(PublishedTrace, KernelBuildIsNeverHopelessSinceItEndsByItself) {
    int last = 0;
    at_boundaries(kernel_build(), [&](const Forecaster& forecaster, const Sample& sample) {
        const Reach reach = forecaster.forecast().reach(limit);
        EXPECT_TRUE(!reach.never() || reach.confidence < 0.7) << "pass " << sample.iteration << ' ' << reach.confidence;
        // From 350 MiB on it takes seconds.
        if (sample.remaining < mebibytes(1'000)) {
            EXPECT_FALSE(reach.never()) << "pass " << sample.iteration;
            EXPECT_LT(reach.expected, Milliseconds(10'000));
            EXPECT_EQ(forecaster.forecast().basis(), Forecast::Basis::window_minimum);
        }
        last = sample.iteration;
    });
    EXPECT_EQ(last, 23);
}

TEST(PublishedTrace, RedisThatFlushesHasNoOneCurveAndItsQuietPassesCount) {
    int window_minimum = 0;
    at_boundaries(redis_with_flushes(), [&](const Forecaster& forecaster, const Sample& sample) {
        const Forecast& forecast = forecaster.forecast();
        if (sample.iteration < 5) return;
        window_minimum += forecast.basis() == Forecast::Basis::window_minimum;
        // Whole seconds are all that is known of passes of seven.
        EXPECT_NEAR(static_cast<double>(forecast.plateau().value.count) / mib, 790, 250) << "pass " << sample.iteration;
        EXPECT_LT(forecast.plateau().confidence, 0.5) << "pass " << sample.iteration;
    });
    EXPECT_GE(window_minimum, 10);
}

TEST(PublishedTrace, RedisOverACollapsingNetworkHasAnOutageAndNoStall) {
    Forecaster forecaster;
    bool seen = false;
    for (const Sample& sample : samples(redis_with_collapse())) {
        forecaster.add(sample);
        EXPECT_FALSE(forecaster.stall().stalled()) << sample.elapsed.count();
        seen = seen || forecaster.network().state() == NetworkHealth::State::broken;
        EXPECT_EQ(seen, sample.elapsed >= Milliseconds(156'000)) << sample.elapsed.count();
        // What the link takes is what it takes when it works. (From 257 s on it is slow once more, in the trace
        // itself.)
        const double rate = static_cast<double>(forecaster.forecast().bandwidth().value.count) / mib;
        if (sample.elapsed > Milliseconds(1'000) && sample.elapsed < Milliseconds(257'000)) {
            EXPECT_NEAR(rate, 110, 45) << sample.elapsed.count();
        }
    }
    EXPECT_NEAR(static_cast<double>(forecaster.network().outage().count()), 61'000, 3'000);
}

TEST(PublishedTrace, MariadbIsSeenToConvergeWhereItDoes) {
    at_boundaries(mariadb(), [](const Forecaster& forecaster, const Sample& sample) {
        const Reach reach = forecaster.forecast().reach(limit);
        EXPECT_TRUE(!reach.never() || reach.confidence < 0.5) << "pass " << sample.iteration;
        EXPECT_TRUE(sample.remaining != mebibytes(45) || reach.passes <= 1);
        EXPECT_FALSE(forecaster.stall().stalled());
    });
}

TEST(RecordedMigration, IsForecastAsItWas) {
    Forecaster forecaster;
    for (const Sample& sample : recorded()) {
        if (!forecaster.add(sample) || sample.iteration < 4 || sample.downtime_limit > Milliseconds(2'500)) continue;
        const Forecast& forecast = forecaster.forecast();
        EXPECT_NEAR(static_cast<double>(forecast.working_set().value.count) / mib, 128, 16) << sample.iteration;
        EXPECT_NEAR(static_cast<double>(forecast.bandwidth().value.count) / mib, 23.7, 0.5) << sample.iteration;
        EXPECT_NEAR(static_cast<double>(forecast.pause().value.count()), 5'300, 700) << sample.iteration;
        EXPECT_TRUE(forecast.reach(limit).never());
        EXPECT_GE(forecast.reach(limit).confidence, 0.5) << sample.iteration;
    }
    EXPECT_EQ(forecaster.network().outage(), Milliseconds(0));
}

}  // namespace
}  // namespace vmmi::policy::test
