// SPDX-License-Identifier: Apache-2.0
#include "throttling.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

namespace throttling {
namespace {

using namespace vmmi;

Guest guest() {
    return {.name = "g1", .uuid = "", .memory = mebibytes(1024)};
}

Result<std::unique_ptr<Policy>> made(const Object& given) {
    return plugin().make_policy(apply_keys(plugin().keys, given, "configuration").value());
}

AutoConverge steps_of(const Object& given) {
    return *(*made(given))->plan(guest()).auto_converge;
}

Object at_most(int percent) {
    return {{"throttle", Object{{"maximumPercent", percent}}}};
}

TEST(ThrottlingSteps, BeginCloseToTheMaximumAndRiseAsSlowlyAsCanBe) {
    EXPECT_EQ(steps_of({}), (AutoConverge{75, 1})) << "to 80";
    EXPECT_EQ(steps_of(at_most(99)), (AutoConverge{94, 1}));
    EXPECT_EQ(steps_of(at_most(20)), (AutoConverge{18, 1}));
    EXPECT_EQ(steps_of(at_most(1)), (AutoConverge{1, 1}));
}

TEST(ThrottlingSteps, AreTheUsersWhereGiven) {
    EXPECT_EQ(steps_of({{"autoConverge", Object{{"initialPercent", 20}, {"incrementPercent", 7}}}}),
              (AutoConverge{20, 7}));
    EXPECT_EQ(steps_of({{"autoConverge", Object{{"initialPercent", 20}}}}), (AutoConverge{20, 6})) << "ten to 80";
}

RC_GTEST_PROP(ThrottlingStepsProperty, EndAtTheMaximum, ()) {
    const int maximum = *rc::gen::inRange(1, 100);
    const bool given = *rc::gen::arbitrary<bool>();
    const Steps steps =
        steps_to(maximum, given ? std::optional(*rc::gen::inRange(1, maximum + 1)) : std::nullopt, std::nullopt);
    RC_ASSERT(steps.initial >= 1 && steps.increment >= 1);
    int throttle = steps.after(0);
    int count = 0;
    for (; throttle < maximum; throttle = steps.after(throttle)) ++count;
    RC_ASSERT(throttle == maximum);
    RC_ASSERT(count <= 10);
}

TEST(ThrottlingSteps, OfSomebodyElseAreTakenForQemusOwn) {
    const Steps steps{75, 1};
    EXPECT_EQ(steps.after(77), 78);
    EXPECT_EQ(steps.after(30), 40);
}

TEST(ThrottlingPlan, ThrottlesUnderTheInitialLimit) {
    const MigrationRequest request =
        (*made({{"downtime", Object{{"initialMs", 30}}}, {"bandwidthMiBPerSecond", 70}}))->plan(guest());
    EXPECT_TRUE(request.live);
    EXPECT_TRUE(request.auto_converge);
    EXPECT_EQ(request.downtime_limit, Milliseconds(30));
    EXPECT_EQ(request.bandwidth, mebibytes_per_second(70));
}

TEST(ThrottlingPlan, SendsWhatChangedOfAPageWhereThatGoes) {
    const auto methods = [](const Object& given) { return (*made(given))->plan(guest()).compression.methods; };
    const Object four{{"connections", 4}};
    EXPECT_EQ(methods({}), std::vector<std::string>{"xbzrle"});
    EXPECT_TRUE(methods({{"parallel", four}}).empty());
    EXPECT_EQ(methods({{"parallel", four}, {"compression", Object{{"methods", List{"zstd"}}}}}),
              std::vector<std::string>{"zstd"});
    EXPECT_TRUE(methods({{"xbzrle", false}}).empty());
    const auto contradictory = made({{"parallel", four}, {"compression", Object{{"methods", List{"xbzrle"}}}}});
    ASSERT_FALSE(contradictory) << "who asks for it gets it or is told";
    EXPECT_NE(contradictory.error().details.find("excludes configuration.parallel.connections"), std::string::npos)
        << contradictory.error().details;
}

TEST(ThrottlingSettings, ContradictNowhere) {  // CFG-13
    const auto mistake = [](const Object& given) {
        const auto policy = made(given);
        if (policy) return std::string("none");
        EXPECT_EQ(policy.error().code, ErrorCode::malformed_configuration);
        return policy.error().details;
    };
    EXPECT_EQ(mistake({}), "none");
    EXPECT_NE(mistake({{"downtime", Object{{"initialMs", 501}}}}).find("configuration.downtime.initialMs: 501"),
              std::string::npos);
    EXPECT_NE(mistake({{"autoConverge", Object{{"enabled", false}}}}).find("configuration.autoConverge.enabled: false"),
              std::string::npos);
    EXPECT_NE(mistake({{"autoConverge", Object{{"initialPercent", 90}}}})
                  .find("configuration.autoConverge.initialPercent: 90 is above throttle.maximumPercent, 80"),
              std::string::npos);
    const Object short_pause{{"maximumMs", 400}};
    EXPECT_NE(
        mistake({{"whenThrottlingFails", "pause"}, {"pause", short_pause}}).find("configuration.pause.maximumMs: 400"),
        std::string::npos);
    EXPECT_EQ(mistake({{"pause", short_pause}}), "none") << "no pause was asked for";
}

/// The beginning of a pass that moves 64 MiB at 50 MiB/s, dirtied meanwhile by a guest that writes twice as fast.
Sample busy(int iteration, std::optional<int> throttle = {}) {
    Sample sample;
    sample.trigger = Sample::Trigger::iteration;
    sample.iteration = sample.looks = iteration;
    sample.elapsed = Milliseconds(1280 * iteration);
    sample.total = mebibytes(1024);
    sample.remaining = mebibytes(64);
    sample.transferred = mebibytes(static_cast<std::uint64_t>(64 * iteration));
    sample.bandwidth = mebibytes_per_second(50);
    sample.dirty_rate = mebibytes_per_second(50);
    sample.throttle_percent = throttle;
    return sample;
}

/// A policy that has seen so many such passes, without a throttle.
std::unique_ptr<Policy> after_passes(int passes, const Object& given = {}) {
    std::unique_ptr<Policy> policy = *made(given);
    policy->plan(guest());
    for (int i = 1; i <= passes; ++i) policy->decide(busy(i));
    return policy;
}

template <typename What>
bool has(const std::vector<Action>& actions) {
    return std::ranges::any_of(actions, [](const Action& action) { return std::holds_alternative<What>(action.what); });
}

TEST(Throttling, DoesNothingBeforeItKnowsTheGuest) {
    const auto policy = after_passes(0);
    EXPECT_TRUE(policy->decide(busy(1)).empty());
    EXPECT_TRUE(policy->decide(busy(2)).empty()) << "one pass has no shape";
}

TEST(Throttling, RaisesTheLimitForAGuestThatWritesFasterThanTheLink) {
    const auto policy = after_passes(2);
    const std::vector<Action> actions = policy->decide(busy(3, 75));
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_EQ(std::get<SetDowntimeLimit>(actions[0].what).limit, Milliseconds(500));
    for (const char* part : {"pass 3", "64 MiB", "1.28 s", "less than throttling"})
        EXPECT_NE(actions[0].reason.find(part), std::string::npos) << part << " in: " << actions[0].reason;
}

TEST(Throttling, RaisesTheLimitNoFurtherThanThePauseNeeds) {
    const auto policy = after_passes(2, {{"downtime", Object{{"maximumMs", 10'000}}}});
    const std::vector<Action> actions = policy->decide(busy(3));
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_EQ(std::get<SetDowntimeLimit>(actions[0].what).limit, Milliseconds(1536)) << "1.2 times 1.28 s";
}

TEST(Throttling, OrdersALimitOnceMoreThatWasRefused) {
    const auto policy = after_passes(2);
    const auto pass = [&](int iteration) {
        Sample sample = busy(iteration, 75);
        sample.downtime_limit = Milliseconds(100);
        return policy->decide(sample);
    };
    EXPECT_TRUE(has<SetDowntimeLimit>(pass(3)));
    const std::vector<Action> again = pass(4);
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(std::get<SetDowntimeLimit>(again[0].what).limit, Milliseconds(500));
}

TEST(Throttling, KeepsTheMaximumAlsoIfQemuWouldGoBeyond) {
    const auto policy = after_passes(2);
    policy->decide(busy(3, 75));
    policy->decide(busy(4, 80));
    const std::vector<Action> actions = policy->decide(busy(5, 80));
    ASSERT_TRUE(has<AbortMigration>(actions)) << "the first of two such periods";
    EXPECT_NE(actions.back().reason.find("to 81 %"), std::string::npos) << actions.back().reason;
}

TEST(Throttling, KeepsTheMaximumAlsoWhereQemuLooksInTheMiddleOfAPass) {
    const auto policy = after_passes(3);
    Sample inside = busy(3);
    inside.trigger = Sample::Trigger::interval;
    inside.dirty = mebibytes(64);
    const auto second = [&](int looks, int throttle) {
        inside.elapsed += Milliseconds(1'000);
        inside.transferred = inside.transferred + mebibytes(50);
        inside.looks = looks;
        inside.throttle_percent = throttle;
        return policy->decide(inside);
    };
    EXPECT_TRUE(second(4, 80).empty()) << "QEMU has just taken that step";
    EXPECT_TRUE(second(4, 80).empty());
    const std::vector<Action> actions = second(5, 80);
    ASSERT_TRUE(has<AbortMigration>(actions));
    EXPECT_NE(actions.back().reason.find("to 81 %"), std::string::npos) << actions.back().reason;
}

TEST(Throttling, EndsWhereItDoesNotHelp) {
    const auto policy = after_passes(2);
    int passes = 3;
    std::vector<Action> actions;
    for (; passes < 10 && !has<AbortMigration>(actions); ++passes) actions = policy->decide(busy(passes, 75));
    EXPECT_EQ(passes - 1, 7) << "after three passes and four seconds under the throttle";
    EXPECT_NE(actions.back().reason.find("does not help"), std::string::npos) << actions.back().reason;
}

TEST(Throttling, EndsAsConfigured) {
    const auto last = [](Object given) {
        const auto policy = after_passes(2, given);
        policy->decide(busy(3, 75));
        const std::vector<Action> actions = policy->decide(busy(4, 90));
        EXPECT_FALSE(actions.empty());
        EXPECT_TRUE(policy->decide(busy(5, 90)).empty()) << "said once";
        return actions.back();
    };
    EXPECT_TRUE(std::holds_alternative<AbortMigration>(last({}).what));
    EXPECT_TRUE(std::holds_alternative<Wait>(last({{"whenThrottlingFails", "continue"}}).what));
    const Action pause = last({{"whenThrottlingFails", "pause"}});
    EXPECT_EQ(std::get<PauseGuest>(pause.what).longest, Milliseconds(5'000));
    const Action none = last({{"whenThrottlingFails", "pause"}, {"pause", Object{{"maximumMs", 1'000}}}});
    EXPECT_TRUE(std::holds_alternative<AbortMigration>(none.what)) << "a pause of 1.28 s is known not to suffice";
}

TEST(Throttling, AbortsWhereThePauseWasNotToBeHad) {
    const auto policy = after_passes(2, {{"whenThrottlingFails", "pause"}});
    policy->decide(busy(3, 75));
    ASSERT_TRUE(has<PauseGuest>(policy->decide(busy(4, 90))));
    EXPECT_TRUE(policy->decide(busy(5, 90)).empty()) << "a moment later, it may not be in force yet";
    EXPECT_TRUE(has<AbortMigration>(policy->decide(busy(9, 90))));
    EXPECT_TRUE(policy->decide(busy(10, 90)).empty());
}

TEST(Throttling, KeepsStillAfterPostCopyBegan) {
    const auto policy = after_passes(2);
    Sample sample = busy(3, 90);
    sample.phase = Phase::postcopy;
    EXPECT_TRUE(policy->decide(sample).empty());
}

TEST(Throttling, AbortsAtTheCeilingOrGoesOn) {
    const auto at_ceiling = [](const char* action) {
        const auto policy = after_passes(2, {{"ceiling", Object{{"secondsPerGiB", 10}, {"action", action}}}});
        Sample late = busy(3);
        late.elapsed = Milliseconds(10'000);
        return policy->decide(late);
    };
    EXPECT_TRUE(has<AbortMigration>(at_ceiling("abort")));
    EXPECT_TRUE(has<Wait>(at_ceiling("continue")));
}

TEST(ThrottlingTakeover, BringsTheLimitIntoItsRange) {
    const auto policy = *made({});
    Sample now = busy(3);
    now.downtime_limit = Milliseconds(300);
    EXPECT_TRUE(policy->adopt(guest(), now).empty());
    now.downtime_limit = Milliseconds(3'000);
    const std::vector<Action> actions = policy->adopt(guest(), now);
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_EQ(std::get<SetDowntimeLimit>(actions[0].what).limit, Milliseconds(500));
}

}  // namespace
}  // namespace throttling
