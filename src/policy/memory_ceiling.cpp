// SPDX-License-Identifier: Apache-2.0
#include "vmmi/memory_ceiling.h"

#include <fmt/format.h>

#include "vmmi/explain.h"

namespace vmmi {

Key memory_ceiling_key() {
    return object_key(
        "ceiling",
        {integer_key("secondsPerGiB", 150, {0, 86'400},
                     "time allowed for every GiB of guest memory, for at least one GiB, from when disks are copied; "
                     "0 is without end"),
         choice_key("action", "abort", {"abort", "continue"}, "what to do at the ceiling")},
        "bound on the migration of the memory");
}

MemoryCeiling::MemoryCeiling(const Settings& settings)
    : MemoryCeiling(static_cast<int>(settings.integer("ceiling.secondsPerGiB")),
                    settings.text("ceiling.action") == "abort" ? Reaction::abort : Reaction::keep_going) {}

std::optional<Action> MemoryCeiling::decide(const Sample& sample, Milliseconds elapsed) {
    // A broken link is no excuse: whoever sets a ceiling wants an answer by then.
    if (told_ || !budget_.spent(elapsed, Milliseconds(0))) return std::nullopt;
    told_ = true;
    std::string reason =
        fmt::format("{} s passed, the ceiling for this guest; {} are left in pass {}, dirtied at {}",
                    elapsed.count() / 1000, in_words(sample.remaining), sample.iteration, in_words(sample.dirty_rate));
    if (sample.throttle_percent) reason += fmt::format(", under a throttle of {} %", *sample.throttle_percent);
    if (reaction_ == Reaction::abort) return Action{AbortMigration{}, std::move(reason)};
    return Action{Wait{}, reason + "; configured to continue"};
}

}  // namespace vmmi
