// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "policy/guests.h"
#include "vmmi/explain.h"
#include "vmmi/policy.h"

namespace vmmi::policy::test {
namespace {

/// The policy of docs/writing-a-plugin.md.
class Patient : public Policy {
  public:
    MigrationRequest plan(const Guest&) override { return {.downtime_limit = limit_}; }

    std::vector<Action> decide(const Sample& sample) override {
        if (!forecaster_.add(sample)) return {};  // no pass begins
        const Forecast& forecast = forecaster_.forecast();
        const Reach reach = forecast.reach(limit_);
        if (!reach.never() || reach.confidence < 0.8) return {};
        if (const auto set = forecast.switchover_limit(highest_limit_))
            return {{SetDowntimeLimit{*set}, explain(forecast, limit_, forecast.alternatives(limit_))}};
        return {};
    }

  private:
    Milliseconds limit_{300};
    Milliseconds highest_limit_{4'000};
    Forecaster forecaster_;
};

std::optional<Action> first_action(const ModelGuest& guest) {
    Patient policy;
    for (const Sample& sample : boundaries(guest, 12))
        for (const Action& action : policy.decide(sample)) return action;
    return std::nullopt;
}

TEST(PolicyOfThreeCalls, RaisesTheLimitToWhatTheGuestNeeds) {
    ModelGuest guest;
    guest.working_set = 250 * mib;
    guest.dirty_rate = 400 * mib;
    const std::optional<Action> action = first_action(guest);
    ASSERT_TRUE(action);
    const double needed = 1000 * static_cast<double>(boundaries(guest, 100).back().remaining.count) / guest.bandwidth;
    const auto set = static_cast<double>(std::get<SetDowntimeLimit>(action->what).limit.count());
    EXPECT_GT(set, needed);
    EXPECT_LT(set, 1.3 * needed);
    EXPECT_EQ(action->reason.find("cannot meet 300 ms: plateau 2.4"), 0U) << action->reason;
}

TEST(PolicyOfThreeCalls, LeavesAGuestAloneThatConvergesOrNeedsTooMuch) {
    ModelGuest converges;
    converges.dirty_rate = 50 * mib;
    EXPECT_FALSE(first_action(converges));
    ModelGuest needs_too_much;
    needs_too_much.dirty_rate = 600 * mib;
    EXPECT_FALSE(first_action(needs_too_much));
}

}  // namespace
}  // namespace vmmi::policy::test
