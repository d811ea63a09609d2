// SPDX-License-Identifier: Apache-2.0
#include "system/guard.h"

#include <gtest/gtest.h>

namespace vmmi::system {
namespace {

TEST(Guard, TellsAStopByTheState) {  // SIG-11
    EXPECT_TRUE(Guard::tells_a_stop("123 (precopy) T 1 123 123 0"));
    for (const char* line :
         {"123 (precopy) S 1", "123 (precopy) R 1", "123 (precopy) Z 1", "", "T", ") T", "123 precopy T 1"})
        EXPECT_FALSE(Guard::tells_a_stop(line)) << line;
}

TEST(Guard, TakesTracingForNoStop) {
    EXPECT_FALSE(Guard::tells_a_stop("123 (precopy) t 1"));
}

TEST(Guard, IsNotMisledByNames) {
    EXPECT_FALSE(Guard::tells_a_stop("123 (a) T 1) S 1"));
    EXPECT_TRUE(Guard::tells_a_stop("123 (a) S 1) T 1"));
}

}  // namespace
}  // namespace vmmi::system
