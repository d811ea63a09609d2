// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "vmmi/migration.h"
#include "vmmi/settings.h"

namespace vmmi {

/// The configuration keys for all that libvirt offers for a migration with a pre-copy phase, in libvirt's terms: what
/// of a MigrationRequest is for the user to decide, not for a policy. A plugin lists them beside its own keys:
///
///     std::vector<Key> keys = migration_keys();
///     keys.push_back(integer_key("patienceSeconds", 60, {1, 3600}, "..."));
///
/// completes in Policy::plan what `request_from` made of the settings, and asks a StorageBudget with every sample: it
/// is what `storage.secondsPerGiB` and `storage.action` are for.
std::vector<Key> migration_keys();

/// Fails with `malformed_configuration` where values contradict each other; `details` names both places and what to do.
/// What the hosts and the guest at hand do not take is found at the start of the migration, and by --check.
Result<MigrationRequest> request_from(const Settings& settings);

}  // namespace vmmi
