// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "core/job.h"

namespace vmmi::engine {

/// Percentage and remaining time, from the statistics of a running pre-copy migration.
///
/// With dirty rate d and bandwidth b, a pass over R bytes leaves R·d/b to send again; the passes add up to R/(1 − d/b).
/// Past d/b = 0.9 the sum says nothing useful: it is cut there, and no time is given.
class Progress {
  public:
    void update(const JobStats& stats);
    void complete() { percent_ = 100; }

    int percent() const { return percent_; }
    std::optional<Milliseconds> eta() const { return eta_; }

  private:
    int percent_ = 0;
    std::optional<Milliseconds> eta_;
    Bytes transferred_in_first_pass_;
};

}  // namespace vmmi::engine
