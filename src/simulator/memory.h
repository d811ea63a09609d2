// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "simulator/instant.h"
#include "vmmi/simulator.h"

namespace vmmi::simulator {

constexpr double page_size = 4096;

/// The guest's memory as a migration sees it: the pages that are still to be sent (QEMU's migration bitmap), and those
/// that were written to since the last look (the dirty log). Amounts are expected values in bytes, not pages: the model
/// is a fluid one. It knows no link and no pass.
class Memory {
  public:
    explicit Memory(const Scenario& scenario);

    /// What is left to send.
    double unsent() const;

    /// How the unsent pages travel: bytes on the wire for each byte of memory, and seconds that finding zero pages
    /// takes for each byte. Parts are sent evenly mixed, though QEMU goes by address: what is left at the end of a pass
    /// does not depend on it.
    struct Travel {
        double wire = 0;
        double scan = 0;
    };
    /// `cached`: rewritten pages may lie in the cache of xbzrle.
    Travel travel(bool cached) const;

    /// The guest runs for that long, at that share of its usual speed.
    void write(Instant from, Instant to, double share);
    /// Until when the guest's rates stay as they are.
    Instant next_change(Instant now) const;

    void send(double amount);
    /// The dirty log goes into the bitmap (migration_bitmap_sync in QEMU's migration/ram.c). Returns the bytes that
    /// were not in it already.
    double sync(Instant now);

    /// In post-copy, the guest writes to pages that are missing at the rate `touches(now)` while it runs; each has to
    /// come first.
    double touches_of_missing(Instant now) const;
    void fetch(Instant now, double amount);

  private:
    struct Part {
        double size = 0;
        double unsent = 0;
        double found = 0;  ///< unsent, at the last look
        double dirty = 0;
        const WorkingSet* set = nullptr;  ///< null: nobody writes to it
        bool zero = false;
    };

    static double fresh(const Part& part);
    double recorded(Instant now) const;
    double missing_rate(const Part& part, Instant now) const;

    const Scenario& scenario_;
    std::vector<Part> parts_;
};

/// The rate that holds at that time, and the time of the next one.
double rate_at(const Rate& rate, Instant now);
Instant change_after(const Rate& rate, Instant now);

}  // namespace vmmi::simulator
