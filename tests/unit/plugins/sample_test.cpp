// SPDX-License-Identifier: Apache-2.0
#include "sample.h"

#include <gtest/gtest.h>

namespace sample {
namespace {

using namespace vmmi;

TEST(SamplePolicy, GivesUpAfterItsTime) {
    GiveUpAfter policy(Milliseconds(600'000));
    EXPECT_TRUE(policy.plan({}).live);
    Sample sample;
    sample.elapsed = Milliseconds(599'999);
    EXPECT_TRUE(policy.decide(sample).empty());
    sample.elapsed = Milliseconds(600'000);
    const std::vector<Action> actions = policy.decide(sample);
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<AbortMigration>(actions[0].what));
    EXPECT_NE(actions[0].reason.find("600 s"), std::string::npos);
}

TEST(SamplePolicy, IsMadeFromItsSettings) {
    const auto policy =
        plugin().make_policy(apply_keys(plugin().keys, {{"giveUpAfterSeconds", 2}}, "configuration").value());
    ASSERT_TRUE(policy);
    Sample sample;
    sample.elapsed = Milliseconds(2000);
    EXPECT_EQ((*policy)->decide(sample).size(), 1U);
}

}  // namespace
}  // namespace sample
