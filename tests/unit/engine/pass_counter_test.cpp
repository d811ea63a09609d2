// SPDX-License-Identifier: Apache-2.0
#include "engine/pass_counter.h"

#include <gtest/gtest.h>

namespace vmmi::engine {
namespace {

JobStats stats(int looks, std::uint64_t remaining, std::uint64_t sent) {
    JobStats stats;
    stats.memory_total = mebibytes(200);
    stats.iteration = looks;
    stats.memory_remaining = mebibytes(remaining);
    stats.memory_sent = mebibytes(sent);
    return stats;
}

TEST(PassCounter, LeavesPassesAsTheyAreWhereALookBeginsOne) {
    PassCounter counter;
    for (const JobStats& one :
         {stats(1, 200, 1), stats(1, 20, 180), stats(2, 64, 190), stats(2, 10, 244), stats(5, 60, 390)}) {
        const JobStats counted = counter.of(one);
        EXPECT_EQ(counted.iteration, one.iteration);
        EXPECT_EQ(counted.memory_remaining, one.memory_remaining);
    }
    EXPECT_TRUE(counter.looks_are_passes());
}

TEST(PassCounter, CountsByWhatWasSentWhereQemuLooksAllTheTime) {
    PassCounter counter;
    struct Row {
        int looks;
        std::uint64_t remaining;
        std::uint64_t sent;
        int pass;
        std::uint64_t of_pass;
    };
    for (const Row& row : {Row{2, 198, 2, 1, 198}, Row{8, 168, 40, 1, 160}, Row{44, 60, 190, 1, 10},
                           Row{48, 56, 200, 2, 56}, Row{55, 57, 230, 2, 26}, Row{62, 54, 256, 3, 54}}) {
        const JobStats counted = counter.of(stats(row.looks, row.remaining, row.sent));
        EXPECT_EQ(counted.iteration, row.pass) << row.looks;
        EXPECT_EQ(counted.memory_remaining, mebibytes(row.of_pass)) << row.looks;
    }
    EXPECT_FALSE(counter.looks_are_passes());
}

TEST(PassCounter, ChangesNothingWithoutTheNumbersForIt) {
    PassCounter counter;
    for (const JobStats& one : {JobStats{}, stats(1, 200, 0), stats(7, 200, 0)}) {
        const JobStats counted = counter.of(one);
        EXPECT_EQ(counted.iteration, one.iteration);
        EXPECT_EQ(counted.memory_remaining, one.memory_remaining);
    }
}

}  // namespace
}  // namespace vmmi::engine
