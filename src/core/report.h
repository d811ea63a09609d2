// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/job.h"
#include "vmmi/migration.h"
#include "vmmi/result.h"

namespace vmmi {

/// One action that was taken, for status and completion.
struct ActionRecord {
    Milliseconds at{0};  ///< since the migration was started
    Action action;
    std::optional<std::string> refused{};  ///< why it did not take effect
    std::size_t number = 0;                ///< counted from 0
};

/// What the migration cost the guest so far, as the time for which it would have had to stand still to lose as much
/// work: see vmmi::LostWork.
struct WorkLost {
    Milliseconds throttle{0};
    Milliseconds pause{0};
    Milliseconds postcopy{0};

    friend bool operator==(const WorkLost&, const WorkLost&) = default;
};

/// When a migration is expected to be over, counted from the last sample.
struct Eta {
    Milliseconds expected{0};
    Milliseconds earliest{0};              ///< never behind `expected`
    std::optional<Milliseconds> latest{};  ///< never before `expected`; absent: it may never come to an end

    friend bool operator==(const Eta&, const Eta&) = default;
};

/// A status message without its dress. Absent: not known yet, or not any more.
struct Status {
    std::string policy;
    Phase phase = Phase::connecting;
    Milliseconds elapsed{0};
    int progress_percent = 0;  ///< never falls; 100 only after success
    std::optional<Milliseconds> sample_age;
    int iteration = 0;
    Bytes total;
    Bytes remaining;
    Bytes transferred;
    Bytes disk_total;  ///< zero: no disks are copied
    Bytes disk_remaining;
    Bytes disk_transferred;
    BytesPerSecond bandwidth;
    BytesPerSecond dirty_rate;
    std::optional<Milliseconds> downtime_limit;
    std::optional<int> throttle_percent;
    WorkLost work_lost{};
    std::optional<Eta> eta;  ///< absent while it is not converging
    std::optional<ActionRecord> last_action;
};

/// What ended a run, for programs.
enum class Cause {
    completed,
    completed_elsewhere,  ///< the migration that was taken over went to another host than the one asked for
    aborted_by_policy,
    aborted_by_signal,
    aborted_by_other,
    migration_failed,
    postcopy_failed,  ///< broken and left so: each host has a part of the guest
    guest_powered_off,
    guest_destroyed,
    guest_crashed,
    guest_gone,
    guest_lost,  ///< in post-copy, with the part of it that the destination had
    connection_lost,
    detached,
    not_started,
};
/// The cause's word in completion messages.
const char* to_string(Cause cause);

/// A completion message without its dress: the outcome and what the migration did, whatever the outcome.
struct Outcome {
    std::optional<Error> error;  ///< absent: success
    std::string policy;
    Cause cause = Cause::not_started;
    GuestState source = GuestState::unknown;       ///< the guest there, when it was last looked at
    GuestState destination = GuestState::unknown;  ///< the same; unknown where the plugin cannot look
    std::vector<std::string> evidence;             ///< what the outcome was decided on, one observation each
    Milliseconds total_time{0};
    std::optional<Milliseconds> downtime;  ///< measured by libvirt and QEMU; known after success only
    WorkLost work_lost{};
    std::optional<Milliseconds> setup_time;
    int iterations = 0;
    Bytes total;
    Bytes transferred;
    std::vector<ActionRecord> actions;
    std::size_t actions_omitted = 0;  ///< from the middle of a list that grew too long
};

}  // namespace vmmi
