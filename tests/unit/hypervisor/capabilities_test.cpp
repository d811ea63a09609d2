// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/capabilities.h"

#include <gtest/gtest.h>

namespace vmmi::hypervisor {
namespace {

using Migration = HostFacts::Migration;

TEST(Capabilities, TellTheHostsUuidAndWhetherItMigrates) {
    const Capabilities read = read_capabilities(R"(<capabilities>
        <guest><uuid>0</uuid></guest>
        <host><cpu><uuid>1</uuid><arch>x</arch></cpu><uuid>2</uuid>
          <migration_features><live/><uri_transports/></migration_features></host>
        <host><uuid>3</uuid></host></capabilities>)");
    EXPECT_EQ(read.host_uuid, "2");
    EXPECT_EQ(read.migration, Migration::live);
}

TEST(Capabilities, TellWhatDoesNotMigrate) {
    EXPECT_EQ(read_capabilities("<capabilities><host/></capabilities>").migration, Migration::none);
    EXPECT_EQ(read_capabilities("<capabilities><host><cpu/></host></capabilities>").migration, Migration::none);
    const char* not_live = "<capabilities><host><migration_features/></host></capabilities>";
    EXPECT_EQ(read_capabilities(not_live).migration, Migration::not_live);
}

TEST(Capabilities, MayBeAnything) {
    const std::string deep = [] {
        std::string text;
        for (int i = 0; i < 100'000; ++i) text += "<host>";
        return text;
    }();
    for (const std::string& text : std::vector<std::string>{
             "", "x", "<", "<capabilities/>", "<capabilities><host>", "<capabilities><guest/></capabilities>",
             "<other><host><uuid>1</uuid></host></other>", std::string("<capabilities><host>\0", 21), deep,
             "<?xml version='1.0'?><!DOCTYPE c [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"
             "<capabilities><host><uuid>&a;</uuid>"}) {
        const Capabilities read = read_capabilities(text);
        EXPECT_EQ(read.host_uuid, "") << text.substr(0, 80);
        EXPECT_EQ(read.migration, Migration::unknown) << text.substr(0, 80);
    }
}

TEST(Capabilities, AreBounded) {
    const std::string text = "<capabilities><host><uuid>" + std::string(1 << 20, 'x') + "</uuid></host></capabilities>";
    EXPECT_EQ(read_capabilities(text).host_uuid.size(), 64U);
}

}  // namespace
}  // namespace vmmi::hypervisor
