// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/devices.h"

#include <gtest/gtest.h>

namespace vmmi::hypervisor {
namespace {

TEST(Devices, AreReadFromTheXmlOfTheGuest) {
    const std::optional<GuestDevices> devices = read_devices(R"(<domain type='kvm' id='3'>
        <devices>
          <disk type='file' device='disk'>
            <driver name='qemu' type='qcow2'/>
            <source file='/a' index='1'/>
            <backingStore type='file'><format type='raw'/><source file='/b'/><backingStore/></backingStore>
            <target dev='vda' bus='virtio'/>
          </disk>
          <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
          <disk type='block' device='disk'><source dev='/dev/c'/><target dev='vdb'/><shareable/></disk>
          <hostdev mode='subsystem' type='pci' managed='yes'><source><address bus='0x06'/></source></hostdev>
          <hostdev mode='subsystem' type='usb'/>
          <hostdev mode='subsystem' type='mdev' model='vfio-pci'/>
          <interface type='hostdev' managed='yes'/>
          <interface type='network'/>
        </devices></domain>)");
    ASSERT_TRUE(devices);
    ASSERT_EQ(devices->disks.size(), 3U);
    EXPECT_EQ(devices->disks[0].target, "vda");
    EXPECT_FALSE(devices->disks[0].empty || devices->disks[0].read_only || devices->disks[0].shareable);
    EXPECT_EQ(devices->disks[1].target, "sda");
    EXPECT_TRUE(devices->disks[1].empty && devices->disks[1].read_only);
    EXPECT_TRUE(devices->disks[2].shareable);
    EXPECT_EQ(devices->vfio, 3);
}

TEST(Devices, MayBeNone) {
    EXPECT_EQ(read_devices("<domain/>")->vfio, 0);
    for (const char* text : {"", "x", "<domain>", "<other/>", "<domain><devices><disk></devices></domain>"})
        EXPECT_FALSE(read_devices(text)) << text;
}

TEST(Devices, AreReadFromLongBackingChains) {
    std::string chain;
    for (int i = 0; i < 200; ++i) chain += "<backingStore>";
    for (int i = 0; i < 200; ++i) chain += "</backingStore>";
    EXPECT_TRUE(read_devices("<domain><devices><disk>" + chain + "</disk></devices></domain>"));
}

TEST(Devices, AreBounded) {
    const std::string name(1 << 20, 'x');
    std::string text = "<domain><devices>";
    for (int i = 0; i < 2000; ++i) text += "<disk><target dev='y'/></disk>";
    text += "<disk><target dev='" + name + "'/></disk></devices></domain>";
    EXPECT_LE(read_devices(text)->disks.size(), 1025U);
    EXPECT_EQ(read_devices("<domain><devices><disk><target dev='" + name + "'/></disk></devices></domain>")
                  ->disks[0]
                  .target.size(),
              64U);
}

}  // namespace
}  // namespace vmmi::hypervisor
