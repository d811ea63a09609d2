// SPDX-License-Identifier: Apache-2.0
#include "vmmi/policy.h"

namespace vmmi {

std::vector<Action> Policy::adopt(const Guest& guest, const Sample& now) {
    const MigrationRequest request = plan(guest);
    if (now.phase > Phase::precopy) return {};
    std::vector<Action> actions;
    if (request.downtime_limit && *request.downtime_limit != now.downtime_limit)
        actions.push_back({SetDowntimeLimit{*request.downtime_limit}, "takeover: the limit of this policy"});
    if (request.bandwidth.count > 0)
        actions.push_back({SetBandwidth{request.bandwidth}, "takeover: the bandwidth of this policy"});
    return actions;
}

std::optional<Milliseconds> Policy::next_sample_within() const {
    return std::nullopt;
}

bool Policy::guards(const Sample&) {
    return false;
}

}  // namespace vmmi
