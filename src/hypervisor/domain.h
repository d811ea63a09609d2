// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "core/host.h"
#include "core/job.h"
#include "hypervisor/libvirt_handle.h"
#include "vmmi/result.h"

namespace vmmi::hypervisor {

/// What libvirt says of a guest on one host. After an empty or unknown answer, `last_error` has the reason.
GuestState state_of(virDomainPtr domain);
std::optional<JobStats> stats_of(virDomainPtr domain, unsigned int flags);
std::string uuid_of(virDomainPtr domain);
GuestFacts facts_of(virDomainPtr domain);
/// From the XML of the guest as it runs: more than one call of the daemon's time, so only where they are needed.
std::optional<GuestDevices> devices_of(virDomainPtr domain);
/// The daemon's version. That of the hypervisor is another matter: a fresh daemon may probe its binary for a second.
Version libvirt_of(virConnectPtr connection);
HostFacts host_of(virConnectPtr connection);

/// By UUID first, then by name. Fails with `vm_unknown`, or with `libvirt_disconnected` where the answer was that of a
/// connection that is gone. `uri` is the connection's, for the error.
Result<Domain> find_guest(virConnectPtr connection, const std::string& uri, const std::string& vm);
Error lost_while_looking_up(const std::string& uri);

/// A text of libvirt's, as long as names are at most.
constexpr std::size_t longest_name = 255;
std::string cut(const char* text, std::size_t longest = longest_name);

}  // namespace vmmi::hypervisor
