// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/domain.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "core/describe.h"
#include "core/redact.h"
#include "hypervisor/convert.h"
#include "hypervisor/devices.h"
#include "hypervisor/typed_params.h"

namespace vmmi::hypervisor {
namespace {

Version version_by(int (*ask)(virConnectPtr, unsigned long*), virConnectPtr connection) {
    unsigned long number = 0;
    if (ask(connection, &number) < 0 || number == 0) return std::nullopt;
    return number;
}

}  // namespace

std::string cut(const char* text, std::size_t longest) {
    return text == nullptr ? std::string() : std::string(text, ::strnlen(text, longest));
}

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

GuestFacts facts_of(virDomainPtr domain) {
    GuestFacts facts;
    virDomainInfo info{};
    if (virDomainGetInfo(domain, &info) == 0) {
        constexpr int any_reason = 0;
        facts.guest.memory = {std::uint64_t{info.memory} << 10};
        facts.state = guest_state(info.state, any_reason);
    }
    facts.job = stats_of(domain, 0).value_or(JobStats{});
    // The reason says more of a guest that is being migrated, or was; of others it would be a call for nothing.
    const bool usual = facts.state == GuestState::running || facts.state == GuestState::paused;
    if (facts.job.migrating() || !usual) facts.state = state_of(domain);
    const char* name = virDomainGetName(domain);
    facts.guest.name = name != nullptr ? name : "";
    facts.guest.uuid = uuid_of(domain);
    facts.guest.paused = facts.state == GuestState::paused;
    facts.guest.persistent = virDomainIsPersistent(domain) == 1;
    return facts;
}

std::optional<GuestDevices> devices_of(virDomainPtr domain) {
    const Text xml(virDomainGetXMLDesc(domain, 0));
    return xml ? read_devices({xml.get(), ::strnlen(xml.get(), longest_answer)}) : std::nullopt;
}

Version libvirt_of(virConnectPtr connection) {
    return version_by(virConnectGetLibVersion, connection);
}

HostFacts host_of(virConnectPtr connection) {
    HostFacts facts;
    facts.hypervisor = cut(virConnectGetType(connection));
    facts.hypervisor_version = version_by(virConnectGetVersion, connection);
    facts.libvirt = libvirt_of(connection);
    return facts;
}

Result<Domain> find_guest(virConnectPtr connection, const std::string& uri, const std::string& vm) {
    Domain domain(virDomainLookupByUUIDString(connection, vm.c_str()));
    if (!domain) domain.reset(virDomainLookupByName(connection, vm.c_str()));
    if (domain) return domain;
    const NativeError error = last_error();
    if (virConnectIsAlive(connection) != 1) return fail(lost_while_looking_up(uri));
    return fail(ErrorCode::vm_unknown, "vm unknown",
                fmt::format("no guest with UUID or name {} at {}: {}", quote(vm), redact_uri(uri), describe(error)));
}

Error lost_while_looking_up(const std::string& uri) {
    return {
        ErrorCode::libvirt_disconnected, "connection to libvirt lost",
        fmt::format("{} closed the connection while the guest was looked up; nothing was started", redact_uri(uri))};
}

}  // namespace vmmi::hypervisor
