// SPDX-License-Identifier: Apache-2.0
#include "vmmi/storage_budget.h"

#include <fmt/format.h>

#include "vmmi/budget.h"

namespace vmmi {

StorageBudget::StorageBudget(const Settings& settings)
    : StorageBudget(static_cast<int>(settings.integer("storage.secondsPerGiB")),
                    settings.text("storage.action") == "abort") {}

std::optional<Action> StorageBudget::decide(const Sample& sample) {
    if (sample.phase != Phase::storage) {
        if (!copied_ && sample.disk_total.count > 0) copied_ = sample.elapsed;
        return std::nullopt;
    }
    copied_ = sample.elapsed;
    const std::optional<Milliseconds> allowed = ceiling(sample.disk_total, seconds_per_gibibyte_);
    if (told_ || !allowed || sample.elapsed < *allowed) return std::nullopt;
    told_ = true;
    const std::string reason = fmt::format("{} s passed, {} s are allowed for the disks; {:.1f} of {:.1f} GiB are left",
                                           sample.elapsed.count() / 1000, allowed->count() / 1000,
                                           in_gibibytes(sample.disk_remaining), in_gibibytes(sample.disk_total));
    if (abort_) return Action{AbortMigration{}, reason};
    return Action{Wait{}, reason + "; configured to continue"};
}

Milliseconds StorageBudget::memory_elapsed(const Sample& sample) const {
    return sample.elapsed - copied_.value_or(Milliseconds(0));
}

}  // namespace vmmi
