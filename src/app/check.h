// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/check.h"
#include "core/configuration.h"
#include "system/signals.h"
#include "vmmi/policy.h"

namespace vmmi::app {

/// What --check works with. Without a configuration there are only the arguments to check; without a policy there are
/// no options.
struct Inquiry {
    Findings known;  ///< what was found out so far: names, arguments, the configuration's problems
    const Configuration* configuration = nullptr;
    Policy* policy = nullptr;
    system::Signals& signals;
};

/// Everything up to the start of the migration, and nothing that changes anything. Fails with `detached` or
/// `migration_aborted` if told to leave. This thread makes no libvirt call: it answers within `connectionTimeout`,
/// whatever hangs.
Result<CheckReport> check(Inquiry inquiry);

}  // namespace vmmi::app
