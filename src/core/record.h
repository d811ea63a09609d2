// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "vmmi/migration.h"

namespace vmmi {

/// What one run leaves for the next about a migration under way: what libvirt tells no second process. It is worth no
/// more than its agreement with libvirt: who takes over holds it against the job's age before anything in it counts.
struct MigrationRecord {
    std::string plugin;  ///< whose policy it is under
    std::string uuid;    ///< of the guest
    /// When libvirt's job began, by the steady clock, which all processes of a boot share.
    std::chrono::steady_clock::time_point started;
    /// Absent where somebody else started the migration.
    std::optional<std::string> destination_uri{};
    std::optional<std::string> migration_uri{};
    std::optional<MigrationRequest> request{};
    /// The guest's own downtime limit, before any plugin changed it.
    std::optional<Milliseconds> original_downtime_limit{};
    /// Where a policy paused the guest: when that pause is to be over, by the steady clock.
    std::optional<std::chrono::steady_clock::time_point> pause_ends{};
};

}  // namespace vmmi
