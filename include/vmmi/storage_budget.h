// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "vmmi/migration.h"
#include "vmmi/settings.h"

namespace vmmi {

/// The time that disks may take to be copied, before the memory follows with a budget of its own: the keys
/// `storage.secondsPerGiB` and `storage.action` of migration_keys.h.
///
/// allowed = seconds for a GiB × size of the disks in GiB, at least one GiB
class StorageBudget {
  public:
    explicit StorageBudget(const Settings& settings);
    StorageBudget(int seconds_per_gibibyte, bool abort) : seconds_per_gibibyte_(seconds_per_gibibyte), abort_(abort) {}

    /// With every sample, the one of Policy::adopt included. Answers once: when the time is over and disks are not yet
    /// copied.
    std::optional<Action> decide(const Sample& sample);

    /// How much of `sample.elapsed` counts for the memory. Where a migration was taken over behind its storage, it is
    /// not known when that was: it counts from there on.
    Milliseconds memory_elapsed(const Sample& sample) const;

  private:
    int seconds_per_gibibyte_;  ///< zero: without end
    bool abort_;
    bool told_ = false;
    std::optional<Milliseconds> copied_;  ///< when the last sample of the storage came, or the first one behind it
};

}  // namespace vmmi
