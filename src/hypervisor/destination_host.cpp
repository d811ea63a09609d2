// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/destination_host.h"

#include "hypervisor/domain.h"

namespace vmmi::hypervisor {

void DestinationHost::execute(const order::InspectDestination& order) {
    channel_.submit([this, order] {
        event::DestinationInspected inspected{.uri = order.uri};
        // The daemon may have been replaced since it was last asked.
        if (const Result<virConnectPtr> connection = channel_.connection()) inspected.libvirt = libvirt_of(*connection);
        const NativeResult<virDomainPtr> domain = channel_.guest(order.uuid);
        if (domain)
            inspected.state = state_of(*domain);
        else if (domain.error().code == VIR_ERR_NO_DOMAIN)
            inspected.state = GuestState::absent;
        post_(inspected);
    });
}

bool DestinationHost::close(std::chrono::milliseconds patience) {
    channel_.disconnect();
    return channel_.idle_within(patience);
}

}  // namespace vmmi::hypervisor
