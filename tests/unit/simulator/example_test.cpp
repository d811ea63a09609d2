// SPDX-License-Identifier: Apache-2.0
// The example of docs/simulator.md, as it stands there.
#include <gtest/gtest.h>
#include <vmmi/simulator.h>

#include "precopy.h"

using namespace vmmi;
using namespace vmmi::simulator;

TEST(Precopy, MovesABusyGuestOverALinkThatFailsForAMoment) {
    using std::chrono::seconds;
    Scenario scenario;
    scenario.guest.memory = mebibytes(8192);
    scenario.zero_pages = mebibytes(2048);
    scenario.working_sets = {{.size = mebibytes(512), .dirty_rate = mebibytes_per_second(90)}};
    scenario.link.bandwidth = {{seconds(0), mebibytes_per_second(119)},
                               {seconds(30), {}},  // a cut of ten seconds
                               {seconds(40), mebibytes_per_second(119)}};
    const Object configuration{{"downtime", Object{{"initialMs", 100}, {"maximumMs", 2000}}}};

    const Report report = simulate(precopy::plugin(), configuration, scenario).value();
    EXPECT_EQ(report.ending, Report::Ending::completed);
    EXPECT_LT(report.downtime, Milliseconds(2500));
    EXPECT_EQ(report.work_lost.throttled, Milliseconds(0));
}
