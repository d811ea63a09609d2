// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/domain.h"

#include <array>

#include "hypervisor/convert.h"
#include "hypervisor/typed_params.h"

namespace vmmi::hypervisor {

GuestState state_of(virDomainPtr domain) {
    int state = 0;
    int reason = 0;
    if (virDomainGetState(domain, &state, &reason, 0) < 0)
        return virGetLastError() != nullptr && virGetLastError()->code == VIR_ERR_NO_DOMAIN ? GuestState::absent
                                                                                            : GuestState::unknown;
    return guest_state(state, reason);
}

std::optional<JobStats> stats_of(virDomainPtr domain, unsigned int flags) {
    int type = 0;
    TypedParams params;
    if (virDomainGetJobStats(domain, &type, params.list(), params.count(), flags) < 0) return std::nullopt;
    return job_stats(type, params.view());
}

std::string uuid_of(virDomainPtr domain) {
    std::array<char, VIR_UUID_STRING_BUFLEN> text{};
    return virDomainGetUUIDString(domain, text.data()) < 0 ? std::string() : std::string(text.data());
}

Guest guest_of(virDomainPtr domain, GuestState state) {
    Guest guest;
    const char* name = virDomainGetName(domain);
    guest.name = name != nullptr ? name : "";
    guest.uuid = uuid_of(domain);
    virDomainInfo info{};
    if (virDomainGetInfo(domain, &info) == 0) guest.memory = {std::uint64_t{info.memory} << 10};
    guest.paused = state == GuestState::paused;
    guest.persistent = virDomainIsPersistent(domain) == 1;
    return guest;
}

Domain find_guest(virConnectPtr connection, const std::string& vm) {
    Domain domain(virDomainLookupByUUIDString(connection, vm.c_str()));
    if (!domain) domain.reset(virDomainLookupByName(connection, vm.c_str()));
    return domain;
}

}  // namespace vmmi::hypervisor
