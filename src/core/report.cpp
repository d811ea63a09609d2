// SPDX-License-Identifier: Apache-2.0
#include "core/report.h"

namespace vmmi {

const char* to_string(Cause cause) {
    switch (cause) {
        case Cause::completed:
            return "completed";
        case Cause::completed_elsewhere:
            return "completed-elsewhere";
        case Cause::aborted_by_policy:
            return "aborted-by-policy";
        case Cause::aborted_by_signal:
            return "aborted-by-signal";
        case Cause::aborted_by_other:
            return "aborted-by-other";
        case Cause::migration_failed:
            return "migration-failed";
        case Cause::postcopy_failed:
            return "postcopy-failed";
        case Cause::guest_powered_off:
            return "guest-powered-off";
        case Cause::guest_destroyed:
            return "guest-destroyed";
        case Cause::guest_crashed:
            return "guest-crashed";
        case Cause::guest_gone:
            return "guest-gone";
        case Cause::guest_lost:
            return "guest-lost";
        case Cause::connection_lost:
            return "connection-lost";
        case Cause::detached:
            return "detached";
        case Cause::not_started:
            return "not-started";
    }
    return "unknown";
}

}  // namespace vmmi
