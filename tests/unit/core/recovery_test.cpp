// SPDX-License-Identifier: Apache-2.0
#include "core/recovery.h"

#include <gtest/gtest.h>

namespace vmmi {
namespace {

TEST(Recovery, NeedsDaemonsThatRecoverAndDoNotCrash) {
    constexpr std::uint64_t fine = version(9, 0);
    for (const std::uint64_t destination : {version(8, 5), fine, version(11, 1, 99), version(11, 4), version(12, 8)})
        EXPECT_FALSE(obstacle_to_recovery(fine, destination)) << destination;
    for (const std::uint64_t destination : {version(8, 4), version(11, 2), version(11, 3, 5)})
        EXPECT_TRUE(obstacle_to_recovery(fine, destination)) << destination;
    EXPECT_TRUE(obstacle_to_recovery(version(8, 4), fine));
    EXPECT_FALSE(obstacle_to_recovery(version(11, 3), fine)) << "as the source it recovers";
    EXPECT_FALSE(obstacle_to_recovery(std::nullopt, std::nullopt)) << "what is not known is no obstacle";
}

}  // namespace
}  // namespace vmmi
