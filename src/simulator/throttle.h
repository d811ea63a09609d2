// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "vmmi/simulator.h"

namespace vmmi::simulator {

/// QEMU's auto-converge (migration_trigger_throttle and mig_throttle_guest_down in migration/ram.c). A period ends with
/// the first look at the dirty log more than a second after the last.
class Throttle {
  public:
    explicit Throttle(const std::optional<AutoConverge>& settings) : settings_(settings) {}

    int percent() const { return percent_; }
    /// What is left of the guest's processors: each vCPU sleeps pct/(1 − pct) × 10 ms after every 10 ms of work
    /// (cpu_throttle_thread in migration/cpu-throttle.c).
    double share() const { return 1 - percent_ / 100.0; }

    /// Whoever dirtied more than half of what was transferred, for the second time, is slowed down: the count starts
    /// again then, and not where a period in between was a quiet one.
    void end_period(double dirtied, double transferred) {
        constexpr double threshold = 0.5;  // throttle-trigger-threshold
        if (!settings_ || dirtied <= threshold * transferred || ++high_periods_ < 2) return;
        high_periods_ = 0;
        percent_ = percent_ == 0 ? settings_->initial : std::min(percent_ + settings_->increment, settings_->maximum);
    }

  private:
    std::optional<AutoConverge> settings_;
    int percent_ = 0;
    int high_periods_ = 0;
};

}  // namespace vmmi::simulator
