// SPDX-License-Identifier: Apache-2.0
#include "vmmi/downtime_limits.h"

#include <fmt/format.h>

#include <iterator>

namespace vmmi {
namespace {

/// A call that takes longer may get a second one behind it, which does no harm.
constexpr Milliseconds time_to_answer{1'000};

}  // namespace

Key downtime_limits_key(std::vector<Key> more) {
    std::vector<Key> keys{
        integer_key("initialMs", 100, {1, longest_downtime}, "downtime limit at the start"),
        integer_key("maximumMs", 500, {1, longest_downtime}, "the limit is never raised beyond"),
    };
    std::ranges::move(more, std::back_inserter(keys));
    return object_key("downtime", std::move(keys), "downtime limit");
}

Result<DowntimeLimits> downtime_limits_from(const Settings& settings) {
    const DowntimeLimits limits{.initial = Milliseconds(settings.integer("downtime.initialMs")),
                                .maximum = Milliseconds(settings.integer("downtime.maximumMs"))};
    if (limits.initial <= limits.maximum) return limits;
    return fail(
        ErrorCode::malformed_configuration, "malformed configuration",
        fmt::format("configuration.downtime.initialMs: {} is above maximumMs, {}; lower the one or raise the other",
                    limits.initial.count(), limits.maximum.count()));
}

std::vector<Action> OrderedLimit::keep(std::vector<Action> actions, const Sample& sample) {
    const bool answered = sample.iteration > pass_ && sample.elapsed - ordered_ >= time_to_answer;
    const bool refused = limit_ && answered && sample.phase == Phase::precopy && sample.downtime_limit.count() > 0 &&
                         sample.downtime_limit < *limit_;
    if (actions.empty() && refused) {
        actions.push_back({SetDowntimeLimit{*limit_},
                           fmt::format("the limit in force is {} ms and not {}, as was ordered in pass {}; once more",
                                       sample.downtime_limit.count(), limit_->count(), pass_)});
    }
    for (const Action& action : actions) {
        const auto* set = std::get_if<SetDowntimeLimit>(&action.what);
        if (set == nullptr) continue;
        limit_ = set->limit;
        pass_ = sample.iteration;
        ordered_ = sample.elapsed;
    }
    return actions;
}

}  // namespace vmmi
