// SPDX-License-Identifier: Apache-2.0
#include "throttling.h"

#include <fmt/format.h>
#include <vmmi/explain.h>
#include <vmmi/xbzrle.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace throttling {

using namespace vmmi;

namespace {

/// Of the pause that the rest needs: the guest goes on writing until QEMU looks again.
constexpr double margin = 1.2;
/// QEMU's own threshold is 0.5, and what it counts differs a little from what it tells.
constexpr double high_share = 0.45;
constexpr double sure = 0.8;
/// Without a pass that began lower, for so long and so many passes: the throttle does not help. On a host without a
/// processor to spare, short passes went up and down for 3 s before one of them fitted.
constexpr StallRule::Options patience{.factor = 0.96, .patience = Milliseconds(4'000)};
constexpr int patient_passes = 3;

int throttle_of(const Sample& sample) {
    return sample.throttle_percent.value_or(0);
}

}  // namespace

Throttling::Throttling(Options options) : options_(std::move(options)), progress_(patience) {
    limit_ = options_.downtime.initial;
}

MigrationRequest Throttling::plan(const Guest& guest) {
    ceiling_.plan(guest);
    MigrationRequest request = options_.request;
    request.downtime_limit = options_.downtime.initial;
    request.auto_converge = AutoConverge{options_.steps.initial, options_.steps.increment};
    make_room_for_xbzrle(request, guest);
    forecaster_.limit_bandwidth(request.bandwidth);
    return request;
}

std::vector<Action> Throttling::adopt(const Guest& guest, const Sample& now) {
    const MigrationRequest request = plan(guest);
    if (now.phase > Phase::precopy) return {};  // a post-copy of somebody else: nothing of it is this policy's
    std::vector<Action> actions;
    if (request.bandwidth.count > 0) {
        actions.push_back(
            {SetBandwidth{request.bandwidth}, fmt::format("takeover: the cap is {}", in_words(request.bandwidth))});
    }
    limit_ = std::clamp(now.downtime_limit, options_.downtime.initial, options_.downtime.maximum);
    if (limit_ != now.downtime_limit) {
        actions.push_back(
            {SetDowntimeLimit{limit_},
             fmt::format("takeover: the limit in force is {}; this policy has {} to {}", in_words(now.downtime_limit),
                         in_words(options_.downtime.initial), in_words(options_.downtime.maximum))});
    }
    return actions;
}

std::vector<Action> Throttling::decide(const Sample& sample) {
    if (std::optional<Action> action = storage_.decide(sample)) return {std::move(*action)};
    if (sample.phase != Phase::precopy) return {};
    const bool began = forecaster_.add(sample);
    if (auto action = ceiling_.decide(sample, storage_.memory_elapsed(sample))) return {std::move(*action)};
    if (pause_ends_ && sample.elapsed > *pause_ends_) {
        pause_ends_.reset();
        return {{AbortMigration{}, "the guest was to be paused and runs on: throttling alone has failed"}};
    }
    return began ? at_a_boundary(sample) : std::vector<Action>{};
}

std::vector<Action> Throttling::at_a_boundary(const Sample& sample) {
    watch_progress(sample);
    // The first pass does not tell how busy the guest is.
    if (sample.iteration < 2 || forecaster_.forecast().model().bandwidth <= 0) return {};
    // Nor does a broken link, but QEMU throttles nevertheless.
    if (link_is_broken() && !leaves_the_cap(sample)) return {};
    const Milliseconds pause = pause_now(sample);
    if (pause <= limit_ && !link_is_broken()) return {};  // QEMU switches over by itself
    std::vector<Action> actions;
    if (auto raise = raise_limit(sample)) actions.push_back(std::move(*raise));
    if (given_up_ || (pause <= limit_ && !link_is_broken())) return actions;
    if (const auto why = why_it_fails(sample)) actions.push_back(give_up(sample, *why));
    return actions;
}

void Throttling::watch_progress(const Sample& sample) {
    const int throttle = throttle_of(sample);
    raised_ = throttle > throttle_;
    throttle_ = throttle;
    const std::optional<Pass>& current = forecaster_.passes().current();
    if (!current || throttle < close_to(options_.maximum_throttle)) return;
    ++passes_close_to_it_;
    progress_.boundary(current->to_move, current->began, forecaster_.network().outage());
}

/// Where waiting is free and leads there, the limit stays. Else a pause as long as it has to be is the cheaper way, as
/// far as it is allowed.
std::optional<Action> Throttling::raise_limit(const Sample& sample) {
    const Forecast& forecast = forecaster_.forecast();
    if (limit_ >= options_.downtime.maximum) return std::nullopt;
    const bool faster = writes_faster_than_the_link();
    const bool known = forecast.basis() >= Forecast::Basis::model;
    const bool worth_it = known && (faster || forecast.reach(limit_).never());
    if (!worth_it && !leaves_the_cap(sample)) return std::nullopt;
    const Milliseconds pause = pause_now(sample);
    const Milliseconds enough(std::llround(margin * static_cast<double>(pause.count())));
    const Milliseconds before = std::exchange(limit_, std::clamp(enough, limit_, options_.downtime.maximum));
    const Estimate<BytesPerSecond> writes = forecast.dirty_rate_unthrottled();
    const std::string why =
        !faster ? explain(forecast, before, forecast.alternatives(before))
                : fmt::format(
                      "the guest writes more than the {} of the link, about {} (confidence {:.0f} %): a pause costs it "
                      "less than throttling",
                      in_words(forecast.bandwidth().value), in_words(writes.value), 100 * writes.confidence);
    return Action{
        SetDowntimeLimit{limit_},
        fmt::format("pass {} begins with {}, a pause of {}, above the limit of {}; {}", sample.iteration,
                    in_words(forecaster_.passes().current()->to_move), in_words(pause), in_words(before), why)};
}

/// Asked where the rest does not fit the highest downtime limit.
std::optional<std::string> Throttling::why_it_fails(const Sample& sample) const {
    const int maximum = options_.maximum_throttle;
    if (throttle_ > maximum)
        return fmt::format("the guest is throttled by {} %, more than the {} % that are allowed", throttle_, maximum);
    if (leaves_the_cap(sample))
        return fmt::format(
            "the guest is throttled by {} %, writes {} nevertheless, and the next step, to {} %, is more "
            "than the {} % that are allowed",
            throttle_, in_words(sample.dirty_rate), std::min(options_.steps.after(throttle_), 99), maximum);
    if (throttle_ == 0 || limit_ < options_.downtime.maximum) return std::nullopt;
    if (passes_close_to_it_ > patient_passes && progress_.stalled())
        return fmt::format("the throttle of {} % does not help: {}", throttle_, explain(progress_));
    const Forecast& forecast = forecaster_.forecast();
    const Reach reach = forecast.with_throttle(maximum).reach(options_.downtime.maximum);
    if (reach.never() && reach.confidence >= sure) {
        const Alternatives alternatives = forecast.alternatives(options_.downtime.maximum);
        return fmt::format("{} % throttle are not enough: {}", maximum,
                           explain(forecast, options_.downtime.maximum, alternatives));
    }
    return std::nullopt;
}

/// Whether QEMU is about to throttle more than is allowed: it takes the next step where it finds the second period
/// since the last one that dirtied too much. The first one is the last moment to act.
bool Throttling::leaves_the_cap(const Sample& sample) const {
    const std::vector<Pass>& passes = forecaster_.passes().completed();
    if (throttle_ == 0 || raised_ || passes.empty() || options_.steps.after(throttle_) <= options_.maximum_throttle)
        return false;
    const double seconds = std::chrono::duration<double>(passes.back().duration).count();
    const double sent = static_cast<double>(passes.back().moved.count) / std::max(seconds, 1e-3);
    return static_cast<double>(sample.dirty_rate.count) > high_share * sent;
}

Action Throttling::give_up(const Sample& sample, const std::string& why) {
    given_up_ = true;
    const Milliseconds pause = pause_now(sample);
    switch (options_.when_it_fails) {
        case WhenItFails::keep_going:
            return {Wait{}, why + "; configured to continue, with whatever throttle QEMU takes"};
        case WhenItFails::pause:
            if (link_is_broken())
                return {AbortMigration{}, why + "; no pause, since " + explain(forecaster_.network())};
            if (pause > options_.longest_pause)
                return {
                    AbortMigration{},
                    fmt::format("{}; moving the {} that are left takes a pause of {}, longer than the {} that are "
                                "allowed",
                                why, in_words(sample.remaining), in_words(pause), in_words(options_.longest_pause))};
            pause_ends_ = sample.elapsed + options_.longest_pause;
            return {PauseGuest{options_.longest_pause},
                    fmt::format("{}; a pause of about {} moves the {} that are left", why, in_words(pause),
                                in_words(sample.remaining))};
        default:
            return {AbortMigration{}, why};
    }
}

bool Throttling::link_is_broken() const {
    return forecaster_.network().state() == NetworkHealth::State::broken;
}

bool Throttling::writes_faster_than_the_link() const {
    const Forecast::Model& model = forecaster_.forecast().model();
    return model.dirty_rate * model.wire_cost >= model.bandwidth;
}

/// For what is left of the current pass.
Milliseconds Throttling::pause_now(const Sample& sample) const {
    return forecaster_.forecast().time_to_send(sample.remaining).value_or(Milliseconds(0));
}

}  // namespace throttling
