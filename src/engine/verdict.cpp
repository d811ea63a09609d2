// SPDX-License-Identifier: Apache-2.0
#include "engine/verdict.h"

namespace vmmi::engine {

bool is_gone(GuestState there) {
    return there == GuestState::absent || there == GuestState::shut_off;
}

Verdict decide(const Evidence& evidence) {
    using Kind = event::Lifecycle::Kind;
    const GuestState state = evidence.source ? evidence.source->state : GuestState::unknown;

    if (evidence.completed || evidence.stopped == Kind::migrated || state == GuestState::shut_off_migrated)
        return Verdict::completed;
    if (evidence.stopped) return Verdict::vm_disappeared;
    if (!evidence.source || (!evidence.call && !evidence.taken_over)) return Verdict::undecided;

    const bool succeeded = evidence.call && !evidence.call->error;
    switch (state) {
        case GuestState::absent: {
            const bool elsewhere =
                evidence.destination == GuestState::running || evidence.destination == GuestState::paused;
            // Without a call's answer, only the destination can tell a migrated guest from one that is gone.
            if (!evidence.call && !evidence.destination) return Verdict::undecided;
            return succeeded || elsewhere ? Verdict::completed : Verdict::vm_disappeared;
        }
        case GuestState::shut_off:
            return succeeded ? Verdict::undecided : Verdict::vm_disappeared;
        case GuestState::running:
        case GuestState::paused: {
            if (succeeded || evidence.source->job_active) return Verdict::undecided;
            const bool told = evidence.call && evidence.call->error->code == native::operation_aborted;
            return evidence.abort_requested || evidence.cancelled || told ? Verdict::aborted : Verdict::failed;
        }
        default:
            return Verdict::undecided;
    }
}

}  // namespace vmmi::engine
