// SPDX-License-Identifier: Apache-2.0
#include "vmmi/migration.h"

namespace vmmi {

const char* to_string(Phase phase) {
    switch (phase) {
        case Phase::connecting:
            return "connecting";
        case Phase::starting:
            return "starting";
        case Phase::storage:
            return "storage";
        case Phase::precopy:
            return "precopy";
        case Phase::switchover:
            return "switchover";
        case Phase::postcopy:
            return "postcopy";
        case Phase::postcopy_failed:
            return "postcopy-failed";
        case Phase::ended:
            return "ended";
    }
    return "unknown";
}

}  // namespace vmmi
