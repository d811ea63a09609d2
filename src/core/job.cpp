// SPDX-License-Identifier: Apache-2.0
#include "core/job.h"

namespace vmmi {

const char* to_string(GuestState state) {
    switch (state) {
        case GuestState::unknown:
            return "in an unknown state";
        case GuestState::absent:
            return "absent";
        case GuestState::running:
            return "running";
        case GuestState::paused:
            return "paused";
        case GuestState::paused_for_migration:
            return "paused for migration";
        case GuestState::postcopy:
            return "in post-copy";
        case GuestState::postcopy_failed:
            return "in failed post-copy";
        case GuestState::shut_off:
            return "shut off";
        case GuestState::shut_off_migrated:
            return "shut off after migration";
    }
    return "in an unknown state";
}

}  // namespace vmmi
