// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "vmmi/migration.h"

namespace vmmi {

/// Time allowed for a guest of that size: seconds for every GiB, for at least one. Zero seconds: without end, nothing.
std::optional<Milliseconds> ceiling(Bytes memory, int seconds_per_gibibyte);

/// The time that a migration, or one of its phases, may take.
struct TimeBudget {
    std::optional<Milliseconds> allowed{};  ///< nothing: without end
    bool count_outages = true;              ///< false: time with a broken link is not the guest's fault

    /// `elapsed` as in Sample, `outage` as in NetworkHealth. Zero where the budget is spent, nothing where it has no
    /// end.
    std::optional<Milliseconds> left(Milliseconds elapsed, Milliseconds outage) const;
    bool spent(Milliseconds elapsed, Milliseconds outage) const { return left(elapsed, outage) == Milliseconds(0); }
};

/// What the migration costs the guest, as the time for which it would have had to stand still to lose as much work:
///
/// - throttle: share of the time taken away by auto-converge × time
/// - pause: all of the time in switchover
/// - post-copy: time × share of the memory still missing, of what was missing when it began: an estimate, since what a
///   guest waits for depends on what it touches. While post-copy is broken, all of the time
class LostWork {
  public:
    /// The next sample. Between two samples counts what the earlier one says.
    void add(const Sample& sample);

    Milliseconds throttle() const;
    Milliseconds pause() const;
    Milliseconds postcopy() const;
    Milliseconds total() const;

    /// Expected of a post-copy of that duration.
    static Milliseconds of_postcopy(Milliseconds duration) { return duration / 2; }

  private:
    std::optional<Sample> last_;
    double missing_ = 0;  ///< bytes, when post-copy began
    double throttle_ = 0;
    double pause_ = 0;
    double postcopy_ = 0;
};

}  // namespace vmmi
