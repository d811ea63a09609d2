// SPDX-License-Identifier: Apache-2.0
#include "engine/verdict.h"

namespace vmmi::engine {

Verdict decide(const Evidence& evidence) {
    using Kind = event::Lifecycle::Kind;
    const GuestState state = evidence.source ? evidence.source->state : GuestState::unknown;

    if (evidence.completed || evidence.stopped == Kind::migrated || state == GuestState::shut_off_migrated)
        return Verdict::completed;
    if (evidence.stopped) return Verdict::vm_disappeared;
    if (!evidence.call || !evidence.source) return Verdict::undecided;

    const bool succeeded = !evidence.call->error;
    switch (state) {
        case GuestState::absent:
            return succeeded ? Verdict::completed : Verdict::vm_disappeared;
        case GuestState::shut_off:
            return succeeded ? Verdict::undecided : Verdict::vm_disappeared;
        case GuestState::running:
        case GuestState::paused: {
            if (succeeded || evidence.source->job_active) return Verdict::undecided;
            const bool aborted = evidence.abort_requested || evidence.call->error->code == native::operation_aborted;
            return aborted ? Verdict::aborted : Verdict::failed;
        }
        default:
            return Verdict::undecided;
    }
}

}  // namespace vmmi::engine
