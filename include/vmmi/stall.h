// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "vmmi/units.h"

namespace vmmi {

/// Whether a migration still gets anywhere: it is stalled where, for longer than `patience`, no pass began with less
/// than `factor` of the lowest beginning before. Only the beginnings of passes count: within a pass the remaining
/// memory falls like the tooth of a saw. Outages stop the clock, and after one it begins anew, since what the guest
/// wrote meanwhile undid what had been reached.
///
/// A stall says that waiting alone has not helped. It does not say that it never will.
class StallRule {
  public:
    struct Options {
        double factor = 0.96;
        Milliseconds patience{40'000};
    };

    StallRule() = default;
    explicit StallRule(Options options) : options_(options) {}

    /// A pass began, not the first one: with so much to move, at Sample::elapsed, after outages of that length in all.
    void boundary(Bytes to_move, Milliseconds elapsed, Milliseconds outage = Milliseconds(0));

    const Options& options() const { return options_; }
    bool stalled() const { return for_ > options_.patience; }
    /// Time without progress at the last boundary, outages excluded.
    Milliseconds since_progress() const { return for_; }
    /// The lowest beginning; nothing before the second pass.
    const std::optional<Bytes>& lowest() const { return lowest_; }

  private:
    Options options_;
    std::optional<Bytes> lowest_;
    Milliseconds reached_{0};  ///< when `lowest_` was
    Milliseconds outage_{0};
    Milliseconds for_{0};
};

}  // namespace vmmi
