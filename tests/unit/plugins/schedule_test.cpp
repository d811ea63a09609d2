// SPDX-License-Identifier: Apache-2.0
// What `schedule` makes of its configuration.
#include "schedule.h"

#include <gtest/gtest.h>

#include "core/configuration.h"
#include "message/messages.h"
#include "schedule_policy.h"

namespace schedule {
namespace {

using namespace vmmi;

Object act(const char* name, List params = {}) {
    return {{"name", name}, {"params", std::move(params)}};
}
Object step(int limit, Object action) {
    return {{"limit", limit}, {"action", std::move(action)}};
}
Object rule(Object when, Object action) {
    return {{"when", std::move(when)}, {"action", std::move(action)}};
}

Result<Schedule> read(Object schedule) {
    const Result<Settings> settings = apply_keys(plugin().keys, {{"schedule", std::move(schedule)}}, "configuration");
    if (!settings) return fail(settings.error());
    return schedule_from(*settings);
}

std::string problem(Object schedule) {
    const Result<Schedule> read = schedule::read(std::move(schedule));
    if (read) return "accepted";
    EXPECT_EQ(read.error().code, ErrorCode::malformed_configuration);
    return read.error().details;
}

std::string problem_of_steps(List steps) {
    return problem({{"stalling", std::move(steps)}});
}

/// The configuration that the interface's first implementation in Go came with, in both versions of the interface.
std::string of_the_first_implementation(const char* version) {
    return std::string(R"({"contentType": "configuration", "vmmiVersion": ")") + version + R"(", "configuration": {
        "connection": "qemu:///system", "logFilePath": "/tmp/withschedule.log", "verbose": 0, "monitorInterval": 10,
        "connectionCredentials": {"passwordFile": "/etc/pki/keys/libvirt_password", "username": "anna"},
        "schedule": {
            "init": [{"params": ["100"], "name": "setDowntime"}],
            "stalling": [{"action": {"name": "setDowntime", "params": ["150"]}, "limit": 1},
                         {"action": {"name": "postcopy"}, "limit": 2},
                         {"action": {"name": "abort", "params": []}, "limit": -1}]}}})";
}

TEST(Schedule, TakesTheConfigurationsOfTheFirstImplementation) {  // CFG-21 SCHED-1 SCHED-2
    for (const char* version : {"0.3.0", "0.4.1"}) {
        const Result<Object> given = message::read_configuration(of_the_first_implementation(version));
        ASSERT_TRUE(given) << given.error().details;
        const Result<Configuration> configuration = make_configuration(*given, plugin().keys);
        ASSERT_TRUE(configuration) << configuration.error().details;
        const Result<Schedule> schedule = schedule_from(configuration->settings);
        ASSERT_TRUE(schedule) << schedule.error().details;
        ASSERT_EQ(schedule->init.size(), 1U);
        EXPECT_EQ(std::get<SetDowntimeLimit>(schedule->init[0]).limit, Milliseconds(100));
        ASSERT_EQ(schedule->stalling.size(), 3U);
        EXPECT_EQ(schedule->stalling[0].limit, 1);
        EXPECT_EQ(std::get<SetDowntimeLimit>(schedule->stalling[0].what).limit, Milliseconds(150));
        EXPECT_TRUE(std::holds_alternative<StartPostCopy>(schedule->stalling[1].what));
        EXPECT_EQ(schedule->stalling[2].limit, -1);
        EXPECT_TRUE(std::holds_alternative<AbortMigration>(schedule->stalling[2].what));
        EXPECT_TRUE(schedule->has_postcopy());
    }
}

TEST(Schedule, IsThatOfMinimalDowntimeWhereNoneIsGiven) {
    const Schedule schedule = schedule_from(apply_keys(plugin().keys, {}, "configuration").value()).value();
    std::vector<std::int64_t> limits;
    for (const Step& step : schedule.stalling)
        if (const auto* set = std::get_if<SetDowntimeLimit>(&step.what)) limits.push_back(set->limit.count());
    EXPECT_EQ(limits, (std::vector<std::int64_t>{150, 200, 300, 400, 500}));
    EXPECT_TRUE(std::holds_alternative<AbortMigration>(schedule.stalling.back().what));
    EXPECT_FALSE(schedule.has_postcopy());
}

TEST(Schedule, HasNothingOfTheDefaultWhereOneIsGiven) {
    const Schedule given = read({{"init", List{act("setDowntime", {"70"})}}}).value();
    EXPECT_TRUE(given.stalling.empty());
    EXPECT_TRUE(read(Object{}).value().init.empty());
}

TEST(Schedule, HasRulesWithConditionsInTheirUnits) {
    const Schedule schedule = read({{"rules", List{rule({{"elapsedSeconds", 7},
                                                         {"elapsedSecondsPerGiB", 150},
                                                         {"stalledSeconds", 40},
                                                         {"pauseAboveMs", 450},
                                                         {"forecastAboveMs", 900}},
                                                        act("pause", {"2000"})),
                                                   rule({{"elapsedSeconds", 0}}, act("setBandwidth", {"70"}))}}})
                                  .value();
    const Conditions& when = schedule.rules.at(0).when;
    EXPECT_EQ(when.elapsed, Milliseconds(7000));
    EXPECT_EQ(when.elapsed_per_gibibyte, 150);
    EXPECT_EQ(when.stalled, Milliseconds(40'000));
    EXPECT_EQ(when.pause_above, Milliseconds(450));
    EXPECT_EQ(when.forecast_above, Milliseconds(900));
    EXPECT_EQ(std::get<PauseGuest>(schedule.rules[0].what).longest, Milliseconds(2000));
    EXPECT_EQ(std::get<SetBandwidth>(schedule.rules.at(1).what).limit, mebibytes_per_second(70));
}

TEST(Schedule, RefusesAnActionThatItDoesNotKnowOrThatComesTooEarly) {
    EXPECT_EQ(problem_of_steps({step(1, act("setDowntme", {"100"}))}),
              "configuration.schedule.stalling[0].action.name: expected one of \"setDowntime\", \"setBandwidth\", "
              "\"postcopy\", \"pause\", \"abort\", got \"setDowntme\"");
    EXPECT_EQ(problem({{"init", List{act("abort")}}}),
              "configuration.schedule.init[0].name: expected one of \"setDowntime\", \"setBandwidth\", got \"abort\"");
}

TEST(Schedule, RefusesParametersThatAreNoNumberInRange) {
    for (const char* number : {"", "0", "-1", "1.5", "2000001", "100 ", " 100", "0x10", "99999999999999999999"}) {
        const std::string text = problem_of_steps({step(1, act("setDowntime", {number}))});
        EXPECT_TRUE(text.starts_with("configuration.schedule.stalling[0].action.params[0]: expected a")) << text;
    }
    EXPECT_EQ(problem_of_steps({step(1, act("setDowntime", {"1e3"}))}),
              "configuration.schedule.stalling[0].action.params[0]: expected a number of ms from 1 to 2000000, as a "
              "string, got \"1e3\"");
    EXPECT_LT(problem_of_steps({step(1, act("setDowntime", {std::string(4000, '9')}))}).size(), 300u)
        << "no more of it is shown than tells it";
    EXPECT_EQ(problem_of_steps({step(1, act("setDowntime"))}),
              "configuration.schedule.stalling[0].action.params: expected a number of ms from 1 to 2000000, as a "
              "string, got 0 items");
    EXPECT_EQ(problem_of_steps({step(1, act("abort", {"now"}))}),
              "configuration.schedule.stalling[0].action.params: abort takes none, got 1; leave them out");
    EXPECT_NE(problem_of_steps({step(1, act("pause"))}).find("params: expected"), std::string::npos) << "no bound";
}

TEST(Schedule, RefusesItemsWithoutWhatTheyNeed) {
    EXPECT_EQ(problem_of_steps({Object{{"action", act("abort")}}}),
              "configuration.schedule.stalling[0].limit: missing; give a number of passes, or -1 for the next one");
    EXPECT_EQ(problem_of_steps({Object{{"limit", 1}}}),
              "configuration.schedule.stalling[0].action.name: missing; name what is to be done, such as \"abort\"");
    EXPECT_EQ(problem({{"rules", List{rule({}, act("abort"))}}}),
              "configuration.schedule.rules[0].when: no condition; give at least one, such as elapsedSeconds");
}

TEST(Schedule, RefusesLimitsThatFallAndPassesOverMinusOne) {
    EXPECT_EQ(problem_of_steps({step(4, act("setDowntime", {"1"})), step(3, act("abort"))}),
              "configuration.schedule.stalling[1].limit: 3 is below the 4 of configuration.schedule.stalling[0]; "
              "order the items by their limits");
    EXPECT_EQ(problem_of_steps(
                  {step(4, act("setDowntime", {"1"})), step(-1, act("setDowntime", {"2"})), step(4, act("abort"))}),
              "accepted");
}

TEST(Schedule, RefusesWhatStandsBehindAnAbortAndLastResortsThatComeTwice) {  // SCHED-7
    EXPECT_EQ(problem_of_steps({step(1, act("abort")), step(2, act("postcopy"))}),
              "configuration.schedule.stalling[1].action.name: stands behind the abort of "
              "configuration.schedule.stalling[0] and would never be done; remove it, or abort last");
    EXPECT_EQ(
        problem_of_steps({step(1, act("postcopy")), step(2, act("setDowntime", {"9"})), step(3, act("postcopy"))}),
        "configuration.schedule.stalling[2].action.name: \"postcopy\" once more, after that of "
        "configuration.schedule.stalling[0]; remove one");
    EXPECT_NE(problem_of_steps({step(1, act("pause", {"9"})), step(2, act("pause", {"9"}))}).find("once more"),
              std::string::npos);
    // For the case that libvirt refuses it.
    EXPECT_EQ(problem_of_steps({step(1, act("postcopy")), step(2, act("pause", {"9"})), step(-1, act("abort"))}),
              "accepted");
}

TEST(Schedule, RefusesPostCopyThroughATunnel) {
    const Object given{{"tunnelled", true}, {"schedule", Object{{"stalling", List{step(1, act("postcopy"))}}}}};
    const auto policy = plugin().make_policy(apply_keys(plugin().keys, given, "configuration").value());
    ASSERT_FALSE(policy);
    EXPECT_NE(policy.error().details.find("configuration.tunnelled"), std::string::npos);
}

}  // namespace
}  // namespace schedule
