// SPDX-License-Identifier: Apache-2.0
#include "precopy.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace precopy {
namespace {

using namespace vmmi;
using Trigger = Sample::Trigger;

/// A guest that dirties more than the link takes: 400 MiB at 100 MiB/s, a pause of 4000 ms.
Sample busy(int iteration, Trigger trigger = Trigger::iteration) {
    Sample sample;
    sample.trigger = trigger;
    sample.iteration = iteration;
    sample.elapsed = Milliseconds(1000 * iteration);
    sample.total = mebibytes(1024);
    sample.remaining = mebibytes(400);
    sample.bandwidth = mebibytes_per_second(100);
    sample.dirty_rate = mebibytes_per_second(90);
    return sample;
}

Precopy::Options options(int initial = 100, int maximum = 500, int steps = 5) {
    Precopy::Options options;
    options.downtime = {Milliseconds(initial), Milliseconds(maximum)};
    options.steps = steps;
    return options;
}

Guest guest(double gibibytes) {
    Guest guest;
    guest.memory = {static_cast<std::uint64_t>(gibibytes * (1 << 30))};
    return guest;
}

std::optional<std::int64_t> limit_set(const std::vector<Action>& actions) {
    for (const Action& action : actions)
        if (const auto* set = std::get_if<SetDowntimeLimit>(&action.what)) return set->limit.count();
    return std::nullopt;
}

TEST(PrecopyPlan, IsLiveWithItsCapAndItsFirstLimit) {
    Precopy::Options capped = options();
    capped.request.bandwidth = mebibytes_per_second(70);
    const MigrationRequest request = Precopy(capped).plan(guest(1));
    EXPECT_TRUE(request.live);
    EXPECT_EQ(request.bandwidth, mebibytes_per_second(70));
    EXPECT_EQ(request.downtime_limit, Milliseconds(100));
}

TEST(PrecopyRamp, GoesFromTheInitialToTheMaximumLimitInItsSteps) {
    Precopy policy(options());
    policy.plan(guest(1));
    std::vector<std::int64_t> limits;
    for (int iteration = 2; iteration < 20; ++iteration)
        if (const auto limit = limit_set(policy.decide(busy(iteration)))) limits.push_back(*limit);
    EXPECT_EQ(limits, (std::vector<std::int64_t>{138, 190, 263, 362, 500}));
}

TEST(PrecopyRamp, TakesOneStepAtABoundaryAndNoneBetween) {
    Precopy policy(options());
    policy.plan(guest(1));
    EXPECT_EQ(policy.decide(busy(2)).size(), 1U);
    EXPECT_TRUE(policy.decide(busy(2, Trigger::interval)).empty());
    EXPECT_TRUE(policy.decide(busy(3, Trigger::interval)).empty());
    EXPECT_EQ(policy.decide(busy(3)).size(), 1U);
}

TEST(PrecopyRamp, WaitsForTheSecondPass) {
    Precopy policy(options());
    policy.plan(guest(1));
    EXPECT_TRUE(policy.decide(busy(0)).empty());
    EXPECT_TRUE(policy.decide(busy(1)).empty());
    EXPECT_EQ(limit_set(policy.decide(busy(2))), 138);
}

TEST(PrecopyRamp, StandsStillWhereThePauseFits) {
    Precopy policy(options());
    policy.plan(guest(1));
    Sample fits = busy(2);
    fits.remaining = mebibytes(10);  // 100 ms
    EXPECT_TRUE(policy.decide(fits).empty());
    fits.remaining = mebibytes(11);
    EXPECT_EQ(limit_set(policy.decide(fits)), 138);
}

TEST(PrecopyRamp, StandsStillWhileTheLinkDoes) {
    Precopy policy(options());
    policy.plan(guest(1));
    Sample outage = busy(2);
    outage.bandwidth = {};
    EXPECT_TRUE(policy.decide(outage).empty());
}

TEST(PrecopyRamp, IsFlatWhereInitialIsMaximum) {
    Precopy policy(options(300, 300));
    policy.plan(guest(1));
    for (int iteration = 2; iteration < 10; ++iteration) EXPECT_TRUE(policy.decide(busy(iteration)).empty());
}

TEST(PrecopyRamp, SaysWhyWithNumbers) {
    Precopy policy(options());
    policy.plan(guest(1));
    const std::string reason = policy.decide(busy(2)).at(0).reason;
    for (const char* number : {"pass 2", "400.0 MiB", "4000 ms", "100.0 MiB/s", "100 ms", "step 1 of 5"})
        EXPECT_NE(reason.find(number), std::string::npos) << number << " in: " << reason;
}

/// Seconds until the policy gives up, sampled every second.
int ceiling(double gibibytes, int seconds_per_gibibyte) {
    Precopy::Options with = options();
    with.ceiling = MemoryCeiling(seconds_per_gibibyte, MemoryCeiling::Reaction::abort);
    Precopy policy(with);
    policy.plan(guest(gibibytes));
    for (int second = 0; second < 100'000; ++second) {
        Sample sample = busy(1, Trigger::interval);
        sample.elapsed = std::chrono::seconds(second);
        const std::vector<Action> actions = policy.decide(sample);
        if (!actions.empty()) return second;
    }
    return -1;
}

TEST(PrecopyCeiling, GrowsWithTheGuestButIsNeverLessThanForOneGibibyte) {
    EXPECT_EQ(ceiling(1, 150), 150);
    EXPECT_EQ(ceiling(4, 150), 600);
    EXPECT_EQ(ceiling(1.5, 100), 150);
    EXPECT_EQ(ceiling(0.25, 150), 150);
    EXPECT_EQ(ceiling(0, 150), 150);
    EXPECT_EQ(ceiling(1, 0), -1) << "without end";
}

Sample late() {
    Sample sample = busy(7);
    sample.elapsed = Milliseconds(151'000);
    return sample;
}

TEST(PrecopyCeiling, AbortsWithNumbers) {
    Precopy policy(options());
    policy.plan(guest(1));
    const std::vector<Action> actions = policy.decide(late());
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<AbortMigration>(actions[0].what));
    for (const char* number : {"151 s", "400 MiB", "pass 7", "755 Mb/s"})
        EXPECT_NE(actions[0].reason.find(number), std::string::npos) << actions[0].reason;
}

TEST(PrecopyCeiling, ContinuesWhereConfiguredAndGoesOnWithTheRamp) {
    Precopy::Options patient = options();
    patient.ceiling = MemoryCeiling(150, MemoryCeiling::Reaction::keep_going);
    Precopy policy(patient);
    policy.plan(guest(1));
    const std::vector<Action> actions = policy.decide(late());
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<Wait>(actions[0].what));
    EXPECT_NE(actions[0].reason.find("continue"), std::string::npos);
    EXPECT_EQ(limit_set(policy.decide(late())), 138);
}

RC_GTEST_PROP(PrecopyProperty, LimitsRiseToTheMaximumAndNeverBeyond, ()) {
    const int maximum = *rc::gen::inRange(1, 2'000'001);
    const int initial = *rc::gen::inRange(1, maximum + 1);
    const int steps = *rc::gen::inRange(1, 101);
    Precopy policy(options(initial, maximum, steps));
    policy.plan(guest(1'000'000));
    std::int64_t limit = initial;
    int raises = 0;
    const int samples = *rc::gen::inRange(0, 300);
    for (int i = 0; i < samples; ++i) {
        Sample sample = busy(*rc::gen::inRange(0, 100));
        sample.trigger = *rc::gen::element(Trigger::iteration, Trigger::interval);
        sample.remaining = {*rc::gen::arbitrary<std::uint64_t>()};
        sample.bandwidth = {*rc::gen::arbitrary<std::uint64_t>()};
        const std::vector<Action> actions = policy.decide(sample);
        RC_ASSERT(actions.size() <= 1U);
        if (const auto next = limit_set(actions)) {
            RC_ASSERT(sample.trigger == Trigger::iteration);
            RC_ASSERT(*next > limit);
            RC_ASSERT(*next <= maximum);
            RC_ASSERT(++raises <= steps);
            limit = *next;
        }
    }
    RC_ASSERT(policy.limit_at(0).count() == initial);
    RC_ASSERT(policy.limit_at(steps).count() == maximum);
}

TEST(PrecopySettings, ContradictNowhere) {  // CFG-13
    const auto make = [](const Object& given) {
        return plugin().make_policy(apply_keys(plugin().keys, given, "configuration").value());
    };
    EXPECT_TRUE(make({}));
    EXPECT_TRUE(make({{"downtime", Object{{"initialMs", 500}, {"maximumMs", 500}}}}));
    const auto crossed = make({{"downtime", Object{{"initialMs", 501}}}});
    ASSERT_FALSE(crossed);
    EXPECT_EQ(crossed.error().code, ErrorCode::malformed_configuration);
    EXPECT_NE(crossed.error().details.find("configuration.downtime.initialMs: 501"), std::string::npos);
}

Sample copying(int seconds, std::uint64_t remaining_mebibytes) {
    Sample sample;
    sample.phase = Phase::storage;
    sample.elapsed = Milliseconds(1000 * seconds);
    sample.disk_total = mebibytes(2048);
    sample.disk_remaining = mebibytes(remaining_mebibytes);
    return sample;
}

Precopy::Options bounded(int storage, int memory) {
    Precopy::Options bounded = options();
    bounded.storage = StorageBudget(storage, true);
    bounded.ceiling = MemoryCeiling(memory, MemoryCeiling::Reaction::abort);
    return bounded;
}

TEST(PrecopyCeiling, IsOfTheMemoryFromWhenDisksAreCopied) {
    Precopy policy(bounded(0, 10));
    policy.plan(guest(1));
    EXPECT_TRUE(policy.decide(copying(5, 100)).empty());
    EXPECT_TRUE(policy.decide(copying(100, 0)).empty());
    Sample memory = busy(1, Trigger::interval);
    memory.disk_total = mebibytes(2048);
    memory.elapsed = Milliseconds(109'999);
    EXPECT_TRUE(policy.decide(memory).empty());
    memory.elapsed = Milliseconds(110'000);
    const std::vector<Action> actions = policy.decide(memory);
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<AbortMigration>(actions[0].what));
    EXPECT_TRUE(actions[0].reason.starts_with("10 s passed")) << actions[0].reason;
}

TEST(PrecopyCeiling, OfDisksGoesByTheirSize) {
    Precopy policy(bounded(10, 1));
    policy.plan(guest(1));
    EXPECT_TRUE(policy.decide(copying(19, 1024)).empty());
    const std::vector<Action> actions = policy.decide(copying(20, 1024));
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<AbortMigration>(actions[0].what));
    EXPECT_EQ(actions[0].reason, "20 s passed, 20 s are allowed for the disks; 1.0 of 2.0 GiB are left");
}

TEST(PrecopyCeiling, CountsFromATakeoverBehindTheDisks) {
    Precopy policy(bounded(10, 10));
    Sample now = busy(1, Trigger::interval);
    now.disk_total = mebibytes(2048);
    now.elapsed = Milliseconds(100'000);
    policy.adopt(guest(1), now);
    now.elapsed = Milliseconds(109'000);
    EXPECT_TRUE(policy.decide(now).empty());
    now.elapsed = Milliseconds(110'000);
    EXPECT_EQ(policy.decide(now).size(), 1U);
}

TEST(PrecopySettings, ReachThePolicy) {
    const Object given{{"bandwidthMiBPerSecond", 70},
                       {"downtime", Object{{"initialMs", 10}, {"maximumMs", 20}, {"steps", 1}}},
                       {"ceiling", Object{{"secondsPerGiB", 1}, {"action", "continue"}}}};
    const auto policy = plugin().make_policy(apply_keys(plugin().keys, given, "configuration").value());
    ASSERT_TRUE(policy);
    const MigrationRequest request = (*policy)->plan(guest(1));
    EXPECT_EQ(request.bandwidth, mebibytes_per_second(70));
    EXPECT_EQ(request.downtime_limit, Milliseconds(10));
    Sample early = busy(2);
    early.elapsed = Milliseconds(999);
    EXPECT_EQ(limit_set((*policy)->decide(early)), 20);
    const std::vector<Action> actions = (*policy)->decide(busy(3));
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<Wait>(actions[0].what));
}

}  // namespace
}  // namespace precopy
