// SPDX-License-Identifier: Apache-2.0
#include "precopy.h"

#include <fmt/format.h>
#include <vmmi/migration_keys.h>
#include <vmmi/xbzrle.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace precopy {

using namespace vmmi;

namespace {

double mebi(std::uint64_t count) {
    return static_cast<double>(count) / (1 << 20);
}

std::vector<Key> keys() {
    std::vector<Key> keys{
        downtime_limits_key({integer_key(
            "steps", 5, {1, 100}, "raises from the initial to the maximum limit, one at an iteration boundary")}),
        memory_ceiling_key(),
        xbzrle_key(),
    };
    std::ranges::move(migration_keys(), std::back_inserter(keys));
    return keys;
}

Result<std::unique_ptr<Policy>> make(const Settings& settings) {
    Result<MigrationRequest> request = request_from(with_xbzrle(settings));
    if (!request) return fail(request.error());
    const Result<DowntimeLimits> downtime = downtime_limits_from(settings);
    if (!downtime) return fail(downtime.error());
    Precopy::Options options;
    options.request = std::move(*request);
    prefer_xbzrle(options.request, settings);
    options.downtime = *downtime;
    options.steps = static_cast<int>(settings.integer("downtime.steps"));
    options.ceiling = MemoryCeiling(settings);
    options.storage = StorageBudget(settings);
    return std::make_unique<Precopy>(options);
}

}  // namespace

MigrationRequest Precopy::plan(const Guest& guest) {
    ceiling_.plan(guest);
    MigrationRequest request = options_.request;
    request.downtime_limit = options_.downtime.initial;
    make_room_for_xbzrle(request, guest);
    if (uses_xbzrle(request)) queue_.emplace(options_.downtime.initial, request.bandwidth);
    return request;
}

std::vector<Action> Precopy::adopt(const Guest& guest, const Sample& now) {
    const MigrationRequest request = plan(guest);
    if (now.phase > Phase::precopy) return {};  // a post-copy of somebody else: nothing of it is this policy's
    std::vector<Action> actions;
    if (std::optional<Action> action = storage_.decide(now)) actions.push_back(std::move(*action));
    if (request.bandwidth.count > 0) {
        actions.push_back({SetBandwidth{request.bandwidth},
                           fmt::format("takeover: the cap is {:.0f} MiB/s", mebi(request.bandwidth.count))});
    }
    // The ramp goes on from the limit in force: whoever raised it so far had a reason.
    while (step_ < options_.steps && limit_at(step_) < now.downtime_limit) ++step_;
    const Milliseconds limit = limit_at(step_);
    if (limit != now.downtime_limit) {
        actions.push_back(
            {SetDowntimeLimit{limit},
             fmt::format("takeover: the limit in force is {} ms; this policy has {} to {} ms, and step {} of {}",
                         now.downtime_limit.count(), options_.downtime.initial.count(),
                         options_.downtime.maximum.count(), step_, options_.steps)});
    }
    return limit_order_.keep(std::move(actions), now);
}

std::vector<Action> Precopy::decide(const Sample& sample) {
    return limit_order_.keep(next_actions(sample), sample);
}

std::vector<Action> Precopy::next_actions(const Sample& sample) {
    if (std::optional<Action> action = storage_.decide(sample)) return {std::move(*action)};
    if (sample.phase != Phase::precopy) return {};
    if (std::optional<Action> action = ceiling_.decide(sample, storage_.memory_elapsed(sample)))
        return {std::move(*action)};
    std::vector<Action> actions;
    if (sample.trigger == Sample::Trigger::iteration) actions = raise_limit(sample);
    if (!queue_) return actions;
    if (std::optional<Action> action = queue_->decide(sample)) actions.push_back(std::move(*action));
    return actions;
}

std::optional<Milliseconds> Precopy::next_sample_within() const {
    return queue_ ? queue_->next_sample_within() : std::nullopt;
}

std::vector<Action> Precopy::raise_limit(const Sample& sample) {
    // The first pass moves all of the memory and says nothing about how busy the guest is.
    if (sample.iteration < 2 || step_ >= options_.steps || sample.bandwidth.count == 0) return {};
    const double pause =
        1000.0 * static_cast<double>(sample.remaining.count) / static_cast<double>(sample.bandwidth.count);
    const Milliseconds limit = limit_at(step_);
    if (pause <= static_cast<double>(limit.count())) return {};  // QEMU switches over by itself
    ++step_;
    const Milliseconds next = limit_at(step_);
    if (next == limit) return {};
    return {
        {SetDowntimeLimit{next},
         fmt::format("pass {} begins with {:.1f} MiB, a pause of {:.0f} ms at {:.1f} MiB/s, above the limit of {} ms; "
                     "step {} of {}",
                     sample.iteration, mebi(sample.remaining.count), pause, mebi(sample.bandwidth.count), limit.count(),
                     step_, options_.steps)}};
}

Milliseconds Precopy::limit_at(int step) const {
    if (step >= options_.steps) return options_.downtime.maximum;
    const auto initial = static_cast<double>(options_.downtime.initial.count());
    const auto maximum = static_cast<double>(options_.downtime.maximum.count());
    const double share = static_cast<double>(step) / options_.steps;
    return Milliseconds(std::llround(initial * std::pow(maximum / initial, share)));
}

Plugin plugin() {
    return {
        .name = "precopy",
        .version = VMMI_PLUGIN_VERSION,
        .summary = "live pre-copy migration; the downtime limit rises step by step",
        .keys = keys(),
        .make_policy = make,
    };
}

}  // namespace precopy
