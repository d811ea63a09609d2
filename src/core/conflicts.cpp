// SPDX-License-Identifier: Apache-2.0
#include "core/conflicts.h"

#include <fmt/format.h>

#include <array>

#include "core/describe.h"

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

std::optional<Conflict> sockets_are_known(const Question& q) {
    constexpr std::uint64_t first = version(6, 8);
    if (q.around.transport != "unix") return std::nullopt;
    const auto refuse = [&](const char* where, const Version& libvirt) {
        return error(ErrorCode::operation_failed, fmt::format("MIGRATION-URI: unix needs libvirt {}, and the {} has {}",
                                                              version_text(first), where, version_text(*libvirt)));
    };
    if (older(q.around.source.libvirt, first)) return refuse("source", q.around.source.libvirt);
    if (q.around.destination && older(q.around.destination->libvirt, first))
        return refuse("destination", q.around.destination->libvirt);
    return std::nullopt;
}

/// libvirt keeps it in MiB/s, in a signed number of bytes.
std::optional<Conflict> bandwidth_can_be_told(const Question& q) {
    constexpr std::uint64_t most = 8'796'093'022'207;
    const std::uint64_t count = q.request.bandwidth.count;
    if (count >> 20 > most)
        return error(ErrorCode::operation_failed,
                     fmt::format("a bandwidth of {} MiB/s is above what libvirt takes, {}", count >> 20, most));
    if (count > 0 && count >> 20 == 0)
        return warning(fmt::format("a bandwidth of {} bytes/s becomes 1 MiB/s, the least that libvirt takes", count));
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

constexpr std::array<Rule, 6> rules{hypervisor_migrates, libvirt_is_recent,     transport_is_known,
                                    sockets_are_known,   bandwidth_can_be_told, downtime_can_be_told};

}  // namespace

std::vector<Conflict> conflicts(const MigrationRequest& request, const Guest& guest, const Surroundings& around) {
    std::vector<Conflict> found;
    for (const Rule rule : rules) {
        if (std::optional<Conflict> conflict = rule({request, guest, around})) found.push_back(std::move(*conflict));
    }
    return found;
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
