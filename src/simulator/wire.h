// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simulator/instant.h"
#include "vmmi/simulator.h"

namespace vmmi::simulator {

/// QEMU measures the bandwidth over windows of 100 ms (BUFFER_DELAY in migration/migration.c).
constexpr Instant window = std::chrono::milliseconds(100);

/// What the link and the streams' processors let through, libvirt's cap aside.
class Wire {
  public:
    explicit Wire(const Scenario& scenario);

    double bandwidth(Instant now) const;
    /// Until when the bandwidth stays as it is.
    Instant next_change(Instant now) const;
    double latency() const { return latency_; }

  private:
    const Link& link_;
    const Rate& rate_;
    double latency_;
    double streams_;  ///< their limit together
};

}  // namespace vmmi::simulator
