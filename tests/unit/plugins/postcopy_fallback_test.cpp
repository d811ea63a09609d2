// SPDX-License-Identifier: Apache-2.0
// `postcopy-fallback`: what it asks for at the start, and in closed loops on simulated hosts.
#include "postcopy_fallback.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "simulator/promises.h"

namespace vmmi::simulator::test {
namespace {

using Kind = Fault::Kind;

Guest of(std::uint64_t memory, bool paused = false) {
    return {.name = "g1", .uuid = "u", .memory = mebibytes(memory), .paused = paused};
}

MigrationRequest planned(const Object& given, const Guest& guest = of(4096)) {
    const Plugin plugin = postcopy_fallback::plugin();
    const Settings settings = apply_keys(plugin.keys, given, "configuration").value();
    return plugin.make_policy(settings).value()->plan(guest);
}

Error refused(const Object& given) {
    const Plugin plugin = postcopy_fallback::plugin();
    return plugin.make_policy(apply_keys(plugin.keys, given, "configuration").value()).error();
}

TEST(PostcopyFallback, AsksForPostCopyAndXbzrle) {
    const MigrationRequest request = planned({});
    EXPECT_TRUE(request.live && request.postcopy);
    EXPECT_EQ(request.downtime_limit, 300_ms);
    EXPECT_EQ(request.compression.methods, std::vector<std::string>{"xbzrle"});
    EXPECT_EQ(request.compression.xbzrle_cache, mebibytes(1024));
    EXPECT_EQ(request.postcopy_bandwidth, BytesPerSecond{});
}

TEST(PostcopyFallback, LeavesOutXbzrleWhereItIsInTheWayOrNotWanted) {
    EXPECT_TRUE(planned({{"xbzrle", false}}).compression.methods.empty());
    EXPECT_TRUE(planned({{"parallel", Object{{"connections", 4}}}}).compression.methods.empty());
    const Object mt{{"compression", Object{{"methods", List{Value("mt")}}}}};
    EXPECT_EQ(planned(mt).compression.methods, std::vector<std::string>{"mt"});
}

TEST(PostcopyFallback, GivesXbzrleAPlaceForEveryPage) {
    const auto cache = [](std::uint64_t memory, const Object& given = {}) {
        return planned(given, of(memory)).compression.xbzrle_cache;
    };
    EXPECT_EQ(cache(64), mebibytes(64));
    EXPECT_EQ(cache(192), mebibytes(256));
    EXPECT_EQ(cache(65'536), mebibytes(1024));
    EXPECT_EQ(cache(std::uint64_t{1} << 43), mebibytes(1024));
    const Object own{{"compression", Object{{"methods", List{Value("xbzrle")}},
                                            {"xbzrle", Object{{"cacheBytes", std::int64_t{1} << 30}}}}}};
    EXPECT_EQ(cache(192, own), mebibytes(1024));
}

TEST(PostcopyFallback, MigratesAPausedGuestWithoutPostCopy) {
    EXPECT_FALSE(planned({}, of(512, true)).postcopy);
}

TEST(PostcopyFallback, RefusesWhatWouldNeverSwitchOrCannot) {  // CFG-13
    const Object never{{"postcopy", Object{{"evidence", false}, {"secondsPerGiB", 0}}}};
    for (const auto& [given, word] :
         {std::pair(never, "afterIterations"), std::pair(Object{{"tunnelled", true}}, "tunnelled")}) {
        const Error error = refused(given);
        EXPECT_EQ(error.code, ErrorCode::malformed_configuration);
        EXPECT_NE(error.details.find(word), std::string::npos) << error.details;
    }
}

Report fallback_on(const Scenario& scenario, const Object& given = {}) {
    return simulate(postcopy_fallback::plugin(), given, scenario).value();
}

template <typename T>
std::size_t count(const Report& report) {
    return static_cast<std::size_t>(std::ranges::count_if(
        report.actions, [](const ActionTaken& taken) { return std::holds_alternative<T>(taken.action.what); }));
}

/// Each pass finds a gibibyte, whatever happens, and a page of it in `delta` bytes. The first pass sends twice as much.
Scenario busy(std::uint64_t delta = 4096) {
    Scenario scenario = plain({{.size = mebibytes(1024),
                                .dirty_rate = mebibytes_per_second(400),
                                .order = WorkingSet::Order::sequential,
                                .delta_bytes = delta}});
    scenario.guest.memory = mebibytes(2048);
    return scenario;
}

/// Of a guest four times as large, the same is little.
Scenario busy_in_part(std::uint64_t delta = 4096) {
    Scenario scenario = busy(delta);
    scenario.guest.memory = mebibytes(8192);
    return scenario;
}

/// Without the switch after the first pass.
Object patient(Object postcopy = {}) {
    postcopy.set("firstPassPercent", 0);
    return {{"postcopy", postcopy}};
}

TEST(PostcopyFallback, LeavesAGuestAloneThatConverges) {
    const Report report = fallback_on(plain({{.size = mebibytes(256), .dirty_rate = mebibytes_per_second(10)}}));
    EXPECT_EQ(report.ending, Report::Ending::completed);
    EXPECT_TRUE(report.actions.empty());
}

TEST(PostcopyFallback, SwitchesAtOnceWhereTheFirstPassLeavesMuchOfWhatItSent) {
    const Report report = fallback_on(busy());
    EXPECT_EQ(report.ending, Report::Ending::completed);
    const std::optional<ActionTaken> taken = switch_of(report);
    ASSERT_TRUE(taken);
    EXPECT_LT(taken->at, report.passes[1].at + 300_ms) << taken->action.reason;
    EXPECT_NE(taken->action.reason.find("% of what it sent"), std::string::npos) << taken->action.reason;
}

TEST(PostcopyFallback, HoldsWhatTheFirstPassLeavesAgainstAllOfIt) {
    Scenario scenario = plain({{.size = mebibytes(100), .dirty_rate = mebibytes_per_second(400)}});
    scenario.features.postcopy = true;
    scenario.taken_over_after = 39_s;  // of 41; the first pass leaves as much as one second sends
    const Report report = fallback_on(scenario);
    EXPECT_EQ(report.ending, Report::Ending::completed);
    const std::optional<ActionTaken> taken = switch_of(report);
    EXPECT_TRUE(!taken || taken->action.reason.find("% of what it sent") == std::string::npos) << taken->action.reason;
}

/// Samples as with QEMU 11: at the end of the first pass of 512 MiB, with so much dirty then and from look to look.
std::vector<std::pair<int, std::string>> switches_with(const Object& given, const std::vector<std::uint64_t>& dirty) {
    const Plugin plugin = postcopy_fallback::plugin();
    const auto policy = plugin.make_policy(apply_keys(plugin.keys, given, "configuration").value()).value();
    static_cast<void>(policy->plan(of(512)));
    Sample sample;
    sample.total = mebibytes(512);
    sample.bandwidth = mebibytes_per_second(100);
    for (sample.iteration = 1; sample.elapsed < 5'000_ms; sample.elapsed += 1'000_ms) {
        sample.trigger = sample.elapsed == 0_ms ? Sample::Trigger::iteration : Sample::Trigger::interval;
        sample.transferred = mebibytes(static_cast<std::uint64_t>(sample.elapsed.count()) / 10);
        sample.remaining = sample.total - sample.transferred;
        EXPECT_TRUE(policy->decide(sample).empty());
        EXPECT_FALSE(policy->next_sample_within());
    }
    sample.iteration = 2;
    sample.trigger = Sample::Trigger::iteration;
    sample.dirty_rate = mebibytes_per_second(200);
    sample.transferred = mebibytes(512);
    sample.remaining = mebibytes(dirty.front());
    std::vector<std::pair<int, std::string>> switches;
    for (const std::uint64_t now : dirty) {
        sample.dirty = mebibytes(now);
        for (const Action& action : policy->decide(sample))
            if (std::holds_alternative<StartPostCopy>(action.what))
                switches.emplace_back(static_cast<int>(now), action.reason);
        if (!switches.empty()) break;
        EXPECT_TRUE(policy->next_sample_within());
        sample.trigger = Sample::Trigger::interval;
        sample.elapsed += 100_ms;
        sample.transferred = sample.transferred + mebibytes(10);
        sample.remaining = sample.remaining - mebibytes(10);
    }
    return switches;
}

TEST(PostcopyFallback, WaitsUntilAsLittleIsDirtyAsSeldom) {
    const auto switches =
        switches_with({}, {170, 180, 190, 200, 190, 180, 170, 160, 150, 140, 130, 120, 110, 121, 132});
    ASSERT_EQ(switches.size(), 1U);
    EXPECT_EQ(switches.front().first, 121);
    EXPECT_NE(switches.front().second.find("121 MiB are dirty now, of up to 200 MiB"), std::string::npos)
        << switches.front().second;
}

TEST(PostcopyFallback, SwitchesAlsoWhereQemuLooksAllTheTime) {
    Scenario scenario = busy();
    scenario.features.postcopy_looks = true;
    const Report report = fallback_on(scenario);
    EXPECT_EQ(report.ending, Report::Ending::completed);
    const std::optional<ActionTaken> taken = switch_of(report);
    ASSERT_TRUE(taken);
    EXPECT_NE(taken->action.reason.find("are dirty now"), std::string::npos) << taken->action.reason;
    EXPECT_LT(taken->at, 20_s + 10_s) << "a quarter of what sending all of it takes, behind the first pass";
}

TEST(PostcopyFallback, WaitsNoLongerWhereSomebodyElseSwitched) {
    const Plugin plugin = postcopy_fallback::plugin();
    const auto policy = plugin.make_policy(apply_keys(plugin.keys, {}, "configuration").value()).value();
    static_cast<void>(policy->plan(of(512)));
    Sample sample;
    sample.total = sample.remaining = mebibytes(512);
    sample.bandwidth = mebibytes_per_second(100);
    sample.iteration = 1;
    static_cast<void>(policy->decide(sample));
    sample.iteration = 2;
    sample.elapsed = 5'000_ms;
    sample.trigger = Sample::Trigger::iteration;
    sample.transferred = mebibytes(512);
    sample.remaining = mebibytes(200);
    sample.dirty = mebibytes(200);
    EXPECT_TRUE(policy->decide(sample).empty());
    EXPECT_TRUE(policy->next_sample_within());
    sample.phase = Phase::postcopy;
    EXPECT_TRUE(policy->decide(sample).empty());
    EXPECT_FALSE(policy->next_sample_within());
}

TEST(PostcopyFallback, WaitsForNoMomentAtACeiling) {
    const auto switches = switches_with({{"postcopy", Object{{"afterIterations", 1}}}}, {170, 180, 190});
    ASSERT_EQ(switches.size(), 1U);
    EXPECT_EQ(switches.front().first, 170);
}

TEST(PostcopyFallback, SwitchesAsSoonAsTwoPassesLedNowhere) {
    const Report report = fallback_on(busy_in_part(), {{"xbzrle", false}});
    EXPECT_EQ(report.ending, Report::Ending::completed);
    const std::optional<ActionTaken> taken = switch_of(report);
    ASSERT_TRUE(taken);
    ASSERT_GE(report.passes.size(), 3U);
    EXPECT_LT(taken->at, report.passes[2].at + 300_ms) << taken->action.reason;
}

TEST(PostcopyFallback, SeesEarlyInTheThirdPassWhatXbzrleMakesOfIt) {
    const Report hopeless = fallback_on(busy_in_part());
    ASSERT_TRUE(switch_of(hopeless));
    EXPECT_LT(switch_of(hopeless)->at, hopeless.passes[2].at + 1500_ms) << switch_of(hopeless)->action.reason;
    const Report compressed = fallback_on(busy_in_part(40));
    EXPECT_EQ(compressed.ending, Report::Ending::completed);
    EXPECT_FALSE(switch_of(compressed)) << "it converges, and costs the guest next to nothing";
    EXPECT_LT(compressed.work_lost.paused, 400_ms);
}

TEST(PostcopyFallback, SwitchesAtACeilingWhateverTheEvidence) {
    const Report by_passes = fallback_on(busy_in_part(), {{"postcopy", Object{{"afterIterations", 1}}}});
    ASSERT_TRUE(switch_of(by_passes));
    EXPECT_LT(switch_of(by_passes)->at, by_passes.passes[1].at + 300_ms);
    const Object by_time{{"postcopy", Object{{"evidence", false}, {"secondsPerGiB", 40}}}};
    const Report late = fallback_on(busy(), by_time);
    ASSERT_TRUE(switch_of(late));
    EXPECT_NEAR(seconds(switch_of(late)->at), 80, 2) << "of two gibibytes";
}

TEST(PostcopyFallback, KeepsItsCeilingWhereItTakesOverWhileDisksAreCopied) {
    const Object given{{"postcopy", Object{{"evidence", false}, {"secondsPerGiB", 60}}}};
    const Plugin plugin = postcopy_fallback::plugin();
    const auto policy = plugin.make_policy(apply_keys(plugin.keys, given, "configuration").value()).value();
    Sample sample;
    sample.phase = Phase::storage;
    sample.elapsed = 100_s;
    sample.disk_total = mebibytes(4096);
    static_cast<void>(policy->adopt(of(1024), sample));
    EXPECT_TRUE(policy->decide(sample).empty());
    sample.phase = Phase::precopy;
    sample.iteration = 2;
    sample.total = sample.remaining = mebibytes(1024);
    sample.elapsed = 159_s;
    EXPECT_TRUE(policy->decide(sample).empty());
    sample.elapsed = 160_s;
    const std::vector<Action> actions = policy->decide(sample);
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<StartPostCopy>(actions.front().what));
}

TEST(PostcopyFallback, WaitsForALinkThatHasJustStoppedToMove) {
    const Plugin plugin = postcopy_fallback::plugin();
    const Object given{{"postcopy", Object{{"afterIterations", 1}}}};
    const auto policy = plugin.make_policy(apply_keys(plugin.keys, given, "configuration").value()).value();
    static_cast<void>(policy->plan(of(1024)));
    Sample sample;
    sample.trigger = Sample::Trigger::iteration;
    sample.iteration = 2;
    sample.total = sample.remaining = mebibytes(1024);
    sample.elapsed = 61_s;
    sample.standing_for = 600_ms;
    const std::vector<Action> waits = policy->decide(sample);
    ASSERT_EQ(waits.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<Wait>(waits.front().what));
    EXPECT_NE(waits.front().reason.find("no memory has moved for 600 ms"), std::string::npos) << waits.front().reason;
    sample.standing_for = 0_ms;
    const std::vector<Action> goes = policy->decide(sample);
    ASSERT_EQ(goes.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<StartPostCopy>(goes.front().what));
}

/// A migration of somebody else, who did not enable post-copy.
Scenario without_postcopy() {
    Scenario scenario = busy();
    scenario.taken_over_after = 5_s;
    scenario.patience = std::chrono::hours(1);
    return scenario;
}

TEST(PostcopyFallback, EndsAtItsCeilingWhereTheMigrationWasStartedWithoutPostCopy) {
    const Report report = fallback_on(without_postcopy());
    EXPECT_EQ(report.cause, "aborted-by-policy");
    EXPECT_NEAR(seconds(report.total_time), 120, 3) << "of two gibibytes";
    EXPECT_EQ(count<StartPostCopy>(report), 1U) << "libvirt's refusal is believed";
    EXPECT_EQ(count<Wait>(report), 1U);
    EXPECT_NE(report.error->details.find("migrate once more with this plugin"), std::string::npos)
        << report.error->details;
}

TEST(PostcopyFallback, EndsOnEvidenceWhereThereIsNeitherPostCopyNorACeiling) {
    const Report report = fallback_on(without_postcopy(), {{"postcopy", Object{{"secondsPerGiB", 0}}}});
    EXPECT_EQ(report.cause, "aborted-by-policy");
    EXPECT_LT(report.total_time, 120_s);
}

TEST(PostcopyFallback, LeavesAPausedGuestToPreCopyAtACeiling) {
    Scenario scenario = plain();
    scenario.guest.paused = true;
    scenario.link.bandwidth = mebibytes_per_second(10);
    const Report report = fallback_on(scenario);
    EXPECT_EQ(report.ending, Report::Ending::completed);
    EXPECT_TRUE(report.actions.empty());
}

TEST(PostcopyFallback, LetsAMigrationEndWhoseGuestComesToRest) {
    Scenario scenario = without_postcopy();
    scenario.working_sets[0].dirty_rate = {{0_s, mebibytes_per_second(400)}, {50_s, {}}};
    EXPECT_EQ(fallback_on(scenario).ending, Report::Ending::completed);
}

TEST(PostcopyFallback, DoesNotSwitchIntoABrokenNetwork) {
    Scenario scenario = busy();
    scenario.link.bandwidth = {{0_s, mebibytes_per_second(100)}, {25_s, {}}, {200_s, mebibytes_per_second(100)}};
    const Report report = fallback_on(scenario, patient());
    EXPECT_EQ(report.ending, Report::Ending::completed);
    ASSERT_TRUE(switch_of(report));
    EXPECT_GT(switch_of(report)->at, 200_s);
    EXPECT_LT(report.work_lost.stalled, 60_s);
}

TEST(PostcopyFallback, DoesNotWaitForALinkThatPassesOfAMomentDoNotTellOf) {
    // Slow for a while; then each pass ends after a third of a second, where the rest is just too much for the limit.
    Scenario scenario;
    scenario.guest.memory = mebibytes(7599);
    scenario.zero_pages = mebibytes(951);
    const auto in_order = [](std::uint64_t size, const Rate& rate) {
        return WorkingSet{.size = mebibytes(size), .dirty_rate = rate, .order = WorkingSet::Order::sequential};
    };
    const auto mib = [](std::uint64_t rate) { return mebibytes_per_second(rate); };
    scenario.working_sets = {in_order(1454, {{0_s, mib(432)}, {2945_ms, mib(832)}, {25773_ms, mib(340)}}),
                             in_order(594, {{0_s, mib(904)}, {4519_ms, mib(1017)}, {17220_ms, mib(540)}})};
    scenario.link.bandwidth = {{0_s, mib(947)}, {6079_ms, mib(99)}, {37576_ms, mib(746)}};
    scenario.features.postcopy = true;
    scenario.patience = std::chrono::minutes(10);
    const Report report = fallback_on(scenario, {{"downtimeMs", 878}, {"postcopy", Object{{"secondsPerGiB", 10}}}});
    EXPECT_EQ(report.ending, Report::Ending::completed);
    EXPECT_LT(report.total_time, 90_s);
}

TEST(PostcopyFallback, ResumesABrokenPostCopyOnceTheLinkIsBack) {
    Scenario scenario = busy();
    scenario.link.bandwidth = {{0_s, mebibytes_per_second(100)}, {36_s, {}}, {66_s, mebibytes_per_second(100)}};
    scenario.faults = {{.kind = Kind::stream_breaks, .at = 36_s}};
    const Report report = fallback_on(scenario, patient({{"afterIterations", 2}}));
    EXPECT_EQ(report.ending, Report::Ending::completed) << report.cause;
    EXPECT_GE(count<ResumePostCopy>(report), 3U);
    EXPECT_LE(count<ResumePostCopy>(report), 8U) << "ever longer waits";
    EXPECT_LT(report.total_time, 66_s + 45_s);
}

TEST(PostcopyFallback, GivesUpABrokenPostCopyAfterItsTime) {
    Scenario scenario = busy();
    scenario.link.bandwidth = {{0_s, mebibytes_per_second(100)}, {36_s, {}}};
    scenario.faults = {{.kind = Kind::stream_breaks, .at = 36_s}};
    Object given = patient({{"afterIterations", 2}});
    given.set("recovery", Object{{"seconds", 100}});
    const Report report = fallback_on(scenario, given);
    EXPECT_EQ(report.cause, "postcopy-failed");
    EXPECT_NEAR(seconds(report.total_time), 136, 3);
    EXPECT_NE(report.error->details.find("--postcopy-resume"), std::string::npos) << report.error->details;
}

TEST(PostcopyFallback, TellsAGuestThatIsLost) {
    Scenario scenario = busy();
    scenario.faults = {{.kind = Kind::destination_dies, .at = 36_s}};
    const Report report = fallback_on(scenario, patient({{"afterIterations", 2}}));
    EXPECT_EQ(report.cause, "guest-lost");
    EXPECT_LT(report.total_time, 45_s);
}

TEST(PostcopyFallback, MovesTheWorkloadsOfPublishedTraces) {
    for (const Trace& trace : published_traces())
        EXPECT_EQ(fallback_on(from_trace(trace)).ending, Report::Ending::completed) << trace.name;
}

RC_GTEST_PROP(PostcopyFallbackProperty, KeepsItsPromises, ()) {
    const int downtime = *rc::gen::inRange(1, 2000);
    const int patience = *rc::gen::inRange(1, 600);
    const Scenario scenario = any_scenario();
    const Report report =
        fallback_on(scenario, {{"downtimeMs", downtime},
                               {"xbzrle", *rc::gen::arbitrary<bool>()},
                               {"postcopy", Object{{"firstPassPercent", *rc::gen::inRange(0, 100)},
                                                   {"afterIterations", *rc::gen::inRange(0, 20)},
                                                   {"secondsPerGiB", *rc::gen::inRange(1, 60)},
                                                   {"bandwidthMiBPerSecond", *rc::gen::inRange(0, 50)}}},
                               {"recovery", Object{{"seconds", patience}}}});
    const std::vector<std::string> mistakes = broken(report, {.highest_downtime_limit = Milliseconds(downtime)});
    RC_ASSERT(mistakes == std::vector<std::string>());
    RC_ASSERT(count<AbortMigration>(report) == 0U);
    RC_ASSERT(report.ending != Report::Ending::unfinished);
}

}  // namespace
}  // namespace vmmi::simulator::test
