// SPDX-License-Identifier: Apache-2.0
#include "schedule_policy.h"

#include <gtest/gtest.h>

namespace schedule {
namespace {

using namespace vmmi;

constexpr std::uint64_t link = 100;  // MiB/s

What downtime(int limit) {
    return SetDowntimeLimit{Milliseconds(limit)};
}

/// Passes of so many seconds, one after the other, each beginning with as much as the link takes in one.
class Passes {
  public:
    explicit Passes(FollowSchedule::Options options, double gibibytes = 1) : policy(std::move(options)) {
        Guest guest;
        guest.memory = {static_cast<std::uint64_t>(gibibytes * (1 << 30))};
        request = policy.plan(guest);
    }

    std::vector<Action> pass(int seconds = 10, std::uint64_t left = 0) {
        ++now_.iteration;
        now_.trigger = Sample::Trigger::iteration;
        pass_mebibytes_ = left > 0 ? left : link * static_cast<std::uint64_t>(seconds);
        left_ = pass_mebibytes_;
        std::vector<Action> actions = ask();
        now_.trigger = Sample::Trigger::interval;
        for (int second = 0; second < seconds; ++second) {
            now_.elapsed += Milliseconds(1000);
            const std::uint64_t moved = stands ? 0 : std::min(left_, link);
            left_ -= moved;
            now_.transferred = now_.transferred + mebibytes(moved);
            for (Action& action : ask()) actions.push_back(std::move(action));
        }
        return actions;
    }

    Milliseconds elapsed() const { return now_.elapsed; }

    FollowSchedule policy;
    MigrationRequest request;
    bool stands = false;  ///< the link

  private:
    std::vector<Action> ask() {
        now_.phase = Phase::precopy;
        now_.total = mebibytes(1024);
        now_.remaining = mebibytes(left_);
        now_.bandwidth = mebibytes_per_second(link);
        now_.dirty_rate = now_.iteration > 1 ? mebibytes_per_second(link) : BytesPerSecond{};
        now_.downtime_limit = Milliseconds(300);
        return policy.decide(now_);
    }

    Sample now_;
    std::uint64_t left_ = 0;
    std::uint64_t pass_mebibytes_ = 0;
};

FollowSchedule::Options with(std::vector<Step> steps, std::vector<Rule> rules = {}) {
    return {.schedule = {.init = {downtime(100)}, .stalling = std::move(steps), .rules = std::move(rules)}};
}

/// The index of the alternative in What, for every action.
template <typename T>
bool is(const std::vector<Action>& actions) {
    return actions.size() == 1 && std::holds_alternative<T>(actions.front().what);
}

TEST(FollowSchedule, StartsWithWhatInitSaysAndWithPostCopyOnlyWhereItIsInTheSchedule) {  // SCHED-3
    EXPECT_EQ(Passes(with({})).request.downtime_limit, Milliseconds(100));
    EXPECT_FALSE(Passes(with({})).request.postcopy);
    EXPECT_TRUE(Passes(with({{-1, StartPostCopy{}}})).request.postcopy);
    EXPECT_TRUE(Passes(with({}, {{{.elapsed = Milliseconds(1)}, StartPostCopy{}}})).request.postcopy);
    EXPECT_EQ(Passes(FollowSchedule::Options{}).request.downtime_limit, std::nullopt);
}

TEST(FollowSchedule, TakesAStepWhenMorePassesThanItsLimitBeganAfterTheFirst) {  // SCHED-4
    Passes run(with({{1, downtime(150)}, {3, downtime(200)}, {-1, AbortMigration{}}}));
    EXPECT_TRUE(run.pass().empty());
    EXPECT_TRUE(run.pass().empty()) << "one pass after the first";
    const std::vector<Action> first = run.pass();
    ASSERT_TRUE(is<SetDowntimeLimit>(first));
    EXPECT_EQ(std::get<SetDowntimeLimit>(first[0].what).limit, Milliseconds(150));
    EXPECT_EQ(first[0].reason,
              "step 1 of 3: pass 3 begins with 1000 MiB, and 2 passes after the first one are more than 1");
    EXPECT_TRUE(run.pass().empty());
    EXPECT_TRUE(is<SetDowntimeLimit>(run.pass()));
    EXPECT_TRUE(is<AbortMigration>(run.pass())) << "the next pass";
}

TEST(FollowSchedule, TakesOneStepInAMonitorInterval) {  // SCHED-5
    FollowSchedule::Options options = with({{-1, downtime(150)}, {-1, downtime(200)}, {-1, downtime(300)}});
    options.step_interval = Milliseconds(10'000);
    Passes run(std::move(options));
    run.pass(9);
    std::vector<int> took;
    for (int pass = 2; pass < 30; ++pass)
        if (!run.pass(2).empty()) took.push_back(pass);
    EXPECT_EQ(took, (std::vector<int>{3, 8, 13})) << "at 11, 21 and 31 s";
}

TEST(FollowSchedule, AppliesARuleWhenAllItsConditionsHold) {
    Passes run(with({}, {{{.elapsed = Milliseconds(25'000), .pause_above = Milliseconds(9'000)}, AbortMigration{}}}));
    run.pass(10);
    EXPECT_TRUE(run.pass(10).empty()) << "too early";
    EXPECT_TRUE(run.pass(8).empty()) << "a pause of 8 s, or 9 with what the forecast makes of it";
    EXPECT_TRUE(is<AbortMigration>(run.pass(11)));
}

TEST(FollowSchedule, CountsTimeForEveryGibibyteOfTheGuest) {
    const auto aborts_after = [](double gibibytes) {
        Passes run(with({}, {{{.elapsed_per_gibibyte = 15}, AbortMigration{}}}), gibibytes);
        while (!is<AbortMigration>(run.pass(1)) && run.elapsed() < Milliseconds(100'000)) {
        }
        return run.elapsed();
    };
    EXPECT_EQ(aborts_after(0.5), Milliseconds(15'000));
    EXPECT_EQ(aborts_after(1), Milliseconds(15'000));
    EXPECT_EQ(aborts_after(4), Milliseconds(60'000));
}

TEST(FollowSchedule, SeesAStallAtTheBeginningsOfPasses) {
    Passes run(with({}, {{{.stalled = Milliseconds(40'000)}, AbortMigration{}}}));
    for (int pass = 1; pass <= 6; ++pass) EXPECT_TRUE(run.pass().empty()) << pass;
    const std::vector<Action> actions = run.pass();
    ASSERT_TRUE(is<AbortMigration>(actions));
    EXPECT_EQ(actions[0].reason, "rule 1 of 1: no pass began below 96 % of 1000 MiB for 50 s");
}

TEST(FollowSchedule, BelievesTheForecastWhereItIsSure) {
    Passes run(with({}, {{{.forecast_above = Milliseconds(500)}, AbortMigration{}}}));
    int passes = 0;
    std::vector<Action> actions;
    while (actions.empty() && passes < 20) {
        actions = run.pass();
        ++passes;
    }
    ASSERT_TRUE(is<AbortMigration>(actions));
    EXPECT_GE(passes, 3);
    EXPECT_NE(actions[0].reason.find("cannot meet 500 ms"), std::string::npos) << actions[0].reason;
}

TEST(FollowSchedule, DoesOneThingAtALookAndRulesBeforeSteps) {
    Passes run(with({{-1, downtime(150)}}, {{{.elapsed = Milliseconds(10'000)}, downtime(200)},
                                            {{.elapsed = Milliseconds(10'000)}, downtime(300)}}));
    std::vector<Action> actions = run.pass(10);
    for (Action& action : run.pass(10)) actions.push_back(std::move(action));
    ASSERT_EQ(actions.size(), 2U);
    EXPECT_EQ(std::get<SetDowntimeLimit>(actions[0].what).limit, Milliseconds(200));
    EXPECT_EQ(std::get<SetDowntimeLimit>(actions[1].what).limit, Milliseconds(300));
    EXPECT_TRUE(is<SetDowntimeLimit>(run.pass(10))) << "the step comes with the next pass";
}

TEST(FollowSchedule, KeepsPostCopyUntilABrokenLinkWorksAgain) {
    Passes run(with({}, {{{.elapsed = Milliseconds(35'000)}, StartPostCopy{}}}));
    run.pass(10);
    run.pass(10);
    run.stands = true;
    const std::vector<Action> waits = run.pass(60);
    ASSERT_TRUE(is<Wait>(waits)) << "once";
    EXPECT_NE(waits[0].reason.find("link broken"), std::string::npos) << waits[0].reason;
    run.stands = false;
    EXPECT_TRUE(is<StartPostCopy>(run.pass(10)));
}

TEST(FollowSchedule, KeepsPostCopyFromALinkThatHasJustStoppedToMove) {
    FollowSchedule policy(with({}, {{{.elapsed = Milliseconds(1'000)}, StartPostCopy{}}}));
    policy.plan({});
    Sample sample;
    sample.iteration = 1;
    sample.elapsed = Milliseconds(2'000);
    sample.standing_for = Milliseconds(600);
    const std::vector<Action> waits = policy.decide(sample);
    ASSERT_TRUE(is<Wait>(waits));
    EXPECT_NE(waits[0].reason.find("no memory has moved for 600 ms"), std::string::npos) << waits[0].reason;
    sample.standing_for = Milliseconds(0);
    EXPECT_TRUE(is<StartPostCopy>(policy.decide(sample)));
}

TEST(FollowSchedule, OrdersALimitOnceMoreThatWasRefused) {
    FollowSchedule policy(with({{-1, downtime(150)}}));
    policy.plan({});
    Sample sample;
    sample.trigger = Sample::Trigger::iteration;
    sample.downtime_limit = Milliseconds(100);
    const auto pass = [&](int iteration) {
        sample.iteration = iteration;
        sample.elapsed += Milliseconds(5'000);
        return policy.decide(sample);
    };
    EXPECT_TRUE(pass(1).empty());
    EXPECT_TRUE(is<SetDowntimeLimit>(pass(2)));
    EXPECT_TRUE(policy.decide(sample).empty()) << "it may not be answered yet";
    const std::vector<Action> again = pass(3);
    ASSERT_TRUE(is<SetDowntimeLimit>(again));
    EXPECT_EQ(again[0].reason, "the limit in force is 100 ms and not 150, as was ordered in pass 2; once more");
    sample.downtime_limit = Milliseconds(150);
    EXPECT_TRUE(pass(4).empty());
}

TEST(FollowSchedule, StillAbortsWhileTheLinkIsBroken) {
    Passes run(with({}, {{{.elapsed = Milliseconds(35'000)}, StartPostCopy{}},
                         {{.elapsed = Milliseconds(70'000)}, AbortMigration{}}}));
    run.pass(20);
    run.stands = true;
    const std::vector<Action> actions = run.pass(55);
    ASSERT_EQ(actions.size(), 2U);
    EXPECT_TRUE(std::holds_alternative<AbortMigration>(actions[1].what));
}

TEST(FollowSchedule, GoesOnWherePostCopyWasRefused) {  // SCHED-6
    Passes run(with({{-1, StartPostCopy{}}, {-1, AbortMigration{}}}));
    run.pass(10);
    EXPECT_TRUE(is<StartPostCopy>(run.pass(10)));
    EXPECT_TRUE(run.pass(10).empty()) << "it may take a while";
    EXPECT_TRUE(run.pass(10).empty());
    EXPECT_TRUE(run.pass(10).empty());
    EXPECT_TRUE(is<AbortMigration>(run.pass(10)));
}

TEST(FollowSchedule, AsksAgainWherePostCopyWasRefusedAndNothingIsLeft) {
    Passes run(with({{-1, StartPostCopy{}}}));
    run.pass(10);
    EXPECT_TRUE(is<StartPostCopy>(run.pass(10)));
    EXPECT_TRUE(run.pass(29).empty());
    const std::vector<Action> again = run.pass(10);
    ASSERT_TRUE(is<StartPostCopy>(again));
    EXPECT_NE(again[0].reason.find("once more"), std::string::npos);
}

TEST(FollowSchedule, LeavesPostCopyAlone) {  // SCHED-6
    FollowSchedule policy(with({{-1, AbortMigration{}}}, {{{.elapsed = Milliseconds(1)}, AbortMigration{}}}));
    policy.plan({});
    Sample sample;
    sample.elapsed = Milliseconds(100'000);
    sample.iteration = 9;
    sample.trigger = Sample::Trigger::iteration;
    for (Phase phase : {Phase::postcopy, Phase::postcopy_failed}) {
        sample.phase = phase;
        EXPECT_TRUE(policy.decide(sample).empty());
    }
}

Sample taken_over(int iteration, int limit) {
    Sample now;
    now.phase = Phase::precopy;
    now.iteration = iteration;
    now.elapsed = Milliseconds(60'000);
    now.downtime_limit = Milliseconds(limit);
    return now;
}

std::optional<std::int64_t> limit_set(const std::vector<Action>& actions) {
    if (actions.empty()) return std::nullopt;
    return std::get<SetDowntimeLimit>(actions.at(0).what).limit.count();
}

/// What a takeover sets, and what the step at the next pass sets.
std::pair<std::optional<std::int64_t>, std::optional<std::int64_t>> after_takeover(int iteration, int limit) {
    FollowSchedule policy(with({{1, downtime(150)}, {2, downtime(200)}, {3, downtime(300)}, {6, downtime(400)}}));
    Guest guest;
    guest.memory = mebibytes(1024);
    const std::optional<std::int64_t> at_once = limit_set(policy.adopt(guest, taken_over(iteration, limit)));
    Sample next = taken_over(iteration + 1, limit);
    next.trigger = Sample::Trigger::iteration;
    next.elapsed += Milliseconds(5'000);
    return {at_once, limit_set(policy.decide(next))};
}

TEST(FollowSchedule, GoesOnAfterATakeoverFromTheLimitInForce) {
    using Limits = std::pair<std::optional<std::int64_t>, std::optional<std::int64_t>>;
    EXPECT_EQ(after_takeover(2, 100), Limits(std::nullopt, 150)) << "as it was left";
    EXPECT_EQ(after_takeover(5, 200), Limits(std::nullopt, 300));
    EXPECT_EQ(after_takeover(5, 20), Limits(100, 150)) << "below the first one";
    EXPECT_EQ(after_takeover(3, 5000), Limits(150, 200)) << "never above what is written";
    EXPECT_EQ(after_takeover(20, 5000), Limits(400, std::nullopt));
}

TEST(FollowSchedule, LeavesTheRulesOfLowerLimitsBehindAfterATakeover) {
    FollowSchedule policy(with({}, {{{.elapsed = Milliseconds(10'000)}, downtime(150)},
                                    {{.elapsed = Milliseconds(20'000)}, downtime(250)},
                                    {{.elapsed = Milliseconds(30'000)}, downtime(350)}}));
    EXPECT_EQ(limit_set(policy.adopt({}, taken_over(5, 250))), std::nullopt);
    EXPECT_EQ(limit_set(policy.decide(taken_over(5, 250))), 350);
}

}  // namespace
}  // namespace schedule
