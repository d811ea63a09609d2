// SPDX-License-Identifier: Apache-2.0
#include "vmmi/storage_budget.h"

#include <gtest/gtest.h>

#include "vmmi/migration_keys.h"

namespace vmmi::policy::test {
namespace {

/// 2 GiB of disks, half of them copied.
Sample copying(int seconds) {
    Sample sample;
    sample.phase = Phase::storage;
    sample.elapsed = std::chrono::seconds(seconds);
    sample.disk_total = mebibytes(2048);
    sample.disk_remaining = mebibytes(1024);
    return sample;
}

StorageBudget configured(const Object& keys) {
    return StorageBudget(apply_keys(migration_keys(), {{"storage", keys}}, "configuration").value());
}

TEST(StorageBudget, ContinuesWhereConfiguredAndSaysSoOnce) {
    StorageBudget budget = configured({{"secondsPerGiB", 10}, {"action", "continue"}});
    EXPECT_FALSE(budget.decide(copying(19)));
    const std::optional<Action> told = budget.decide(copying(21));
    ASSERT_TRUE(told);
    EXPECT_TRUE(std::holds_alternative<Wait>(told->what));
    EXPECT_EQ(told->reason,
              "21 s passed, 20 s are allowed for the disks; 1.0 of 2.0 GiB are left; configured to continue");
    EXPECT_FALSE(budget.decide(copying(22)));
}

TEST(StorageBudget, AbortsByDefaultAndNotWithoutEnd) {
    const std::optional<Action> abort = configured({{"secondsPerGiB", 10}}).decide(copying(20));
    ASSERT_TRUE(abort);
    EXPECT_TRUE(std::holds_alternative<AbortMigration>(abort->what));
    EXPECT_FALSE(configured({{"secondsPerGiB", 0}}).decide(copying(1'000'000)));
}

TEST(StorageBudget, GivesTheMemoryItsOwnTimeHoweverLongDisksTook) {
    StorageBudget budget = configured({{"secondsPerGiB", 10}, {"action", "continue"}});
    budget.decide(copying(500));
    Sample memory = copying(501);
    memory.phase = Phase::precopy;
    EXPECT_FALSE(budget.decide(memory));
    EXPECT_EQ(budget.memory_elapsed(memory), Milliseconds(1'000));
}

}  // namespace
}  // namespace vmmi::policy::test
