// SPDX-License-Identifier: Apache-2.0
#include <vmmi/migration_keys.h>
#include <vmmi/postcopy.h>

#include "schedule_policy.h"

namespace schedule {

using namespace vmmi;

namespace {

std::vector<Key> keys() {
    std::vector<Key> keys{
        schedule_key(),
        integer_key("progressPercent", 96, {1, 100},
                    "a pass that begins below so much of the lowest beginning before is progress"),
        object_key("postcopy", {postcopy_bandwidth_key()}, "post-copy"),
    };
    for (Key& key : migration_keys()) keys.push_back(std::move(key));
    return keys;
}

Result<std::unique_ptr<Policy>> make(const Settings& settings) {
    Result<MigrationRequest> request = request_from(settings);
    if (!request) return fail(request.error());
    request->postcopy_bandwidth = postcopy_bandwidth(settings);
    Result<Schedule> schedule = schedule_from(settings);
    if (!schedule) return fail(schedule.error());
    if (request->tunnelled && schedule->has_postcopy()) {
        return fail(ErrorCode::malformed_configuration, "malformed configuration",
                    "configuration.tunnelled: libvirt has no post-copy through a tunnel; leave it out, or take "
                    "\"postcopy\" out of configuration.schedule");
    }
    FollowSchedule::Options options{
        .request = std::move(*request),
        .schedule = std::move(*schedule),
        .storage = StorageBudget(settings),
        .progress_factor = static_cast<double>(settings.integer("progressPercent")) / 100.0,
    };
    // A key of every plugin: absent where a policy is made without one.
    if (settings.values().find("monitorInterval") != nullptr)
        options.step_interval = std::chrono::seconds(settings.integer("monitorInterval"));
    return std::make_unique<FollowSchedule>(std::move(options));
}

}  // namespace

Plugin plugin() {
    return {
        .name = "schedule",
        .version = VMMI_PLUGIN_VERSION,
        .summary = "live migration by a schedule of downtime limits and last resorts, as oVirt has them",
        .keys = keys(),
        .make_policy = make,
    };
}

}  // namespace schedule
