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

    /// Called once, before the migration starts.
    virtual MigrationRequest plan(const Guest& guest) = 0;

    /// Called with every sample while the migration runs. Most answers are empty: wait.
    virtual std::vector<Action> decide(const Sample& sample) = 0;
};

}  // namespace vmmi
