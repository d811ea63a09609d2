// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/devices.h"

#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::optional<GuestDevices> devices = hypervisor::read_devices(text_of(data, size));
    if (!devices) return 0;
    require(devices->disks.size() <= 1025, "what is read is bounded");
    for (const GuestDisk& disk : devices->disks) require(disk.target.size() <= 64, "what is read is bounded");
    return 0;
}
