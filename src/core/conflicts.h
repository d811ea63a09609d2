// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/host.h"
#include "core/job.h"
#include "vmmi/migration.h"
#include "vmmi/result.h"

namespace vmmi {

/// What a request meets. What is not known conflicts with nothing.
struct Surroundings {
    std::string transport;  ///< scheme of the migration URI
    HostFacts source;
    std::optional<HostFacts> destination;
};

/// The request without what it only prefers and that transport does not have.
MigrationRequest suited_to(MigrationRequest request, const std::string& transport);

/// Something in a request that libvirt and QEMU at hand do not do, or do otherwise.
struct Conflict {
    enum class Severity { warning, error };

    Severity severity = Severity::error;
    Error error;
};

/// The one place that knows which options go with which versions, guests and other options. Cheap: no call, no file.
/// An error is one that libvirt or QEMU would answer with, or worse, would not notice.
std::vector<Conflict> conflicts(const MigrationRequest& request, const Guest& guest, const Surroundings& around);

/// What they depend on, besides what is known of each guest and host.
struct Subjects {
    bool devices = false;     ///< of the guest
    bool libvirt = false;     ///< the version at hand
    bool hypervisor = false;  ///< the same

    bool any() const { return devices || libvirt || hypervisor; }
};
Subjects subjects(const MigrationRequest& request);

/// The errors among them as one; nothing where there is none.
std::optional<Error> refusal(const std::vector<Conflict>& found);

/// Why no migration of this guest can be started as it is, whatever the options. A migration in progress is none of
/// the reasons: it is taken over.
std::optional<Error> refusal(const Guest& guest, GuestState state, const JobStats& job);

/// Whether libvirt knows that scheme of migration URIs: tcp, rdma, unix.
bool is_migration_transport(const std::string& scheme);

}  // namespace vmmi
