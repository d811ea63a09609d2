// SPDX-License-Identifier: Apache-2.0
#include <vmmi/migration_keys.h>

#include "schedule_policy.h"

namespace schedule {

using namespace vmmi;

namespace {

constexpr std::int64_t fastest = 8'796'093'022'207;  // MiB/s that libvirt can express

std::vector<Key> keys() {
    std::vector<Key> keys{
        schedule_key(),
        integer_key("progressPercent", 96, {1, 100},
                    "a pass that begins below so much of the lowest beginning before is progress"),
        object_key("postcopy",
                   {integer_key("bandwidthMiBPerSecond", 0, {0, fastest},
                                "cap on the traffic in post-copy, pages that the guest waits for excepted; 0 is none")},
                   "post-copy"),
    };
    for (Key& key : migration_keys()) keys.push_back(std::move(key));
    return keys;
}

Result<std::unique_ptr<Policy>> make(const Settings& settings) {
    Result<MigrationRequest> request = request_from(settings);
    if (!request) return fail(request.error());
    request->postcopy_bandwidth =
        mebibytes_per_second(static_cast<std::uint64_t>(settings.integer("postcopy.bandwidthMiBPerSecond")));
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
