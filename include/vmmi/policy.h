// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "vmmi/migration.h"

namespace vmmi {

/// A policy decides what a migration needs, and nothing else: samples in, actions out. It has no I/O, no clock and no
/// thread, so the same object runs in tests, in a simulator and in production. The engine calls it from one thread,
/// carries out its actions in order, and refuses what the phase forbids: after post-copy began, everything that could
/// lose the guest.
class Policy {
  public:
    Policy() = default;
    Policy(const Policy&) = delete;
    Policy& operator=(const Policy&) = delete;
    virtual ~Policy() = default;

    /// Called once, before the migration starts; by --check, too, after which none does.
    virtual MigrationRequest plan(const Guest& guest) = 0;

    /// Called in place of `plan` where a migration of the guest is under way already, whoever started it. The answer
    /// brings it under this policy; `now.downtime_limit` is the limit in force. Without an override: what `plan` wants,
    /// as actions.
    virtual std::vector<Action> adopt(const Guest& guest, const Sample& now);

    /// Called with every sample while the migration runs. Most answers are empty: wait.
    virtual std::vector<Action> decide(const Sample& sample) = 0;
};

}  // namespace vmmi
