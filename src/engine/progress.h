// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "core/report.h"
#include "vmmi/forecast.h"

namespace vmmi::engine {

/// Percentage and remaining time of a running migration, from its forecast (vmmi/forecast.h) under the downtime limit
/// in force.
///
/// percent = done / (done + left), in bytes: what is left is the forecast's traffic until the end. In the first pass,
/// which does not tell how busy the guest is, that is the rest of the pass and a quarter of the memory. Where the limit
/// is never met, nobody knows what is left: the percentage stands still. In post-copy and in the switchover nothing is
/// sent twice. Disks count by their size; while they are copied, the memory to follow is taken to be the guest's.
class Progress {
  public:
    void expect(Bytes memory) { expected_ = memory; }
    /// With every sample, of whatever phase.
    void update(const Sample& sample);
    /// The cap in force from now on, as in SetBandwidth.
    void limit_bandwidth(BytesPerSecond cap) { forecaster_.limit_bandwidth(cap); }
    void complete() { percent_ = 100; }

    int percent() const { return percent_; }
    /// Nothing while unknown, over a broken link, and where the limit is never met.
    const std::optional<Eta>& eta() const { return eta_; }

  private:
    Reach passes_to_come(const Sample& sample) const;
    double memory_done(const Sample& sample);

    /// Kept back for them while nothing is known of them; of the memory.
    static constexpr double share_of_later_passes = 0.25;

    Forecaster forecaster_;
    int percent_ = 0;
    std::optional<Eta> eta_;
    Bytes expected_;
    std::optional<Bytes> sent_in_first_pass_;  ///< nothing: it was not seen
};

}  // namespace vmmi::engine
