// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "vmmi/migration.h"
#include "vmmi/result.h"
#include "vmmi/settings.h"
#include "vmmi/units.h"

namespace vmmi {

/// Milliseconds; QEMU takes no longer downtime limit.
constexpr std::int64_t longest_downtime = 2'000'000;

/// The range in which a policy moves QEMU's downtime limit: the keys `downtime.initialMs` and `downtime.maximumMs`.
struct DowntimeLimits {
    Milliseconds initial{100};  ///< at the start
    Milliseconds maximum{500};  ///< never raised beyond

    friend bool operator==(const DowntimeLimits&, const DowntimeLimits&) = default;
};

/// The object `downtime` with those keys, and `more` of the policy's own in it.
Key downtime_limits_key(std::vector<Key> more = {});

/// Fails with `malformed_configuration` where the initial limit is above the maximum.
Result<DowntimeLimits> downtime_limits_from(const Settings& settings);

/// Sees to it that a limit that was ordered comes into force: where a pass began since, time enough for an answer has
/// gone by, and what is in force is known and lower, libvirt refused it, and it is ordered once more.
class OrderedLimit {
  public:
    /// With what a policy does at every sample, the one of Policy::adopt included; answers with what is to be done.
    std::vector<Action> keep(std::vector<Action> actions, const Sample& sample);

  private:
    std::optional<Milliseconds> limit_{};
    int pass_ = 0;            ///< Sample::iteration, when it was ordered
    Milliseconds ordered_{};  ///< Sample::elapsed, the same
};

}  // namespace vmmi
