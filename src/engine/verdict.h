// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "core/event.h"

namespace vmmi::engine {

/// Everything that speaks about how a migration ended. The migrate call's error alone decides nothing: the same error
/// comes from migrations that succeeded and from ones that were rolled back.
struct Evidence {
    bool abort_requested = false;                   ///< by a signal or by the policy
    std::optional<event::MigrateReturned> call;     ///< the migrate call's answer
    std::optional<event::Lifecycle::Kind> stopped;  ///< migrated, powered_off, destroyed or crashed
    std::optional<JobStats> completed;              ///< by event or read afterwards
    std::optional<event::Inspected> source;         ///< looked at after the call came back
};

enum class Verdict { undecided, completed, aborted, failed, vm_disappeared };

/// The table of outcomes, first match first:
///
///     completed statistics, or stopped as migrated, or shut off as migrated     completed
///     guest powered off, destroyed or crashed                                   vm_disappeared
///     call succeeded, guest absent                                              completed
///     call failed, guest absent                                                 vm_disappeared
///     call failed, guest shut off                                               vm_disappeared
///     call failed, guest active, no job: abort requested or call says aborted   aborted
///     call failed, guest active, no job                                         failed
///     anything else                                                             undecided: look again
Verdict decide(const Evidence& evidence);

}  // namespace vmmi::engine
