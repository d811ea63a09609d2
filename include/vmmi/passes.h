// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "vmmi/migration.h"

namespace vmmi {

/// One pass over the memory, as far as samples tell. QEMU ends a pass where what is left fits the downtime limit, looks
/// at what was written meanwhile, and begins the next one with both.
struct Pass {
    int number = 0;             ///< Sample::iteration
    Milliseconds began{0};      ///< Sample::elapsed where it began
    Milliseconds duration{0};   ///< T_i; so far, in the current pass
    Milliseconds outage{0};     ///< the part of the duration in which the link was broken
    Bytes to_move;              ///< R_i: Sample::remaining where it began
    Bytes left_over;            ///< of it, not moved where the pass ended
    Bytes moved;                ///< on the wire: far less than R_i where pages are zero or compressed
    Bytes dirtied;              ///< unique pages that became dirty again; zero while the pass lasts
    BytesPerSecond bandwidth;   ///< moved / duration, outages excluded from both
    BytesPerSecond dirty_rate;  ///< dirtied / duration; where that was not seen whole, QEMU's own
    int throttle_percent = 0;   ///< in force at its end
    bool whole = true;          ///< seen from boundary to boundary; else joined to neighbours, or begun unseen

    friend bool operator==(const Pass&, const Pass&) = default;
};

/// The passes of one migration, from its samples in order. Samples may be missing, late or contradictory: the records
/// then say less, but nothing throws. Holds the first pass, which is the longest by far, and the most recent ones.
class Passes {
  public:
    /// The records never become more.
    static constexpr std::size_t most = 64;

    /// Takes in the next sample, with the time for which the link was broken so far and what it moved nevertheless
    /// (NetworkHealth::outage and outage_traffic).
    /// True where it is the first one of a pass: the moment for decisions.
    bool add(const Sample& sample, Milliseconds outage = Milliseconds(0), Bytes outage_traffic = {});

    /// Oldest first.
    const std::vector<Pass>& completed() const { return completed_; }
    /// Nothing before the first pass.
    const std::optional<Pass>& current() const { return current_; }

  private:
    void begin(const Sample& sample, Milliseconds outage, Bytes outage_traffic);
    void progress(const Sample& sample, Milliseconds outage, Bytes outage_traffic);
    void complete(const Sample& next);

    std::vector<Pass> completed_;
    std::optional<Pass> current_;
    Sample last_;               ///< the one before
    Bytes transferred_before_;  ///< when the current pass began
    Milliseconds outage_before_{0};
    Bytes outage_traffic_before_;
};

}  // namespace vmmi
