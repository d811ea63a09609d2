// SPDX-License-Identifier: Apache-2.0
#include "system/resolve.h"

#include <gtest/gtest.h>

namespace vmmi::system {
namespace {

TEST(Resolve, TellsAddressesOfThisMachineFromOthers) {
    for (const char* host : {"127.0.0.1", "::1"}) {
        EXPECT_TRUE(resolve(host).loopback) << host;
        EXPECT_EQ(resolve(host).problem, "") << host;
    }
    for (const char* host : {"192.0.2.1", "2001:db8::1"}) {
        EXPECT_FALSE(resolve(host).loopback) << host;
        EXPECT_EQ(resolve(host).problem, "") << host;
    }
}

TEST(Resolve, SaysWhyThereIsNoAddress) {
    for (const std::string& host : {std::string("host.invalid"), std::string("a b"), std::string(2000, 'x')}) {
        EXPECT_NE(resolve(host).problem, "") << host;
        EXPECT_FALSE(resolve(host).loopback) << host;
    }
}

}  // namespace
}  // namespace vmmi::system
