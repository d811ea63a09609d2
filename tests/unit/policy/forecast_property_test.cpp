// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "policy/guests.h"
#include "vmmi/budget.h"
#include "vmmi/explain.h"

namespace vmmi::policy::test {
namespace {

double between(double low, double high) {
    return low + (high - low) * *rc::gen::inRange(0, 10'000) / 10'000.0;
}

ModelGuest any_guest() {
    ModelGuest guest;
    guest.working_set = between(50, 6'000) * mib;
    guest.bandwidth = between(20, 1'000) * mib;
    guest.dirty_rate = guest.bandwidth * between(0.1, 5);
    guest.seed = static_cast<unsigned int>(*rc::gen::inRange(1, 1'000'000));
    return guest;
}

std::uint64_t hostile_number() {
    const auto any = *rc::gen::arbitrary<std::uint64_t>();
    return *rc::gen::element<std::uint64_t>(0, 1, 4'096, 1ULL << 30, any >> 1, any, ~0ULL);
}

Sample hostile_sample() {
    Sample sample;
    sample.trigger = *rc::gen::element(Sample::Trigger::iteration, Sample::Trigger::interval);
    sample.phase = *rc::gen::element(Phase::precopy, Phase::precopy, Phase::precopy, Phase::starting, Phase::switchover,
                                     Phase::postcopy, Phase::postcopy_failed);
    sample.elapsed = Milliseconds(static_cast<std::int64_t>(hostile_number()));
    sample.iteration = *rc::gen::element(0, 1, 2, 3, 4, *rc::gen::arbitrary<int>(), std::numeric_limits<int>::max());
    sample.total = {hostile_number()};
    sample.remaining = {hostile_number()};
    sample.transferred = {hostile_number()};
    sample.bandwidth = {hostile_number()};
    sample.dirty_rate = {hostile_number()};
    sample.expected_downtime = Milliseconds(static_cast<std::int64_t>(hostile_number()));
    sample.downtime_limit = Milliseconds(static_cast<std::int64_t>(hostile_number()));
    if (*rc::gen::arbitrary<bool>()) sample.throttle_percent = *rc::gen::arbitrary<int>();
    return sample;
}

void is_sane(const Forecast& forecast, Milliseconds limit) {
    const Forecast::Model& model = forecast.model();
    for (const double number : {model.working_set, model.dirty_rate, model.bandwidth, model.wire_cost, model.remaining,
                                model.to_move, model.throttle, model.fixed_part})
        RC_ASSERT(std::isfinite(number) && number >= 0);
    for (const double confidence :
         {forecast.working_set().confidence, forecast.dirty_rate().confidence, forecast.bandwidth().confidence,
          forecast.plateau().confidence, forecast.pause().confidence, forecast.reach(limit).confidence})
        RC_ASSERT(confidence >= 0 && confidence <= 1);
    RC_ASSERT(forecast.plateau().value <= forecast.working_set().value);
    RC_ASSERT(forecast.dirty_rate().value <= forecast.dirty_rate_unthrottled().value);
    const Reach reach = forecast.reach(limit);
    RC_ASSERT(reach.low.count() >= 0 && reach.low <= reach.expected);
    RC_ASSERT(reach.high.value_or(reach.expected) >= reach.expected);
    if (const auto set = forecast.switchover_limit(limit)) RC_ASSERT(set->count() > 0 && *set <= limit);
    if (const auto percent = forecast.throttle_for(limit)) RC_ASSERT(*percent >= 0 && *percent <= 99);
    RC_ASSERT(!explain(forecast, limit, forecast.alternatives(limit)).empty());
}

RC_GTEST_PROP(ForecastProperty, AnySequenceOfSamplesLeavesItSane, ()) {
    Forecaster forecaster;
    LostWork lost;
    const int samples = *rc::gen::inRange(1, 40);
    for (int i = 0; i < samples; ++i) {
        const Sample sample = hostile_sample();
        if (*rc::gen::inRange(0, 5) == 0) forecaster.limit_bandwidth({hostile_number()});
        forecaster.add(sample);
        lost.add(sample);
        is_sane(forecaster.forecast(),
                *rc::gen::element(Milliseconds(300), sample.downtime_limit, Milliseconds::min()));
        is_sane(forecaster.forecast().with_bandwidth(sample.bandwidth).with_throttle(101), Milliseconds(300));
        RC_ASSERT(forecaster.passes().completed().size() <= Passes::most);
        RC_ASSERT(!explain(forecaster.network()).empty() && !explain(forecaster.stall()).empty());
        RC_ASSERT(forecaster.network().outage().count() >= 0 && forecaster.network().healthy_for().count() >= 0);
        RC_ASSERT(lost.total().count() >= 0);
        const TimeBudget budget{.allowed = sample.downtime_limit, .count_outages = false};
        RC_ASSERT(budget.left(sample.elapsed, forecaster.network().outage())->count() >= 0);
    }
}

RC_GTEST_PROP(ForecastProperty, AGuestThatKeepsToTheModelIsForecastWithinTheNoise, ()) {
    ModelGuest guest = any_guest();
    guest.noise = 0.02;
    // Close to the edge noise decides.
    const double busy = guest.dirty_rate / guest.bandwidth;
    RC_PRE(busy < 0.8 || busy > 1.25);
    Forecaster forecaster;
    for (const Sample& sample : boundaries(guest, 7)) forecaster.add(sample);
    const Forecast& forecast = forecaster.forecast();
    guest.noise = 0;
    const auto plateau = static_cast<double>(boundaries(guest, 400).back().remaining.count);
    const auto told = static_cast<double>(forecast.plateau().value.count);
    RC_ASSERT(std::abs(told - plateau) <= 0.15 * guest.working_set);
    RC_ASSERT(forecast.basis() == Forecast::Basis::model);
    is_sane(forecast, Milliseconds(300));
}

RC_GTEST_PROP(ForecastProperty, TheIntervalHoldsWhatHappens, ()) {
    ModelGuest guest = any_guest();
    guest.dirty_rate = guest.bandwidth * between(0.1, 0.8);
    guest.noise = 0.02;
    const std::vector<Sample> all = boundaries(guest, 60);
    Forecaster forecaster;
    for (int i = 0; i < 3; ++i) forecaster.add(all[static_cast<std::size_t>(i)]);
    std::size_t end = 2;
    while (static_cast<double>(all[end].remaining.count) > 0.25 * guest.bandwidth) ++end;
    const Reach reach = forecaster.forecast().reach(Milliseconds(300));
    const Milliseconds happened = all[end].elapsed - all[2].elapsed +
                                  Milliseconds(static_cast<std::int64_t>(
                                      1000.0 * static_cast<double>(all[end].remaining.count) / guest.bandwidth));
    RC_ASSERT(!reach.never());
    // One pass more or less, where a boundary just misses the limit, is within the limit itself.
    RC_ASSERT(reach.low <= happened + Milliseconds(300));
    RC_ASSERT(reach.high.value_or(happened) + Milliseconds(300) >= happened);
}

RC_GTEST_PROP(ForecastProperty, ThePlateauGrowsWithTheDirtyRateAndFallsWithBandwidthAndThrottle, ()) {
    Forecast::Model model;
    model.basis = Forecast::Basis::model;
    model.working_set = between(1, 100'000) * mib;
    model.bandwidth = between(1, 10'000) * mib;
    model.dirty_rate = between(0, 20'000) * mib;
    model.wire_cost = between(0.01, 2);
    const Forecast forecast(model);
    Forecast::Model busier = model;
    busier.dirty_rate *= 1 + between(0, 3);
    RC_ASSERT(Forecast(busier).plateau().value >= forecast.plateau().value);
    const auto faster = static_cast<std::uint64_t>(std::ceil(model.bandwidth * (1 + between(0, 3))));
    RC_ASSERT(forecast.with_bandwidth({faster}).plateau().value <= forecast.plateau().value);
    RC_ASSERT(forecast.with_bandwidth({faster}).pause().value <= forecast.pause().value);
    const int throttle = *rc::gen::inRange(0, 99);
    RC_ASSERT(forecast.with_throttle(throttle + 1).plateau().value <= forecast.with_throttle(throttle).plateau().value);
}

}  // namespace
}  // namespace vmmi::policy::test
