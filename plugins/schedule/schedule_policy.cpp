// SPDX-License-Identifier: Apache-2.0
#include "schedule_policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vmmi/budget.h>
#include <vmmi/explain.h>
#include <vmmi/postcopy.h>

#include <algorithm>

namespace schedule {

using namespace vmmi;

namespace {

/// A forecast that is less sure is no reason for anything.
constexpr double sure = 0.8;
/// So long, a post-copy or a pause that was asked for may take to show: libvirt's own locks give up after 30 s.
constexpr Milliseconds patience{40'000};

template <typename T>
bool is(const What& what) {
    return std::holds_alternative<T>(what);
}

bool is_last_resort(const What& what) {
    return is<StartPostCopy>(what) || is<PauseGuest>(what);
}

/// The pause that the rest needs, where the current pass began; nothing while the bandwidth is not known.
std::optional<Milliseconds> pause_needed(const Forecaster& forecaster) {
    const std::optional<Pass>& pass = forecaster.passes().current();
    if (!pass || pass->number < 2) return std::nullopt;
    return forecaster.forecast().time_to_send(pass->to_move);
}

}  // namespace

FollowSchedule::FollowSchedule(Options options)
    : options_(std::move(options)),
      forecaster_({.stall = {.factor = options_.progress_factor}}),
      done_(options_.schedule.rules.size(), false) {}

MigrationRequest FollowSchedule::plan(const Guest& guest) {
    memory_ = guest.memory;
    MigrationRequest request = options_.request;
    request.postcopy = options_.schedule.has_postcopy();
    for (const What& what : options_.schedule.init) {
        if (const auto* downtime = std::get_if<SetDowntimeLimit>(&what)) request.downtime_limit = downtime->limit;
        if (const auto* bandwidth = std::get_if<SetBandwidth>(&what)) request.bandwidth = bandwidth->limit;
    }
    forecaster_.limit_bandwidth(request.bandwidth);
    return request;
}

/// The schedule goes on from the limit in force: what would set a lower one at this time has been done, by a run before
/// or in effect. Everything else is still to come, at its own pace: a migration that somebody else started long ago is
/// not aborted for that.
std::vector<Action> FollowSchedule::adopt(const Guest& guest, const Sample& now) {
    const MigrationRequest request = plan(guest);
    if (now.phase > Phase::precopy) return {};
    if (std::optional<Action> action = storage_.decide(now)) return {std::move(*action)};
    std::optional<Milliseconds> limit = request.downtime_limit;
    const auto covered = [&](const What& what) {
        const auto* set = std::get_if<SetDowntimeLimit>(&what);
        if (set == nullptr || set->limit > now.downtime_limit) return false;
        limit = std::max(limit.value_or(set->limit), set->limit);
        return true;
    };
    const std::vector<Step>& steps = options_.schedule.stalling;
    while (next_ < steps.size() && due(steps[next_], now) && covered(steps[next_].what)) ++next_;
    const std::vector<Rule>& rules = options_.schedule.rules;
    for (std::size_t i = 0; i < rules.size(); ++i) done_[i] = holds(rules[i].when, now) && covered(rules[i].what);
    last_step_ = now.elapsed;

    std::vector<Action> actions;
    if (limit && *limit != now.downtime_limit) {
        actions.push_back({SetDowntimeLimit{*limit}, fmt::format("takeover: the limit in force is {}, that of the "
                                                                 "schedule at this point {}",
                                                                 in_words(now.downtime_limit), in_words(*limit))});
    }
    if (request.bandwidth.count > 0)
        actions.push_back({SetBandwidth{request.bandwidth},
                           fmt::format("takeover: the cap is {} MiB/s", request.bandwidth.count >> 20)});
    return limit_order_.keep(std::move(actions), now);
}

std::vector<Action> FollowSchedule::decide(const Sample& sample) {
    return limit_order_.keep(next_actions(sample), sample);
}

std::vector<Action> FollowSchedule::next_actions(const Sample& sample) {
    if (std::optional<Action> action = storage_.decide(sample)) return {std::move(*action)};
    if (sample.phase == Phase::storage) return {};
    const bool boundary = forecaster_.add(sample) || sample.trigger == Sample::Trigger::iteration;
    if (sample.phase != Phase::precopy) return {};
    if (asked_ && sample.elapsed - asked_->at < patience) return {};
    std::vector<Action> actions = follow_rules(sample);
    if (actions.empty() && boundary) actions = take_step(sample);
    if (actions.empty()) actions = ask_again(sample);
    return actions;
}

std::vector<Action> FollowSchedule::follow_rules(const Sample& sample) {
    const std::vector<Rule>& rules = options_.schedule.rules;
    std::vector<Action> waiting;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        if (done_[i]) continue;
        const std::optional<std::string> why = holds(rules[i].when, sample);
        if (!why) continue;
        std::string reason = fmt::format("rule {} of {}: {}", i + 1, rules.size(), *why);
        if (must_wait(rules[i].what, sample)) {
            // The rules behind it may still end the migration.
            if (waiting.empty()) waiting = tell_of_the_link(reason, sample);
            continue;
        }
        done_[i] = true;
        return carry_out(rules[i].what, std::move(reason), sample);
    }
    return waiting;
}

std::vector<Action> FollowSchedule::take_step(const Sample& sample) {
    const std::vector<Step>& steps = options_.schedule.stalling;
    if (next_ == steps.size() || sample.elapsed - last_step_ < options_.step_interval) return {};
    const std::optional<std::string> why = due(steps[next_], sample);
    if (!why) return {};
    std::string reason = fmt::format("step {} of {}: {}", next_ + 1, steps.size(), *why);
    if (must_wait(steps[next_].what, sample)) return tell_of_the_link(reason, sample);
    last_step_ = sample.elapsed;
    return carry_out(steps[next_++].what, std::move(reason), sample);
}

std::vector<Action> FollowSchedule::ask_again(const Sample& sample) {
    if (!asked_ || next_ < options_.schedule.stalling.size() || must_wait(asked_->what, sample)) return {};
    std::string reason = fmt::format("asked for {} ago, and the migration is still in pre-copy; once more",
                                     in_words(sample.elapsed - asked_->at));
    return carry_out(What(asked_->what), std::move(reason), sample);
}

std::optional<std::string> FollowSchedule::due(const Step& step, const Sample& sample) const {
    const int begun = sample.iteration - 1;  // after the first one
    if (begun < 1 || begun <= step.limit) return std::nullopt;
    const std::string rest = fmt::format("pass {} begins with {}", sample.iteration, in_words(sample.remaining));
    if (step.limit < 0) return rest;
    return fmt::format("{}, and {} passes after the first one are more than {}", rest, begun, step.limit);
}

std::optional<std::string> FollowSchedule::holds(const Conditions& when, const Sample& sample) const {
    std::vector<std::string> reasons;
    const Milliseconds elapsed = storage_.memory_elapsed(sample);
    if (when.elapsed) {
        if (elapsed < *when.elapsed) return std::nullopt;
        reasons.push_back(fmt::format("{} passed of {}", in_words(elapsed), in_words(*when.elapsed)));
    }
    if (when.elapsed_per_gibibyte) {
        const Milliseconds allowed = elapsed_per_gibibyte(*when.elapsed_per_gibibyte);
        if (elapsed < allowed) return std::nullopt;
        reasons.push_back(fmt::format("{} passed of {}, {} s for every GiB", in_words(elapsed), in_words(allowed),
                                      *when.elapsed_per_gibibyte));
    }
    if (when.stalled) {
        if (forecaster_.stall().since_progress() <= *when.stalled) return std::nullopt;
        reasons.push_back(explain(forecaster_.stall()));
    }
    if (when.pause_above) {
        const std::optional<Milliseconds> pause = pause_needed(forecaster_);
        if (!pause || *pause <= *when.pause_above) return std::nullopt;
        reasons.push_back(
            fmt::format("the rest needs a pause of {}, above {}", in_words(*pause), in_words(*when.pause_above)));
    }
    if (when.forecast_above) {
        const Forecast& forecast = forecaster_.forecast();
        const Reach reach = forecast.reach(*when.forecast_above);
        if (!reach.never() || reach.confidence < sure) return std::nullopt;
        reasons.push_back(explain(forecast, *when.forecast_above, forecast.alternatives(*when.forecast_above)));
    }
    if (reasons.empty()) return std::nullopt;
    return fmt::format("{}", fmt::join(reasons, "; "));
}

bool FollowSchedule::must_wait(const What& what, const Sample& sample) const {
    const bool broken = forecaster_.network().state() == NetworkHealth::State::broken;
    return is_last_resort(what) && (broken || stands_still(sample));
}

std::vector<Action> FollowSchedule::tell_of_the_link(const std::string& reason, const Sample& sample) {
    if (std::exchange(told_of_the_link_, true)) return {};
    return {{Wait{}, fmt::format("{}; waits for the link: {}", reason,
                                 stands_still(sample).value_or(explain(forecaster_.network())))}};
}

std::vector<Action> FollowSchedule::carry_out(const What& what, std::string reason, const Sample& sample) {
    if (is_last_resort(what)) {
        asked_ = Asked{what, sample.elapsed};
        told_of_the_link_ = false;
    } else if (is<AbortMigration>(what)) {
        asked_.reset();
    }
    if (const auto* bandwidth = std::get_if<SetBandwidth>(&what)) forecaster_.limit_bandwidth(bandwidth->limit);
    return {{what, std::move(reason)}};
}

Milliseconds FollowSchedule::elapsed_per_gibibyte(int seconds) const {
    return ceiling(memory_, seconds).value_or(Milliseconds(0));
}

}  // namespace schedule
