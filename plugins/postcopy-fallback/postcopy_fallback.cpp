// SPDX-License-Identifier: Apache-2.0
#include "postcopy_fallback.h"

#include <fmt/format.h>
#include <vmmi/explain.h>
#include <vmmi/xbzrle.h>

#include <algorithm>
#include <utility>

namespace postcopy_fallback {

using namespace vmmi;

namespace {

/// Loads that end by themselves stay below it, and hopeless ones reach it after two passes (vmmi/forecast.h).
constexpr double sure = 0.7;
/// QEMU fills the cache of xbzrle in the second pass; the third is the first that it makes smaller.
constexpr int first_compressed_pass = 3;
/// Of the least that a pass began with: such a one got nowhere.
constexpr double hardly_less = 0.9;
/// What a page costs on the wire, compared with one that is sent whole, where compression helps.
constexpr double compressible = 0.5;
/// Less does not tell what a page costs.
constexpr Bytes enough_to_tell = mebibytes(4);

double share(Bytes part, Bytes whole) {
    return whole.count == 0 ? 0 : static_cast<double>(part.count) / static_cast<double>(whole.count);
}

/// What a byte of memory costs of the link's time, compared with one that is sent as it is. Compressing takes time,
/// too.
double cost(Bytes memory, Bytes wire, Milliseconds time, double bandwidth) {
    const double seconds = std::chrono::duration<double>(time).count();
    return std::max(share(wire, memory), seconds * bandwidth / static_cast<double>(memory.count));
}

}  // namespace

PostcopyFallback::PostcopyFallback(Options options) : options_(std::move(options)), guardian_(options_.guardian) {
    forecaster_.limit_bandwidth(options_.request.bandwidth);
}

MigrationRequest PostcopyFallback::plan(const Guest& guest) {
    budget_.allowed = ceiling(guest.memory, options_.seconds_per_gibibyte);
    MigrationRequest request = options_.request;
    // A guest that stands still converges anyway, and libvirt has no post-copy for it.
    possible_ = !guest.paused;
    request.postcopy = possible_;
    make_room_for_xbzrle(request, guest);
    return request;
}

std::vector<Action> PostcopyFallback::decide(const Sample& sample) {
    if (std::optional<Action> action = storage_.decide(sample)) return {std::move(*action)};
    if (sample.phase == Phase::storage) return {};
    if (sample.phase != Phase::precopy) {
        due_.reset();
        return guardian_.decide(sample);
    }
    const bool pass_began = forecaster_.add(sample);
    if (pass_began) begin_pass(sample);
    if (!possible_ || sample.iteration < 2 || switch_.under_way(sample)) return {};
    if (std::optional<std::string> why = ceiling_reached(sample, pass_began)) {
        if (sample.postcopy_excluded) return end_without_postcopy(std::move(*why));
        return switch_over(sample, *why);
    }
    if (!due_) {
        std::optional<std::string> why = why_switch(sample, pass_began);
        if (!why) return {};
        due_ = Due{std::move(*why), LowMoment(forecaster_.forecast())};
    }
    if (!due_->moment.has_come(sample)) return {};
    const bool bounded = budget_.allowed || options_.after_iterations > 0;
    if (sample.postcopy_excluded && !bounded) return end_without_postcopy(due_->why);
    if (sample.dirty)
        due_->why +=
            fmt::format("; {} are dirty now, of up to {}", in_words(*sample.dirty), in_words(due_->moment.most()));
    return switch_over(sample, due_->why);
}

std::vector<Action> PostcopyFallback::switch_over(const Sample& sample, std::string why) {
    due_.reset();
    return switch_.order(sample, forecaster_.network(), std::move(why));
}

/// Pre-copy was to end here, and there is nothing that could take its place.
std::vector<Action> PostcopyFallback::end_without_postcopy(std::string why) {
    return {{AbortMigration{},
             std::move(why) + "; the migration was started without post-copy, by somebody else: migrate once more with "
                              "this plugin, or allow for a longer downtime"}};
}

std::optional<Milliseconds> PostcopyFallback::next_sample_within() const {
    return due_ ? std::optional(due_->moment.interval()) : std::nullopt;
}

void PostcopyFallback::begin_pass(const Sample& sample) {
    pass_ = sample;
    if (sample.iteration < 2) return;
    stuck_ = least_ && share(sample.remaining, *least_) >= hardly_less ? stuck_ + 1 : 0;
    least_ = std::min(least_.value_or(sample.remaining), sample.remaining);
}

bool PostcopyFallback::guards(const Sample&) {
    return !guardian_.gave_up();
}

std::optional<std::string> PostcopyFallback::ceiling_reached(const Sample& sample, bool pass_began) const {
    if (budget_.spent(storage_.memory_elapsed(sample), forecaster_.network().outage()))
        return fmt::format("{} passed, the ceiling for pre-copy of this guest; {} are left in pass {}",
                           in_words(*budget_.allowed), in_words(sample.remaining), sample.iteration);
    if (options_.after_iterations > 0 && pass_began && sample.iteration > options_.after_iterations)
        return fmt::format("pass {} begins with {}, after as many as are allowed", sample.iteration,
                           in_words(sample.remaining));
    return std::nullopt;
}

std::optional<std::string> PostcopyFallback::why_switch(const Sample& sample, bool pass_began) const {
    if (!options_.evidence) return std::nullopt;
    if (std::optional<std::string> why = why_after_the_first_pass(sample, pass_began)) return why;
    const std::optional<Forecast> told = forecast(sample, pass_began);
    return told ? what_waiting_brings(*told, sample) : std::nullopt;
}

/// The second pass takes as long as this says, whatever the guest does meanwhile, and whether it is the last one that
/// is needed, it does not say. For a guest of which it is a small part of the whole, that is cheap to find out.
std::optional<std::string> PostcopyFallback::why_after_the_first_pass(const Sample& sample, bool pass_began) const {
    const Passes& passes = forecaster_.passes();
    if (options_.first_pass_percent == 0 || !pass_began || sample.iteration != 2 || passes.completed().empty())
        return std::nullopt;
    // All of it, also where a takeover saw only its end.
    const double rest = 100 * share(sample.remaining, sample.transferred - passes.current()->moved);
    const std::optional<Milliseconds> pass = forecaster_.forecast().time_to_send(sample.remaining);
    if (rest < options_.first_pass_percent || !pass) return std::nullopt;
    return fmt::format(
        "the first pass leaves {}, {:.0f} % of what it sent, and {} % are allowed: another one would take {}, and "
        "whether it is enough, nothing tells yet",
        in_words(sample.remaining), rest, options_.first_pass_percent, in_words(*pass));
}

std::optional<std::string> PostcopyFallback::what_waiting_brings(const Forecast& forecast, const Sample& sample) const {
    const Milliseconds limit = *options_.request.downtime_limit;
    const Reach reach = forecast.reach(limit);
    if (reach.confidence >= sure && reach.never()) return explain(forecast, limit, {.postcopy = forecast.postcopy()});
    if (std::optional<std::string> stuck = why_stuck(forecast)) return stuck;
    const std::optional<Milliseconds> left =
        budget_.left(storage_.memory_elapsed(sample), forecaster_.network().outage());
    if (reach.confidence >= sure && left && reach.low > *left)
        return fmt::format("{}; that is beyond the ceiling, which leaves {}", explain(forecast, limit, {}),
                           in_words(*left));
    if (forecaster_.stall().stalled()) return explain(forecaster_.stall());
    return std::nullopt;
}

/// What was seen counts where the forecast is unsure: its model is not made for every load. The farther the limit, the
/// sooner it counts.
std::optional<std::string> PostcopyFallback::why_stuck(const Forecast& forecast) const {
    const std::optional<Milliseconds> pause = forecast.time_to_send(pass_.remaining);
    if (stuck_ == 0 || !pause) return std::nullopt;
    const bool far = *pause >= 2 * *options_.request.downtime_limit;
    const bool shrinks = forecast.model().wire_cost < compressible;
    if (stuck_ < (far && !shrinks ? 1 : 3)) return std::nullopt;
    return fmt::format(
        "pass {} began with {}, hardly less than the {} of the one that began with least; that is a pause of "
        "{}, and {} are allowed",
        pass_.iteration, in_words(pass_.remaining), in_words(*least_), in_words(*pause),
        in_words(*options_.request.downtime_limit));
}

/// As far as it is one: not before the passes are of the kind that will go on, and, of a kind, not in their middle.
std::optional<Forecast> PostcopyFallback::forecast(const Sample& sample, bool pass_began) const {
    const Forecast& known = forecaster_.forecast();
    if (sample.iteration < 3) return std::nullopt;
    if (!uses_xbzrle(options_.request)) return pass_began ? std::optional(known) : std::nullopt;

    Forecast::Model model = known.model();
    const std::vector<Pass>& passes = forecaster_.passes().completed();
    if (pass_began && !passes.empty() && passes.back().number >= first_compressed_pass) {
        const Pass& last = passes.back();
        const Bytes memory = last.to_move - last.left_over;
        if (memory < enough_to_tell) return std::nullopt;
        model.wire_cost = cost(memory, last.moved, last.duration - last.outage, model.bandwidth);
        return Forecast(model);
    }
    // Of the first one that it makes smaller, the beginning says as much as the end.
    const Bytes memory = pass_.remaining - sample.remaining;
    if (sample.iteration != first_compressed_pass || memory < enough_to_tell) return std::nullopt;
    model.wire_cost =
        cost(memory, sample.transferred - pass_.transferred, sample.elapsed - pass_.elapsed, model.bandwidth);
    return Forecast(model);
}

}  // namespace postcopy_fallback
