// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vmmi/migration.h>
#include <vmmi/settings.h>

#include <optional>
#include <string>
#include <vector>

namespace schedule {

/// An action without its reason: what a configuration can name.
using What = decltype(vmmi::Action::what);

/// An item of `stalling`: done at the beginning of a pass, after the items before it.
struct Step {
    /// Done when more passes than that began after the first one. -1: when the next pass begins.
    int limit = -1;
    What what;
};

/// The conditions of a rule; all that are given have to hold.
struct Conditions {
    std::optional<vmmi::Milliseconds> elapsed{};  ///< that long or longer, as Sample::elapsed
    std::optional<int> elapsed_per_gibibyte{};    ///< seconds for every GiB of guest memory, for at least one
    std::optional<vmmi::Milliseconds> stalled{};  ///< longer than that, as StallRule::since_progress
    /// The rest, where the last pass began, needs a longer pause at the link's bandwidth.
    std::optional<vmmi::Milliseconds> pause_above{};
    /// So long a pause will never do: says the forecast, with confidence.
    std::optional<vmmi::Milliseconds> forecast_above{};

    bool any() const { return elapsed || elapsed_per_gibibyte || stalled || pause_above || forecast_above; }
};

/// An item of `rules`: done once, as soon as its conditions hold, whatever became of the other items.
struct Rule {
    Conditions when{};
    What what;
};

/// The key `schedule` of a configuration, as it is written there.
struct Schedule {
    std::vector<What> init{};  ///< before the start: only limits of downtime and bandwidth
    std::vector<Step> stalling{};
    std::vector<Rule> rules{};

    bool has_postcopy() const;
};

/// The declaration of the key, with its default: the limits of oVirt's policy "minimal downtime".
vmmi::Key schedule_key();

/// Fails with `malformed_configuration`; `details` names the item by its index, the value and the remedy.
vmmi::Result<Schedule> schedule_from(const vmmi::Settings& settings);

}  // namespace schedule
