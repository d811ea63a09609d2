// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

namespace throttling {

/// How QEMU's throttle rises, in percent of the guest's time: to `initial`, and then by `increment` as often as it
/// finds that not enough (migration_trigger_throttle in migration/ram.c: for the second time since the last step, a
/// period dirtied more than half of what it sent). libvirt takes both at the start of a migration only, and has no
/// maximum.
struct Steps {
    int initial = 0;
    int increment = 0;

    /// What follows a throttle of so much. One that is not of these steps was set by somebody else: then QEMU's usual
    /// increment is assumed, where that is more.
    int after(int percent) const;
};

/// From here up to the maximum, a throttle has nearly all of the effect that it may have.
int close_to(int maximum);

/// Steps that end exactly at `maximum`, at most ten of them after the first; what is given is taken as it is.
///
/// A guest that writes a times as fast as the link takes it loses t/(1 − a·(1 − t)) times the time that moving the rest
/// takes, under a throttle of t: for a > 1, where throttling is needed at all, that falls with t. So the throttle
/// begins close to the maximum; the small steps that remain keep QEMU below it for as long as possible.
Steps steps_to(int maximum, std::optional<int> initial, std::optional<int> increment);

}  // namespace throttling
