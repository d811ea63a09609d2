// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "vmmi/migration.h"
#include "vmmi/units.h"

namespace vmmi {

/// Under xbzrle, the pass after the first is the last long one if it helps: what follows is over in milliseconds, and
/// then most of the pause is what TCP accepted of that long pass, some megabytes ahead of the link. On a slow link,
/// where that is more than the downtime limit that is aimed at, QEMU's bandwidth is halved as the pass ends, and the
/// link, which is not idle meanwhile, catches up.
///
/// Once in a migration, since it costs what it saves if there was no queue or a long pass follows.
class SendQueue {
  public:
    /// What is taken for the queue: a little more than half of the 4 MiB that Linux gives a socket at most (tcp_wmem),
    /// since the other half is its own. Measured: 1.6 to 2.1 MiB at 200 Mbit/s.
    static constexpr Bytes queue{std::uint64_t{5} << 19};
    /// Of the link's bandwidth, rounded down to libvirt's MiB/s. QEMU hands out a tenth of a second's worth at a time:
    /// with more, that would be the next queue.
    static constexpr double share = 0.5;

    /// `tolerated`: a pause for the queue that is no matter. `cap`: of the migration otherwise; zero: none.
    SendQueue(Milliseconds tolerated, BytesPerSecond cap) : tolerated_(tolerated), cap_(cap) {}

    /// With every sample. A cap, or the end of it.
    std::optional<Action> decide(const Sample& sample);
    /// After `decide`, as Policy::next_sample_within.
    std::optional<Milliseconds> next_sample_within() const { return wait_; }

  private:
    std::optional<Action> drain(const Sample& sample);
    std::optional<Action> lift(const Sample& sample);

    Milliseconds tolerated_;
    BytesPerSecond cap_;
    std::optional<Sample> begin_{};    ///< of the pass
    double rate_ = 0;                  ///< bytes a second that the link takes
    std::optional<Sample> drained_{};  ///< where the cap came into force
    bool done_ = false;
    std::optional<Milliseconds> wait_{};
};

}  // namespace vmmi
