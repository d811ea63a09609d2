// SPDX-License-Identifier: Apache-2.0
#include "vmmi/forecast.h"

#include <gtest/gtest.h>

#include "policy/guests.h"

namespace vmmi::policy::test {
namespace {

using Basis = Forecast::Basis;
constexpr Milliseconds limit{300};

Forecast after(const ModelGuest& guest, int passes) {
    Forecaster forecaster;
    for (const Sample& sample : boundaries(guest, passes)) forecaster.add(sample);
    return forecaster.forecast();
}

double mebi(Bytes amount) {
    return static_cast<double>(amount.count) / mib;
}
double mebi(BytesPerSecond rate) {
    return static_cast<double>(rate.count) / mib;
}
double seconds(Milliseconds time) {
    return static_cast<double>(time.count()) / 1000;
}

TEST(Forecast, KnowsNothingInTheFirstPass) {
    const Forecast forecast = after({}, 1);
    EXPECT_EQ(forecast.basis(), Basis::nothing);
    EXPECT_EQ(forecast.plateau().confidence, 0);
    EXPECT_EQ(forecast.reach(limit).high, std::nullopt);
    EXPECT_EQ(forecast.switchover_limit(limit), std::nullopt);
    EXPECT_EQ(forecast.alternatives(limit).limit, std::nullopt);
}

TEST(Forecast, KnowsTheWorkingSetAndTheDirtyRateAfterTwoPasses) {
    const Forecast forecast = after({}, 3);
    EXPECT_EQ(forecast.basis(), Basis::model);
    EXPECT_NEAR(mebi(forecast.working_set().value), 2000, 40);
    EXPECT_NEAR(mebi(forecast.dirty_rate().value), 150, 5);
    EXPECT_NEAR(mebi(forecast.bandwidth().value), 100, 1);
}

TEST(Forecast, HasThePlateauAtWhichTheMigrationComesToStand) {
    const ModelGuest guest;
    const double plateau = mebi(boundaries(guest, 100).back().remaining);
    const Forecast forecast = after(guest, 4);
    EXPECT_NEAR(mebi(forecast.plateau().value), plateau, 0.02 * plateau);
    EXPECT_NEAR(seconds(forecast.pause().value), plateau / 100 + 0.05, 0.3);
    EXPECT_TRUE(forecast.reach(limit).never());
}

TEST(Forecast, ConvergesWhereTheLinkIsFasterThanTheGuest) {
    ModelGuest guest;
    guest.dirty_rate = 50 * mib;
    EXPECT_EQ(after(guest, 3).plateau().value, Bytes{});
    EXPECT_FALSE(after(guest, 3).reach(limit).never());
}

/// What is told at the third pass against what then happens.
TEST(Forecast, TellsThePassesTheTrafficAndTheTimeToTheEnd) {
    ModelGuest guest;
    guest.dirty_rate = 50 * mib;
    const std::vector<Sample> all = boundaries(guest, 30);
    const Reach reach = after(guest, 3).reach(limit);
    std::size_t end = 2;
    while (mebi(all[end].remaining) > 100 * 0.25) ++end;
    EXPECT_EQ(reach.passes, static_cast<int>(end) - 2);
    const double time = seconds(all[end].elapsed - all[2].elapsed) + mebi(all[end].remaining) / 100 + 0.05;
    EXPECT_NEAR(seconds(reach.expected), time, 0.03 * time);
    EXPECT_NEAR(mebi(reach.to_send), mebi(all[end + 1].transferred - all[2].transferred), 30);
    EXPECT_LT(reach.low, reach.expected);
    ASSERT_TRUE(reach.high);
    EXPECT_GT(*reach.high, reach.expected);
}

TEST(Forecast, FallsThroughAPassAsItGoes) {
    ModelGuest guest;
    guest.dirty_rate = 50 * mib;
    std::vector<Sample> all = boundaries(guest, 3);
    Forecaster forecaster;
    for (const Sample& sample : all) forecaster.add(sample);
    const Reach before = forecaster.forecast().reach(limit);
    Sample later = all.back();
    later.trigger = Sample::Trigger::interval;
    later.elapsed += Milliseconds(2'000);
    later.remaining = later.remaining - mebibytes(200);
    later.transferred = later.transferred + mebibytes(200);
    forecaster.add(later);
    const Reach now = forecaster.forecast().reach(limit);
    EXPECT_EQ(now.passes, before.passes);
    EXPECT_NEAR(seconds(now.expected), seconds(before.expected) - 2, 0.1);
}

TEST(Forecast, TrustsItselfMoreWithEveryPass) {
    double before = 0;
    for (int passes = 1; passes <= 6; ++passes) {
        const double now = after({}, passes).plateau().confidence;
        EXPECT_GE(now, before) << passes;
        before = now;
    }
    EXPECT_LE(after({}, 2).plateau().confidence, 0.3);
    EXPECT_GE(after({}, 5).plateau().confidence, 0.9);
}

TEST(Forecast, SeesThroughTheThrottle) {
    ModelGuest guest;
    guest.throttle = 40;
    const Forecast forecast = after(guest, 4);
    EXPECT_NEAR(mebi(forecast.dirty_rate_unthrottled().value), 150, 5);
    EXPECT_NEAR(mebi(forecast.dirty_rate().value), 90, 4);
    EXPECT_EQ(forecast.plateau().value, Bytes{});
    guest.throttle = 0;
    EXPECT_NEAR(mebi(forecast.with_throttle(0).plateau().value), mebi(after(guest, 4).plateau().value), 40);
}

TEST(Forecast, CountsTheTimeOfCompressedPassesAndNotTheirBytes) {
    ModelGuest guest;
    guest.wire_cost = 0.5;
    guest.dirty_rate = 300 * mib;
    const double plateau = mebi(boundaries(guest, 200).back().remaining);
    const Forecast forecast = after(guest, 6);
    EXPECT_NEAR(mebi(forecast.plateau().value), plateau, 0.05 * plateau);
    EXPECT_NEAR(seconds(forecast.pause().value), plateau / 100 + 0.05, 0.7);  // QEMU counts what pages have in memory
}

TEST(WhatIf, AnotherBandwidthIsAsIfTheGuestWereThere) {
    ModelGuest faster;
    faster.bandwidth = 130 * mib;
    const Forecast told = after({}, 5).with_bandwidth(mebibytes_per_second(130));
    const double plateau = mebi(boundaries(faster, 200).back().remaining);
    EXPECT_NEAR(mebi(told.plateau().value), plateau, 0.05 * plateau);
}

TEST(WhatIf, TheBandwidthThatIsNamedSufficesAndALittleLessDoesNot) {
    const Forecast forecast = after({}, 5);
    const BytesPerSecond enough = *forecast.bandwidth_for(limit);
    EXPECT_FALSE(forecast.with_bandwidth({enough.count * 101 / 100}).reach(limit).never());
    EXPECT_TRUE(forecast.with_bandwidth({enough.count * 99 / 100}).reach(limit).never());
}

TEST(WhatIf, TheThrottleThatIsNamedSufficesAndALittleLessDoesNot) {
    const Forecast forecast = after({}, 5);
    const int enough = *forecast.throttle_for(limit);
    EXPECT_FALSE(forecast.with_throttle(enough).reach(limit).never());
    EXPECT_TRUE(forecast.with_throttle(enough - 2).reach(limit).never());
}

TEST(WhatIf, NoBandwidthAndNoThrottleMakeUpForTheFixedPart) {
    const Forecast forecast = after({}, 5);
    EXPECT_EQ(forecast.bandwidth_for(Milliseconds(50)), std::nullopt);
    EXPECT_EQ(forecast.throttle_for(Milliseconds(50)), std::nullopt);
    EXPECT_TRUE(forecast.reach(Milliseconds(50)).never());
}

TEST(WhatIf, PostCopyTakesAsLongAsThePlateauOrWhatIsLeft) {
    const Forecast early = after({}, 2);
    EXPECT_NEAR(seconds(*early.postcopy()), 1996 / 100.0, 1.0);
    const Forecast late = after({}, 20);
    EXPECT_NEAR(seconds(*late.postcopy()), seconds(late.pause().value), 0.2);
}

TEST(WhatIf, AlternativesMeetTheLimit) {
    const Forecast forecast = after({}, 6);
    const Alternatives offer = forecast.alternatives(limit);
    EXPECT_LT(forecast.reach(*offer.limit).passes.value_or(1000), 1000);
    EXPECT_FALSE(forecast.with_bandwidth(*offer.bandwidth).reach(limit).never());
    EXPECT_FALSE(forecast.with_throttle(*offer.throttle_percent).reach(limit).never());
    EXPECT_EQ(*offer.throttle_percent % 5, 0);
    EXPECT_TRUE(offer.postcopy);
}

TEST(WhatIf, ABandwidthOutOfReachIsNotOffered) {
    const Forecast forecast = after({}, 5).with_bandwidth(mebibytes_per_second(10));
    EXPECT_GT(*forecast.bandwidth_for(limit), mebibytes_per_second(100));
    EXPECT_EQ(forecast.alternatives(limit).bandwidth, std::nullopt);
}

TEST(WhatIf, NeitherBandwidthNorThrottleAreOfferedWhereTheDirtyRateMayBeAny) {
    ModelGuest guest;
    guest.dirty_rate = 5'000 * mib;
    const Alternatives offer = after(guest, 4).alternatives(limit);
    EXPECT_EQ(offer.bandwidth, std::nullopt);
    EXPECT_EQ(offer.throttle_percent, std::nullopt);
    EXPECT_TRUE(offer.limit);
    EXPECT_TRUE(offer.postcopy);
}

TEST(SwitchoverLimit, IsThePauseWithItsMarginAndTheFixedPart) {
    const Forecast forecast = after({}, 20);
    const double memory = seconds(forecast.pause().value) - 0.05;
    EXPECT_NEAR(seconds(*forecast.switchover_limit(Milliseconds(60'000))), 1.2 * memory + 0.05, 0.01);
    EXPECT_NEAR(seconds(*forecast.switchover_limit(Milliseconds(60'000), 1.5)), 1.5 * memory + 0.05, 0.01);
}

TEST(SwitchoverLimit, NeverExceedsWhatIsAllowed) {
    const Forecast forecast = after({}, 20);
    const Milliseconds just = forecast.pause().value + Milliseconds(10);
    EXPECT_EQ(forecast.switchover_limit(just), just);
    EXPECT_EQ(forecast.switchover_limit(forecast.pause().value - Milliseconds(10)), std::nullopt);
}

TEST(ChangingLoad, FallsBackToTheQuietestPassAndSaysSo) {
    std::vector<Sample> all = boundaries({}, 8);
    Forecaster forecaster;
    for (const Sample& sample : all) forecaster.add(sample);
    EXPECT_EQ(forecaster.forecast().basis(), Basis::model);
    const double confidence = forecaster.forecast().plateau().confidence;

    Sample quiet = all.back();
    ++quiet.iteration;
    quiet.elapsed += Milliseconds(12'000);
    quiet.transferred = quiet.transferred + quiet.remaining;
    quiet.remaining = mebibytes(300);
    forecaster.add(quiet);
    EXPECT_EQ(forecaster.forecast().basis(), Basis::window_minimum);
    EXPECT_LT(forecaster.forecast().plateau().confidence, confidence);
    EXPECT_LE(mebi(forecaster.forecast().plateau().value), 300);
    EXPECT_FALSE(forecaster.forecast().reach(limit).never());
}

TEST(ChangingLoad, IsForgottenWhenTheNewOneLasts) {
    const ModelGuest before;
    ModelGuest now;
    now.dirty_rate = 150 * mib;
    now.working_set = 1200 * mib;
    Forecaster forecaster;
    for (const Sample& sample : boundaries(before, 6)) forecaster.add(sample);
    const Sample last = boundaries(before, 6).back();
    now.total = static_cast<double>(last.remaining.count);
    for (Sample sample : boundaries(now, 20)) {
        if (sample.iteration == 1) continue;
        sample.iteration += 5;
        sample.elapsed += last.elapsed;
        sample.transferred = sample.transferred + last.transferred;
        sample.total = last.total;
        forecaster.add(sample);
    }
    EXPECT_EQ(forecaster.forecast().basis(), Basis::model);
    const double plateau = mebi(boundaries(now, 100).back().remaining);
    EXPECT_NEAR(mebi(forecaster.forecast().plateau().value), plateau, 0.15 * plateau);
}

TEST(Takeover, BeginsWithQemusDirtyRateAndFitsAfterTheNextPasses) {
    const std::vector<Sample> all = boundaries({}, 12);
    Sample middle = all[7];
    middle.trigger = Sample::Trigger::interval;
    middle.elapsed += Milliseconds(3'000);
    middle.remaining = middle.remaining - mebibytes(300);
    middle.transferred = middle.transferred + mebibytes(300);
    Forecaster forecaster;
    forecaster.add(middle);
    EXPECT_EQ(forecaster.forecast().basis(), Basis::dirty_rate);
    EXPECT_LE(forecaster.forecast().plateau().confidence, 0.2);
    for (std::size_t i = 8; i < all.size(); ++i) forecaster.add(all[i]);
    const double plateau = mebi(boundaries({}, 100).back().remaining);
    EXPECT_EQ(forecaster.forecast().basis(), Basis::model);
    EXPECT_NEAR(mebi(forecaster.forecast().plateau().value), plateau, 0.03 * plateau);
    // All of one duration: how much of it is the working set and how much the rate is not known.
    EXPECT_LE(forecaster.forecast().working_set().confidence, 0.55);
}

TEST(Forecaster, FollowsALowerCapAtOnce) {
    Forecaster forecaster;
    for (const Sample& sample : boundaries({}, 4)) forecaster.add(sample);
    forecaster.limit_bandwidth(mebibytes_per_second(20));
    Sample next = boundaries({}, 4).back();
    next.elapsed += Milliseconds(10);
    forecaster.add(next);
    EXPECT_EQ(forecaster.forecast().bandwidth().value, mebibytes_per_second(20));
}

}  // namespace
}  // namespace vmmi::policy::test
