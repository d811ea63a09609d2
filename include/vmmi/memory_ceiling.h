// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "vmmi/budget.h"
#include "vmmi/settings.h"

namespace vmmi {

/// The time that the memory may take, disks not counted: the keys `ceiling.secondsPerGiB` and `ceiling.action`.
///
/// allowed = seconds for a GiB × memory of the guest in GiB, at least one GiB
class MemoryCeiling {
  public:
    enum class Reaction { abort, keep_going };

    explicit MemoryCeiling(const Settings& settings);
    MemoryCeiling(int seconds_per_gibibyte, Reaction reaction)
        : seconds_per_gibibyte_(seconds_per_gibibyte), reaction_(reaction) {}

    /// In Policy::plan and Policy::adopt.
    void plan(const Guest& guest) { budget_.allowed = ceiling(guest.memory, seconds_per_gibibyte_); }

    /// With every sample of pre-copy; `elapsed` is StorageBudget::memory_elapsed. Answers once: when the time is over.
    std::optional<Action> decide(const Sample& sample, Milliseconds elapsed);

  private:
    int seconds_per_gibibyte_;  ///< zero: without end
    Reaction reaction_;
    TimeBudget budget_{};
    bool told_ = false;
};

/// The object `ceiling` with those keys.
Key memory_ceiling_key();

}  // namespace vmmi
