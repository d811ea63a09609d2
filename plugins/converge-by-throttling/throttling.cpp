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

/// QEMU's periods are no shorter.
constexpr Milliseconds shortest_period{1'000};

/// What a pause would have to move: of the current pass, and what was found dirty in its middle.
Bytes left(const Sample& sample) {
    return sample.dirty.value_or(sample.remaining);
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
    return limit_order_.keep(std::move(actions), now);
}

std::vector<Action> Throttling::decide(const Sample& sample) {
    return limit_order_.keep(next_actions(sample), sample);
}

std::vector<Action> Throttling::next_actions(const Sample& sample) {
    if (std::optional<Action> action = storage_.decide(sample)) return {std::move(*action)};
    if (sample.phase != Phase::precopy) return {};
    const bool began = forecaster_.add(sample);
    const bool looked = follow_throttle(sample);
    if (auto action = ceiling_.decide(sample, storage_.memory_elapsed(sample))) return {std::move(*action)};
    if (pause_ends_ && sample.elapsed > *pause_ends_) {
        pause_ends_.reset();
        return {{AbortMigration{}, "the guest was to be paused and runs on: throttling alone has failed"}};
    }
    if (began) watch_progress();
    // With auto-converge, QEMU looks every 5 s in the middle of a long pass, too, and takes its steps there.
    return began || (looked && exceeds_the_cap(sample)) ? react(sample) : std::vector<Action>{};
}

std::vector<Action> Throttling::react(const Sample& sample) {
    if (forecaster_.forecast().model().bandwidth <= 0) return {};
    // Neither the first pass nor a broken link tells how busy the guest is, but QEMU throttles nevertheless.
    if ((sample.iteration < 2 || link_is_broken()) && !exceeds_the_cap(sample)) return {};
    const Milliseconds pause = pause_now(sample);
    // QEMU switches over by itself. If it took a step instead, it sees that otherwise.
    const bool trusted = !link_is_broken() && throttle_ <= options_.maximum_throttle;
    if (pause <= limit_ && trusted) return {};
    std::vector<Action> actions;
    if (auto raise = raise_limit(sample)) actions.push_back(std::move(*raise));
    if (given_up_ || (pause <= limit_ && trusted)) return actions;
    if (const auto why = why_it_fails(sample)) actions.push_back(give_up(sample, *why));
    return actions;
}

/// True where QEMU has looked at its dirty log since the last sample.
bool Throttling::follow_throttle(const Sample& sample) {
    const bool looked = sample.looks != std::exchange(looks_, sample.looks);
    if (looked && sample.elapsed - period_ends_.elapsed >= shortest_period) {
        const double seconds = std::chrono::duration<double>(sample.elapsed - period_ends_.elapsed).count();
        sent_in_period_ = static_cast<double>((sample.transferred - period_ends_.transferred).count) / seconds;
        period_ends_ = sample;
    }
    const int throttle = sample.throttle_percent.value_or(0);
    if (throttle != std::exchange(throttle_, throttle)) raised_at_ = sample.looks;
    return looked;
}

void Throttling::watch_progress() {
    const std::optional<Pass>& current = forecaster_.passes().current();
    if (!current || throttle_ < close_to(options_.maximum_throttle)) return;
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
    return Action{SetDowntimeLimit{limit_},
                  fmt::format("in pass {}, {} are left, a pause of {}, above the limit of {}; {}", sample.iteration,
                              in_words(left(sample)), in_words(pause), in_words(before), why)};
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

bool Throttling::exceeds_the_cap(const Sample& sample) const {
    return throttle_ > options_.maximum_throttle || leaves_the_cap(sample);
}

/// Whether QEMU is about to throttle more than is allowed: it takes the next step where it finds the second period
/// since the last one that dirtied too much. The first one is the last moment to act.
bool Throttling::leaves_the_cap(const Sample& sample) const {
    const bool stood = sample.looks > raised_at_;
    if (throttle_ == 0 || !stood || options_.steps.after(throttle_) <= options_.maximum_throttle) return false;
    return static_cast<double>(sample.dirty_rate.count) > high_share * sent_in_period_;
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
                return {AbortMigration{},
                        fmt::format("{}; moving the {} that are left takes a pause of {}, longer than the {} that are "
                                    "allowed",
                                    why, in_words(left(sample)), in_words(pause), in_words(options_.longest_pause))};
            pause_ends_ = sample.elapsed + options_.longest_pause;
            return {PauseGuest{options_.longest_pause},
                    fmt::format("{}; a pause of about {} moves the {} that are left", why, in_words(pause),
                                in_words(left(sample)))};
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

/// For what is left.
Milliseconds Throttling::pause_now(const Sample& sample) const {
    return forecaster_.forecast().time_to_send(left(sample)).value_or(Milliseconds(0));
}

}  // namespace throttling
