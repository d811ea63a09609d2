// SPDX-License-Identifier: Apache-2.0
#include "vmmi/stall.h"

#include "policy/numbers.h"

namespace vmmi {

using namespace policy;

void StallRule::boundary(Bytes to_move, Milliseconds elapsed, Milliseconds outage) {
    const bool progress = !lowest_ || in_bytes(to_move) < options_.factor * in_bytes(*lowest_);
    if (progress || outage > outage_) {
        lowest_ = to_move;
        reached_ = elapsed;
        outage_ = outage;
    }
    for_ = milliseconds(seconds_between(reached_, elapsed));
}

}  // namespace vmmi
