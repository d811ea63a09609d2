// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/job.h"

namespace vmmi::engine {

/// Makes passes over the memory of what QEMU counts: its looks at the dirty log.
///
/// Usually a look ends a pass, and begins the next one with all that was found. But where post-copy is enabled, QEMU 11
/// looks every 50 ms, and with auto-converge every 5 s, in the middle of passes; then what remains holds its level, and
/// rises and falls no more. From the first such look on, a pass is over when as much memory was sent as it began with.
class PassCounter {
  public:
    /// The statistics with the number of the pass, and what remains of it.
    JobStats of(JobStats stats);
    /// Whether libvirt's events of iterations say something.
    bool looks_are_passes() const { return !by_amount_; }

  private:
    void begin(const JobStats& stats);

    int pass_ = 1;
    int looks_ = 1;
    Bytes to_move_{};  ///< where the pass began; zero: it is the first one
    Bytes sent_{};     ///< memory, before it began
    bool by_amount_ = false;
};

}  // namespace vmmi::engine
