// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "precopy.h"
#include "simulator/policies.h"

namespace vmmi::simulator::test {
namespace {

std::string mistake(const Scenario& scenario) {
    Told policy;
    const Result<Report> report = simulate(policy, scenario);
    return report ? "" : report.error().details;
}

bool mentions(const std::string& text, std::initializer_list<const char*> words) {
    return std::ranges::all_of(words, [&](const char* word) { return text.find(word) != std::string::npos; });
}

TEST(SimulatedScenario, DefaultsAreFine) {
    EXPECT_EQ(mistake({}), "");
}

TEST(SimulatedScenario, SaysWhereItContradictsItself) {
    Scenario scenario;
    scenario.guest.memory = mebibytes(1);
    scenario.working_sets = {{.size = mebibytes(2), .dirty_rate = mebibytes_per_second(1)}};
    EXPECT_TRUE(mentions(mistake(scenario), {"scenario.guest.memory: 1048576", "2097152", "larger"}))
        << mistake(scenario);
    scenario.working_sets = {{.size = {100}, .dirty_rate = mebibytes_per_second(1)}};
    EXPECT_TRUE(mentions(mistake(scenario), {"working_sets[0].size: 100", "4096"})) << mistake(scenario);
}

TEST(SimulatedScenario, NamesTheFieldTheValueAndTheRemedy) {
    const auto with = [](auto change) {
        Scenario scenario;
        change(scenario);
        return mistake(scenario);
    };
    const std::string disorder = with([](Scenario& s) {
        s.link.bandwidth = {{5_s, mebibytes_per_second(1)}, {2_s, mebibytes_per_second(2)}};
    });
    EXPECT_TRUE(mentions(disorder, {"link.bandwidth", "2000 ms", "5000 ms", "order"})) << disorder;
    EXPECT_TRUE(mentions(with([](Scenario& s) { s.link.bandwidth = Rate({}); }), {"link.bandwidth", "no rate"}));
    EXPECT_TRUE(mentions(with([](Scenario& s) { s.link.loss = 1.5; }), {"link.loss", "1.5"}));
    EXPECT_TRUE(mentions(with([](Scenario& s) { s.features.multifd_channels = 0; }), {"multifd_channels: 0"}));
    EXPECT_TRUE(mentions(with([](Scenario& s) { s.features.auto_converge = {.initial = 100}; }),
                         {"auto_converge.initial: 100", "1 to 99"}));
    EXPECT_TRUE(mentions(with([](Scenario& s) { s.delays.call = Milliseconds(-1); }), {"delays.call: -1"}));
    EXPECT_TRUE(mentions(with([](Scenario& s) { s.sample_interval = 0_ms; }), {"sample_interval: 0"}));
    EXPECT_TRUE(
        mentions(with([](Scenario& s) { s.faults = {{.kind = Fault::Kind::calls_fail, .at = Milliseconds(-5)}}; }),
                 {"faults[0].at: -5"}));
    EXPECT_TRUE(mentions(with([](Scenario& s) {
                             s.trace.emplace(Trace{"empty", mebibytes_per_second(1), {}});
                         }),
                         {"trace.points"}));
}

TEST(SimulatedScenario, AConfigurationIsCheckedAsOnHosts) {
    const Result<Report> report =
        simulate(precopy::plugin(), {{"downtime", Object{{"initialMs", 900}, {"maximumMs", 100}}}}, {});
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::malformed_configuration);
    EXPECT_TRUE(mentions(report.error().details, {"downtime.initialMs", "900", "100"}));
}

TEST(PublishedTraces, AreScenarios) {
    ASSERT_EQ(published_traces().size(), 5U);
    for (const Trace& trace : published_traces()) {
        Scenario scenario = from_trace(trace);
        scenario.patience = 10_s;
        EXPECT_EQ(mistake(scenario), "") << trace.name;
    }
}

}  // namespace
}  // namespace vmmi::simulator::test
