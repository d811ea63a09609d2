// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "core/job.h"
#include "hypervisor/libvirt_handle.h"
#include "vmmi/migration.h"

namespace vmmi::hypervisor {

/// What libvirt says of a guest on one host. After an empty or unknown answer, `last_error` has the reason.
GuestState state_of(virDomainPtr domain);
std::optional<JobStats> stats_of(virDomainPtr domain, unsigned int flags);
std::string uuid_of(virDomainPtr domain);
Guest guest_of(virDomainPtr domain, GuestState state);

/// By UUID first, then by name.
Domain find_guest(virConnectPtr connection, const std::string& vm);

}  // namespace vmmi::hypervisor
