// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "core/event.h"

namespace vmmi::engine {

/// Everything that speaks about how a migration ended. The migrate call's error alone decides nothing: the same error
/// comes from migrations that succeeded and from ones that were rolled back.
struct Evidence {
    bool taken_over = false;       ///< somebody else made the migrate call: there is no answer to wait for
    bool cancelled = false;        ///< the job was seen as cancelled
    bool abort_requested = false;  ///< by a signal or by the policy
    std::optional<event::MigrateReturned> call;     ///< the migrate call's answer
    std::optional<event::Lifecycle::Kind> stopped;  ///< migrated, powered_off, destroyed or crashed
    std::optional<JobStats> completed;              ///< by event, or read where they are of this migration
    std::optional<event::Inspected> source;         ///< looked at after the call came back
    std::optional<GuestState> destination;          ///< the same, if the destination was asked
    std::optional<GuestState> asked;                ///< the same, of the destination that the caller named
};

/// No guest runs there or is about to: an answer, unlike `unknown`.
bool is_gone(GuestState there);

enum class Verdict { undecided, completed, aborted, failed, vm_disappeared };

/// The table of outcomes, first match first. "Elsewhere" is an active guest at the destination that is not waiting for
/// its memory; a migration that was taken over has no call, and its row is that of a call that failed.
///
///     completed statistics, or stopped as migrated, or shut off as migrated       completed
///     guest powered off, destroyed or crashed                                     vm_disappeared
///     guest absent: call succeeded, or guest elsewhere                            completed
///     guest absent: call failed                                                   vm_disappeared
///     guest shut off: call failed                                                 vm_disappeared
///     guest active, no job, call failed: abort requested, or job cancelled,
///         or call says aborted                                                    aborted
///     guest active, no job, call failed                                           failed
///     anything else                                                               undecided: look again
Verdict decide(const Evidence& evidence);

}  // namespace vmmi::engine
