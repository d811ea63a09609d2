// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "vmmi/units.h"

namespace vmmi {

/// Where a migration stands. `switchover` is libvirt's and QEMU's stop-and-copy: the guest is paused for the last pass.
enum class Phase { connecting, starting, precopy, switchover, postcopy, postcopy_failed, ended };

/// The phase's word in status messages and logs.
const char* to_string(Phase phase);

/// The guest before its migration starts.
struct Guest {
    std::string name;
    std::string uuid;
    Bytes memory;             ///< current memory of the guest, as libvirt reports it
    bool paused = false;      ///< paused by a user; it stays paused at the destination
    bool persistent = false;  ///< defined at the source, not transient
};

/// How to start: what becomes flags and typed parameters of virDomainMigrateToURI3.
/// Managed peer-to-peer is always set: only a peer-to-peer migration survives the plugin.
struct MigrationRequest {
    /// The guest runs while its memory is copied.
    bool live = true;
    /// Cap while the guest runs; zero leaves libvirt's own limit. libvirt takes whole MiB/s.
    BytesPerSecond bandwidth{};
    /// QEMU's downtime limit in force from the first pass on.
    std::optional<Milliseconds> downtime_limit{};
};

/// The state of the running job, as the policy sees it.
struct Sample {
    enum class Trigger {
        iteration,  ///< the first sample of a new pass over the memory: the moment for decisions
        interval,   ///< time passed: for budgets and outages
    };

    Trigger trigger = Trigger::interval;
    Phase phase = Phase::precopy;
    Milliseconds elapsed{0};            ///< since the job began, preparation of the destination included
    int iteration = 0;                  ///< passes over the memory so far, the current one included; 0 before the first
    Bytes total;                        ///< memory to migrate
    Bytes remaining;                    ///< of the current pass; jumps up where the next one begins
    Bytes transferred;                  ///< on the wire so far, re-sent pages included: may exceed `total`
    BytesPerSecond bandwidth;           ///< over QEMU's last 100 ms window; frozen while the link stands still
    BytesPerSecond dirty_rate;          ///< unique pages over the last pass; zero in the first one
    Milliseconds expected_downtime{0};  ///< QEMU's own estimate
    Milliseconds downtime_limit{0};     ///< in force, as far as it is known; zero = unknown
    std::optional<int> throttle_percent;  ///< auto-converge; absent until it throttles
};

struct SetDowntimeLimit {
    Milliseconds limit;
};
struct SetBandwidth {
    BytesPerSecond limit;  ///< zero = unlimited
};
struct StartPostCopy {};
/// Ends the migration; the guest goes on at the source.
struct AbortMigration {};
/// Deliberately nothing, where a person would ask why nothing was done.
struct Wait {};

/// What a policy wants done, and why. `reason` is a sentence with numbers: it goes to the log, the status and the
/// completion message as it is.
struct Action {
    std::variant<SetDowntimeLimit, SetBandwidth, StartPostCopy, AbortMigration, Wait> what;
    std::string reason;
};

}  // namespace vmmi
