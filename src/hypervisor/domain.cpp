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

}  // namespace vmmi::hypervisor
