// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>

#include <optional>

#include "core/event.h"
#include "core/job.h"
#include "hypervisor/typed_params.h"

namespace vmmi::hypervisor {

/// libvirt's mixture of units and numbers, turned into this project's at the border.
JobStats job_stats(int type, ParamsView params);
GuestState guest_state(int state, int reason);
/// Nothing where a lifecycle event says nothing about a migration at its source.
std::optional<event::Lifecycle::Kind> lifecycle_kind(int event, int detail);

/// Flags of virDomainMigrateToURI3, and its parameters apart from the migration URI.
unsigned int migrate_flags(const MigrationRequest& request);
void add_parameters(TypedParams& params, const MigrationRequest& request);
/// The same for the call that takes a broken post-copy of such a migration up again.
unsigned int recovery_flags(const MigrationRequest& request);
void add_recovery_parameters(TypedParams& params, const MigrationRequest& request);
/// virDomainMigrateSetMaxSpeed takes MiB/s and has no word for "unlimited" but its largest number; for
/// post-copy it has: zero.
unsigned long max_speed(BytesPerSecond limit);
unsigned long max_postcopy_speed(BytesPerSecond limit);

}  // namespace vmmi::hypervisor
