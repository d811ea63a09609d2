// SPDX-License-Identifier: Apache-2.0
#include "core/conflicts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "core/contradictions.h"
#include "core/describe.h"
#include "core/recovery.h"

namespace vmmi {
namespace {

using Severity = Conflict::Severity;

struct Question {
    const MigrationRequest& request;
    const Guest& guest;
    const Surroundings& around;
};
using Rule = std::optional<Conflict> (*)(const Question&);

Conflict error(ErrorCode code, std::string details) {
    return {Severity::error, {code, "options conflict", std::move(details)}};
}

Conflict warning(std::string details) {
    return {Severity::warning, {ErrorCode::none, "", std::move(details)}};
}

bool older(const Version& version, std::uint64_t than) {
    return version && *version < than;
}

std::optional<Conflict> hypervisor_migrates(const Question& q) {
    const HostFacts& source = q.around.source;
    if (source.migration == HostFacts::Migration::none)
        return error(ErrorCode::operation_failed,
                     fmt::format("hypervisor {} at the source does not migrate", quote(source.hypervisor)));
    if (q.request.live && source.migration == HostFacts::Migration::not_live)
        return error(
            ErrorCode::operation_failed,
            fmt::format("hypervisor {} at the source does not migrate guests that run", quote(source.hypervisor)));
    return std::nullopt;
}

/// What this project is made for and tested with.
std::optional<Conflict> libvirt_is_recent(const Question& q) {
    constexpr std::uint64_t oldest = version(8, 0);
    if (!older(q.around.source.libvirt, oldest)) return std::nullopt;
    return warning(fmt::format("libvirt {} at the source is older than {}, with which nothing was tested",
                               version_text(*q.around.source.libvirt), version_text(oldest)));
}

std::optional<Conflict> transport_is_known(const Question& q) {
    if (is_migration_transport(q.around.transport)) return std::nullopt;
    return error(
        ErrorCode::malformed_parameters,
        fmt::format("MIGRATION-URI: expected the scheme tcp, rdma or unix, got {}", quote(q.around.transport)));
}

/// libvirt keeps it in MiB/s, in a signed number of bytes.
std::optional<Conflict> bandwidth_can_be_told(const Question& q) {
    constexpr std::uint64_t most = 8'796'093'022'207;
    for (const std::uint64_t count : {q.request.bandwidth.count, q.request.postcopy_bandwidth.count}) {
        if (count >> 20 > most)
            return error(ErrorCode::operation_failed,
                         fmt::format("a bandwidth of {} MiB/s is above what libvirt takes, {}", count >> 20, most));
        if (count > 0 && count >> 20 == 0)
            return warning(
                fmt::format("a bandwidth of {} bytes/s becomes 1 MiB/s, the least that libvirt takes", count));
    }
    return std::nullopt;
}

std::optional<Conflict> downtime_can_be_told(const Question& q) {
    constexpr Milliseconds most{2'000'000};
    const std::optional<Milliseconds> limit = q.request.downtime_limit;
    if (!limit || (limit->count() > 0 && *limit <= most)) return std::nullopt;
    return error(ErrorCode::operation_failed,
                 fmt::format("a downtime limit of {} ms is not between 1 and {}, which QEMU "
                             "takes",
                             limit->count(), most.count()));
}

std::optional<Conflict> throttle_can_be_told(const Question& q) {
    if (!q.request.auto_converge) return std::nullopt;
    for (const std::optional<int> percent :
         {q.request.auto_converge->initial_percent, q.request.auto_converge->increment_percent}) {
        if (percent && (*percent < 1 || *percent > 99))
            return error(ErrorCode::operation_failed,
                         fmt::format("auto-converge by {} % is not between 1 and 99, which QEMU takes", *percent));
    }
    return std::nullopt;
}

std::optional<Conflict> connections_can_be_told(const Question& q) {
    constexpr int most = 255;
    if (q.request.parallel_connections >= 0 && q.request.parallel_connections <= most) return std::nullopt;
    return error(ErrorCode::operation_failed, fmt::format("{} parallel connections are not between 0 and {}, which "
                                                          "QEMU takes",
                                                          q.request.parallel_connections, most));
}

std::optional<Conflict> rdma_has_one_connection(const Question& q) {
    if (q.around.transport != "rdma" || q.request.parallel_connections == 0) return std::nullopt;
    return error(ErrorCode::operation_failed,
                 "parallel.connections excludes rdma, which has one connection; give a MIGRATION-URI with tcp, or "
                 "leave parallel.connections out");
}

/// QEMU 8.1 and later refuse it; before, it had no effect.
std::optional<Conflict> rdma_does_not_compress(const Question& q) {
    const std::vector<std::string>& methods = q.request.compression.methods;
    if (q.around.transport != "rdma" || methods.empty()) return std::nullopt;
    return error(
        ErrorCode::operation_failed,
        fmt::format("compression.methods: {} excludes rdma, over which QEMU does not compress; leave it out, or "
                    "give a MIGRATION-URI with tcp",
                    fmt::join(methods, ", ")));
}

std::optional<Conflict> rdma_has_no_postcopy(const Question& q) {
    if (q.around.transport != "rdma" || !q.request.postcopy) return std::nullopt;
    return error(ErrorCode::operation_failed,
                 "post-copy excludes rdma, over which QEMU does not have it; give a MIGRATION-URI with tcp, or migrate "
                 "without post-copy, as the plugin precopy does");
}

/// libvirt makes up no path for a socket.
std::optional<Conflict> disks_know_their_socket(const Question& q) {
    if (q.around.transport != "unix" || q.request.storage.mode == StorageCopy::Mode::none ||
        !q.request.storage.uri.empty())
        return std::nullopt;
    return error(ErrorCode::operation_failed,
                 "storage.mode with a MIGRATION-URI that is a socket needs storage.uri; give another socket there, "
                 "unix:///PATH");
}

std::optional<Conflict> postcopy_guest_runs(const Question& q) {
    if (!q.request.postcopy || !q.guest.paused) return std::nullopt;
    return error(ErrorCode::operation_failed,
                 fmt::format("guest {} is paused, and post-copy is for a guest that runs; resume it, or migrate it "
                             "without post-copy",
                             q.guest.name));
}

std::optional<Conflict> postcopy_guest_has_no_vfio(const Question& q) {
    if (!q.request.postcopy || !q.guest.devices || q.guest.devices->vfio == 0) return std::nullopt;
    return error(ErrorCode::operation_failed,
                 fmt::format("guest {} has devices of the host (VFIO: {}), with which QEMU has no post-copy; detach "
                             "them, or migrate it without post-copy",
                             q.guest.name, q.guest.devices->vfio));
}

std::optional<Conflict> postcopy_can_be_resumed(const Question& q) {
    if (!q.request.postcopy) return std::nullopt;
    const std::optional<std::string> obstacle = obstacle_to_recovery(
        q.around.source.libvirt, q.around.destination ? q.around.destination->libvirt : std::nullopt);
    if (!obstacle) return std::nullopt;
    return warning("a post-copy that breaks could not be resumed: " + *obstacle);
}

std::optional<Conflict> disks_are_there(const Question& q) {
    if (q.request.storage.mode == StorageCopy::Mode::none || !q.guest.devices) return std::nullopt;
    const std::vector<GuestDisk>& disks = q.guest.devices->disks;
    const std::vector<std::string>& chosen = q.request.storage.disks;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        const auto found = std::ranges::find(disks, chosen[i], &GuestDisk::target);
        if (found != disks.end() && !found->empty) continue;
        std::vector<std::string> names;
        for (const GuestDisk& disk : disks)
            if (!disk.empty) names.push_back(disk.target);
        return error(ErrorCode::operation_failed,
                     fmt::format("storage.disks[{}]: guest {} has no disk {}; it has: {}", i, q.guest.name,
                                 quote(chosen[i]), names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
    }
    const auto is_copied = [](const GuestDisk& disk) { return !disk.empty && !disk.read_only && !disk.shareable; };
    if (!chosen.empty() || std::ranges::any_of(disks, is_copied)) return std::nullopt;
    return warning(fmt::format("guest {} has no disk to copy, for all that storage.mode asks for it", q.guest.name));
}

std::optional<Conflict> definition_is_kept(const Question& q) {
    if (!q.request.undefine_source || q.request.persist_destination || !q.guest.persistent) return std::nullopt;
    return warning(
        fmt::format("undefineSource without persistDestination: the definition of guest {} is lost when it "
                    "powers off at the destination",
                    q.guest.name));
}

constexpr std::array<Rule, 16> rules{
    hypervisor_migrates,        libvirt_is_recent,       transport_is_known,      bandwidth_can_be_told,
    downtime_can_be_told,       throttle_can_be_told,    connections_can_be_told, rdma_has_one_connection,
    rdma_does_not_compress,     rdma_has_no_postcopy,    disks_know_their_socket, postcopy_guest_runs,
    postcopy_guest_has_no_vfio, postcopy_can_be_resumed, disks_are_there,         definition_is_kept};

/// Between which versions an option exists, at both hosts. From libvirt's and QEMU's release notes.
struct Era {
    const char* option = "";
    bool (*asked)(const Question&) = nullptr;
    const char* program = "";
    std::uint64_t since = 0;
    std::uint64_t until = 0;  ///< the first without it; 0: none yet
};
constexpr const char* libvirt = "libvirt";
constexpr const char* qemu = "QEMU";

bool asks_for_multifd_compression(const Question& q) {
    return compresses_with(q.request, "zlib") || compresses_with(q.request, "zstd");
}
bool asks_for_zero_copy(const Question& q) {
    return q.request.zero_copy;
}

constexpr Era eras[]{
    {"MIGRATION-URI: unix", [](const Question& q) { return q.around.transport == "unix"; }, libvirt, version(6, 8)},
    {"storage.uri", [](const Question& q) { return !q.request.storage.uri.empty(); }, libvirt, version(6, 8)},
    {"storage.synchronousWrites", [](const Question& q) { return q.request.storage.synchronous_writes; }, libvirt,
     version(8, 0)},
    {"zeroCopy", asks_for_zero_copy, libvirt, version(8, 5)},
    {"zeroCopy", asks_for_zero_copy, qemu, version(7, 1)},
    {"compression.methods: zlib or zstd", asks_for_multifd_compression, libvirt, version(9, 4)},
    {"compression.methods: zlib or zstd", asks_for_multifd_compression, qemu, version(5, 0)},
    {"compression.methods: mt", [](const Question& q) { return compresses_with(q.request, "mt"); }, qemu, version(2, 4),
     version(9, 1)},
    // Up to 8.0, QEMU accepts the two and loses the guest; up to 10.0, it refuses them.
    {"post-copy together with parallel.connections",
     [](const Question& q) { return q.request.postcopy && q.request.parallel_connections > 0; }, qemu, version(10, 1)},
};

std::optional<Conflict> anachronism(const Era& era, const HostFacts& host, const char* where) {
    if (era.program == qemu && host.hypervisor != qemu) return std::nullopt;
    const Version& has = era.program == qemu ? host.hypervisor_version : host.libvirt;
    if (!has) return std::nullopt;
    if (*has < era.since)
        return error(ErrorCode::operation_failed,
                     fmt::format("{} needs {} {}, and the {} has {}; leave it out, or upgrade that host", era.option,
                                 era.program, version_text(era.since), where, version_text(*has)));
    if (era.until > 0 && *has >= era.until)
        return error(ErrorCode::operation_failed,
                     fmt::format("{} needs {} older than {}, and the {} has {}; leave it out, or choose another method",
                                 era.option, era.program, version_text(era.until), where, version_text(*has)));
    return std::nullopt;
}

/// What one of the hosts is too old or too new for.
void add_anachronisms(const Question& q, std::vector<Conflict>& found) {
    for (const Era& era : eras) {
        if (!era.asked(q)) continue;
        std::optional<Conflict> conflict = anachronism(era, q.around.source, "source");
        if (!conflict && q.around.destination) conflict = anachronism(era, *q.around.destination, "destination");
        if (conflict) found.push_back(std::move(*conflict));
    }
}

}  // namespace

MigrationRequest suited_to(MigrationRequest request, const std::string& transport) {
    if (request.compression.only_preferred && transport == "rdma") request.compression = {};
    return request;
}

std::vector<Conflict> conflicts(const MigrationRequest& request, const Guest& guest, const Surroundings& around) {
    const Question question{request, guest, around};
    std::vector<Conflict> found;
    for (const Rule rule : rules) {
        if (std::optional<Conflict> conflict = rule(question)) found.push_back(std::move(*conflict));
    }
    for (std::string& contradiction : contradictions(request, ""))
        found.push_back(error(ErrorCode::operation_failed, std::move(contradiction)));
    add_anachronisms(question, found);
    return found;
}

Subjects subjects(const MigrationRequest& request) {
    const Guest guest;
    const Surroundings around;
    const auto depends_on = [&](const char* program) {
        return std::ranges::any_of(eras, [&](const Era& era) {
            return era.program == program && era.asked({request, guest, around});
        });
    };
    return {.devices = request.postcopy || request.storage.mode != StorageCopy::Mode::none,
            .libvirt = request.postcopy || depends_on(libvirt),
            .hypervisor = depends_on(qemu)};
}

std::optional<Error> refusal(const std::vector<Conflict>& found) {
    std::optional<Error> all;
    for (const Conflict& conflict : found) {
        if (conflict.severity != Severity::error) continue;
        if (all)
            all->details += "; " + conflict.error.details;
        else
            all = conflict.error;
    }
    return all;
}

std::optional<Error> refusal(const Guest& guest, GuestState state, const JobStats& job) {
    if (job.migrating()) return std::nullopt;
    if (job.type == JobStats::Type::active) {
        return Error{ErrorCode::operation_failed, "another job is running",
                     fmt::format("guest {} has a job in progress that is no migration, such as a save or a backup; "
                                 "wait for its end, or abort it, and try again",
                                 guest.name)};
    }
    if (state != GuestState::running && state != GuestState::paused) {
        return Error{ErrorCode::operation_failed, "guest is not running",
                     fmt::format("guest {} is {}; only a running or paused guest can be migrated", guest.name,
                                 to_string(state))};
    }
    return std::nullopt;
}

bool is_migration_transport(const std::string& scheme) {
    return scheme == "tcp" || scheme == "rdma" || scheme == "unix";
}

}  // namespace vmmi
