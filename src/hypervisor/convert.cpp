// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/convert.h"

#include <algorithm>
#include <limits>

namespace vmmi::hypervisor {
namespace {

JobStats::Type job_type(int type) {
    switch (type) {
        case VIR_DOMAIN_JOB_BOUNDED:
        case VIR_DOMAIN_JOB_UNBOUNDED:
            return JobStats::Type::active;
        case VIR_DOMAIN_JOB_COMPLETED:
            return JobStats::Type::completed;
        case VIR_DOMAIN_JOB_FAILED:
            return JobStats::Type::failed;
        case VIR_DOMAIN_JOB_CANCELLED:
            return JobStats::Type::cancelled;
        default:
            return JobStats::Type::none;
    }
}

JobStats::Operation job_operation(std::optional<int> operation) {
    if (!operation || *operation == VIR_DOMAIN_JOB_OPERATION_UNKNOWN) return JobStats::Operation::none;
    return *operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT ? JobStats::Operation::outgoing_migration
                                                                : JobStats::Operation::other;
}

std::optional<Milliseconds> milliseconds(std::optional<std::uint64_t> value) {
    if (!value || *value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
    return Milliseconds(static_cast<std::int64_t>(*value));
}

std::uint64_t whole_mebibytes(BytesPerSecond rate) {
    return std::max<std::uint64_t>(1, rate.count >> 20);
}

}  // namespace

JobStats job_stats(int type, ParamsView params) {
    const auto bytes = [&](const char* name) { return Bytes{params.unsigned_long_long(name).value_or(0)}; };
    constexpr std::uint64_t usual_page = 4096;
    constexpr std::uint64_t most = std::numeric_limits<int>::max();

    JobStats stats;
    stats.type = job_type(type);
    stats.operation = job_operation(params.integer(VIR_DOMAIN_JOB_OPERATION));
    stats.elapsed = milliseconds(params.unsigned_long_long(VIR_DOMAIN_JOB_TIME_ELAPSED)).value_or(Milliseconds(0));
    stats.downtime = milliseconds(params.unsigned_long_long(VIR_DOMAIN_JOB_DOWNTIME));
    stats.setup_time = milliseconds(params.unsigned_long_long(VIR_DOMAIN_JOB_SETUP_TIME));
    stats.memory_total = bytes(VIR_DOMAIN_JOB_MEMORY_TOTAL);
    stats.memory_transferred = bytes(VIR_DOMAIN_JOB_MEMORY_PROCESSED);
    stats.memory_remaining = bytes(VIR_DOMAIN_JOB_MEMORY_REMAINING);
    stats.data_transferred = bytes(VIR_DOMAIN_JOB_DATA_PROCESSED);
    stats.bandwidth = {bytes(VIR_DOMAIN_JOB_MEMORY_BPS).count};
    stats.dirty_rate = {params.unsigned_long_long(VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE).value_or(0) *
                        params.unsigned_long_long(VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE).value_or(usual_page)};
    stats.iteration =
        static_cast<int>(std::min(most, params.unsigned_long_long(VIR_DOMAIN_JOB_MEMORY_ITERATION).value_or(0)));
    stats.throttle_percent = params.integer(VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE);
    return stats;
}

GuestState guest_state(int state, int reason) {
    switch (state) {
        case VIR_DOMAIN_RUNNING:
        case VIR_DOMAIN_BLOCKED:
            return GuestState::running;
        case VIR_DOMAIN_PAUSED:
            switch (reason) {
                case VIR_DOMAIN_PAUSED_MIGRATION:
                    return GuestState::paused_for_migration;
                case VIR_DOMAIN_PAUSED_POSTCOPY:
                    return GuestState::postcopy;
                case VIR_DOMAIN_PAUSED_POSTCOPY_FAILED:
                    return GuestState::postcopy_failed;
                default:
                    return GuestState::paused;
            }
        case VIR_DOMAIN_SHUTOFF:
            return reason == VIR_DOMAIN_SHUTOFF_MIGRATED ? GuestState::shut_off_migrated : GuestState::shut_off;
        case VIR_DOMAIN_CRASHED:
            return GuestState::shut_off;
        default:
            return GuestState::unknown;
    }
}

std::optional<event::Lifecycle::Kind> lifecycle_kind(int event, int detail) {
    using Kind = event::Lifecycle::Kind;
    switch (event) {
        case VIR_DOMAIN_EVENT_SUSPENDED:
            switch (detail) {
                case VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED:
                    return Kind::paused_for_switchover;
                case VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY:
                    return Kind::postcopy_began;
                case VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED:
                    return Kind::postcopy_failed;
                default:
                    return std::nullopt;
            }
        case VIR_DOMAIN_EVENT_RESUMED:
            return Kind::resumed;
        case VIR_DOMAIN_EVENT_STOPPED:
            switch (detail) {
                case VIR_DOMAIN_EVENT_STOPPED_MIGRATED:
                    return Kind::migrated;
                case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
                    return Kind::powered_off;
                case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
                case VIR_DOMAIN_EVENT_STOPPED_FAILED:
                    return Kind::crashed;
                default:
                    return Kind::destroyed;
            }
        default:
            return std::nullopt;
    }
}

unsigned int migrate_flags(const MigrationRequest& request) {
    unsigned int flags = VIR_MIGRATE_PEER2PEER;
    if (request.live) flags |= VIR_MIGRATE_LIVE;
    return flags;
}

void add_parameters(TypedParams& params, const MigrationRequest& request) {
    if (request.bandwidth.count > 0) params.add(VIR_MIGRATE_PARAM_BANDWIDTH, whole_mebibytes(request.bandwidth));
}

unsigned long max_speed(BytesPerSecond limit) {
    constexpr unsigned long unlimited = std::numeric_limits<std::int64_t>::max() >> 20;
    return limit.count == 0 ? unlimited : whole_mebibytes(limit);
}

}  // namespace vmmi::hypervisor
