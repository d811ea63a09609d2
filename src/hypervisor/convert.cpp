// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/convert.h"

#include <algorithm>
#include <limits>

namespace vmmi::hypervisor {
namespace {

/// What the oldest header that this is built with, of libvirt 8.0, does not have. Whether the daemon at hand has it is
/// found before the start: see core/conflicts.
namespace flag {
constexpr unsigned int synchronous_writes = 1U << 18;  // VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES, 8.0
constexpr unsigned int postcopy_resume = 1U << 19;     // VIR_MIGRATE_POSTCOPY_RESUME, 8.5
constexpr unsigned int zero_copy = 1U << 20;           // VIR_MIGRATE_ZEROCOPY, 8.5
}  // namespace flag
constexpr int running_postcopy_failed = 11;  // VIR_DOMAIN_RUNNING_POSTCOPY_FAILED, 8.5
namespace parameter {
constexpr const char* zlib_level = "compression.zlib.level";  // 9.4
constexpr const char* zstd_level = "compression.zstd.level";  // 9.4
}  // namespace parameter

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
    const auto pages = [&](const char* name) { return params.unsigned_long_long(name).value_or(0); };
    // QEMU counts a page before xbzrle encodes it, and once more as a normal one where the result is too long. Where
    // nothing of it changed, it is sent with nothing; where it was not in the cache, it is a normal page alone.
    const Bytes encoded =
        Bytes{pages(VIR_DOMAIN_JOB_COMPRESSION_PAGES)} - Bytes{pages(VIR_DOMAIN_JOB_COMPRESSION_OVERFLOW)};
    stats.memory_sent = {params.unsigned_long_long(VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE).value_or(usual_page) *
                         (pages(VIR_DOMAIN_JOB_MEMORY_NORMAL) + pages(VIR_DOMAIN_JOB_MEMORY_CONSTANT) + encoded.count)};
    stats.data_transferred = bytes(VIR_DOMAIN_JOB_DATA_PROCESSED);
    stats.disk_total = bytes(VIR_DOMAIN_JOB_DISK_TOTAL);
    stats.disk_transferred = bytes(VIR_DOMAIN_JOB_DISK_PROCESSED);
    stats.disk_remaining = bytes(VIR_DOMAIN_JOB_DISK_REMAINING);
    stats.bandwidth = {bytes(VIR_DOMAIN_JOB_MEMORY_BPS).count};
    stats.dirty_rate = {params.unsigned_long_long(VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE).value_or(0) *
                        params.unsigned_long_long(VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE).value_or(usual_page)};
    stats.iteration =
        static_cast<int>(std::min(most, params.unsigned_long_long(VIR_DOMAIN_JOB_MEMORY_ITERATION).value_or(0)));
    stats.throttle_percent = params.integer(VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE);
    stats.postcopy_requests = params.unsigned_long_long(VIR_DOMAIN_JOB_MEMORY_POSTCOPY_REQS).value_or(0);
    return stats;
}

GuestState guest_state(int state, int reason) {
    switch (state) {
        case VIR_DOMAIN_RUNNING:
            if (reason == VIR_DOMAIN_RUNNING_POSTCOPY) return GuestState::postcopy;
            if (reason == running_postcopy_failed) return GuestState::postcopy_failed;
            return GuestState::running;
        case VIR_DOMAIN_BLOCKED:
            return GuestState::running;
        case VIR_DOMAIN_PAUSED:
            switch (reason) {
                case VIR_DOMAIN_PAUSED_MIGRATION:
                case VIR_DOMAIN_PAUSED_STARTING_UP:  // at the destination, before its memory comes
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
    const bool all_storage = request.storage.mode == StorageCopy::Mode::all;
    const bool storage_above = request.storage.mode == StorageCopy::Mode::incremental;
    unsigned int flags = VIR_MIGRATE_PEER2PEER;
    const auto set = [&](bool wanted, unsigned int flag) { flags |= wanted ? flag : 0; };
    set(request.live, VIR_MIGRATE_LIVE);
    set(request.auto_converge.has_value(), VIR_MIGRATE_AUTO_CONVERGE);
    set(!request.compression.methods.empty(), VIR_MIGRATE_COMPRESSED);
    set(request.parallel_connections > 0, VIR_MIGRATE_PARALLEL);
    set(request.zero_copy, flag::zero_copy);
    set(request.tls, VIR_MIGRATE_TLS);
    set(request.tunnelled, VIR_MIGRATE_TUNNELLED);
    set(all_storage, VIR_MIGRATE_NON_SHARED_DISK);
    set(storage_above, VIR_MIGRATE_NON_SHARED_INC);
    set(request.storage.synchronous_writes, flag::synchronous_writes);
    set(request.persist_destination, VIR_MIGRATE_PERSIST_DEST);
    set(request.undefine_source, VIR_MIGRATE_UNDEFINE_SOURCE);
    set(request.abort_on_error, VIR_MIGRATE_ABORT_ON_ERROR);
    set(request.unsafe, VIR_MIGRATE_UNSAFE);
    set(request.postcopy, VIR_MIGRATE_POSTCOPY);
    return flags;
}

void add_parameters(TypedParams& params, const MigrationRequest& request) {
    const auto add_text = [&](const char* name, const std::string& text) {
        if (!text.empty()) params.add(name, text);
    };
    const auto add_number = [&](const char* name, std::optional<int> number) {
        if (number) params.add(name, *number);
    };
    if (request.bandwidth.count > 0) params.add(VIR_MIGRATE_PARAM_BANDWIDTH, whole_mebibytes(request.bandwidth));
    if (request.auto_converge) {
        add_number(VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL, request.auto_converge->initial_percent);
        add_number(VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT, request.auto_converge->increment_percent);
    }
    const Compression& compression = request.compression;
    for (const std::string& method : compression.methods) params.add(VIR_MIGRATE_PARAM_COMPRESSION, method);
    if (compression.xbzrle_cache)
        params.add(VIR_MIGRATE_PARAM_COMPRESSION_XBZRLE_CACHE, compression.xbzrle_cache->count);
    add_number(VIR_MIGRATE_PARAM_COMPRESSION_MT_LEVEL, compression.mt_level);
    add_number(VIR_MIGRATE_PARAM_COMPRESSION_MT_THREADS, compression.mt_threads);
    add_number(VIR_MIGRATE_PARAM_COMPRESSION_MT_DTHREADS, compression.mt_dthreads);
    add_number(parameter::zlib_level, compression.zlib_level);
    add_number(parameter::zstd_level, compression.zstd_level);
    if (request.parallel_connections > 0)
        params.add(VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, request.parallel_connections);
    add_text(VIR_MIGRATE_PARAM_TLS_DESTINATION, request.tls_destination);
    for (const std::string& disk : request.storage.disks) params.add(VIR_MIGRATE_PARAM_MIGRATE_DISKS, disk);
    add_text(VIR_MIGRATE_PARAM_DISKS_URI, request.storage.uri);
    add_text(VIR_MIGRATE_PARAM_DEST_NAME, request.destination_name);
    add_text(VIR_MIGRATE_PARAM_DEST_XML, request.destination_xml);
    add_text(VIR_MIGRATE_PARAM_PERSIST_XML, request.persistent_xml);
    add_text(VIR_MIGRATE_PARAM_LISTEN_ADDRESS, request.listen_address);
    add_text(VIR_MIGRATE_PARAM_GRAPHICS_URI, request.graphics_uri);
    if (request.postcopy && request.postcopy_bandwidth.count > 0)
        params.add(VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY, whole_mebibytes(request.postcopy_bandwidth));
}

unsigned int recovery_flags(const MigrationRequest& request) {
    unsigned int flags = VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_LIVE | VIR_MIGRATE_POSTCOPY | flag::postcopy_resume;
    if (request.tls) flags |= VIR_MIGRATE_TLS;
    if (request.persist_destination) flags |= VIR_MIGRATE_PERSIST_DEST;
    if (request.undefine_source) flags |= VIR_MIGRATE_UNDEFINE_SOURCE;
    return flags;
}

void add_recovery_parameters(TypedParams& params, const MigrationRequest& request) {
    if (request.postcopy_bandwidth.count > 0)
        params.add(VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY, whole_mebibytes(request.postcopy_bandwidth));
    const auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) params.add(name, value);
    };
    add(VIR_MIGRATE_PARAM_TLS_DESTINATION, request.tls_destination);
    add(VIR_MIGRATE_PARAM_DEST_NAME, request.destination_name);
    add(VIR_MIGRATE_PARAM_PERSIST_XML, request.persistent_xml);
    add(VIR_MIGRATE_PARAM_LISTEN_ADDRESS, request.listen_address);
}

unsigned long max_speed(BytesPerSecond limit) {
    constexpr unsigned long unlimited = std::numeric_limits<std::int64_t>::max() >> 20;
    return limit.count == 0 ? unlimited : whole_mebibytes(limit);
}

unsigned long max_postcopy_speed(BytesPerSecond limit) {
    return limit.count == 0 ? 0 : whole_mebibytes(limit);
}

}  // namespace vmmi::hypervisor
