// SPDX-License-Identifier: Apache-2.0
#include "vmmi/forecast.h"

#include "policy/fit.h"
#include "policy/numbers.h"

namespace vmmi {

using namespace policy;

namespace {

constexpr int most_passes = 10'000;       // what takes longer never ends
constexpr double load_varies = 0.5;       // logarithm: standard deviation of the dirty rate over a migration
constexpr double most_throttle = 0.99;    // QEMU's own
constexpr double least_told_apart = 0.5;  // below it the dirty rate has no upper bound, and what would suffice neither
constexpr double most_speedup = 10.0;     // a link that is so much faster is not to be had
constexpr double longest_limit = 2'000;   // seconds; QEMU's own

/// R in R = W·(1 − exp(−a·R/W)), a = d·c/b: zero up to a = 1, then one root, which grows with a.
double fixed_point(double working_set, double a) {
    if (!(a > 1)) return 0;
    double low = 0;
    double high = 1;
    for (int i = 0; i < 60; ++i) {
        const double middle = (low + high) / 2;
        (-std::expm1(-a * middle) > middle ? low : high) = middle;
    }
    return working_set * low;
}

/// Time and traffic until what a pass begins with fits the limit; nothing where it never does.
struct Course {
    int passes = 0;
    double seconds = 0;
    double to_send = 0;
};
std::optional<Course> course(const Forecast::Model& model, double dirty_rate, double bandwidth, double memory_share) {
    if (!(bandwidth > 0) || !(memory_share > 0)) return std::nullopt;
    const Curve curve{.working_set = model.working_set, .dirty_rate = dirty_rate};
    const double fits = bandwidth * memory_share;
    const double cost = model.wire_cost;
    Course course;
    double to_move = model.to_move;
    double memory = model.remaining;  // of this pass; a later one moves all of it
    while (to_move > fits) {
        if (++course.passes > most_passes) return std::nullopt;
        course.to_send += cost * memory;
        const double next = curve(cost * to_move / bandwidth);
        if (next > fits && next >= to_move) return std::nullopt;  // and so will all that come after
        to_move = memory = next;
    }
    course.to_send += cost * memory;
    course.seconds = course.to_send / bandwidth + model.fixed_part;
    return course;
}

}  // namespace

Estimate<Bytes> Forecast::working_set() const {
    return {bytes(model_.working_set), model_.confidence * model_.told_apart};
}

Estimate<BytesPerSecond> Forecast::dirty_rate() const {
    return {bytes_per_second(present_dirty_rate()), model_.confidence * model_.told_apart};
}

Estimate<BytesPerSecond> Forecast::dirty_rate_unthrottled() const {
    return {bytes_per_second(model_.dirty_rate), model_.confidence * model_.told_apart};
}

Estimate<BytesPerSecond> Forecast::bandwidth() const {
    return {bytes_per_second(model_.bandwidth), model_.bandwidth_confidence};
}

Estimate<Bytes> Forecast::plateau() const {
    return {bytes(plateau_bytes()), model_.confidence};
}

Estimate<Milliseconds> Forecast::pause() const {
    return {milliseconds(ratio(plateau_bytes(), model_.bandwidth) + model_.fixed_part),
            model_.bandwidth > 0 ? model_.confidence : 0.0};
}

double Forecast::present_dirty_rate() const {
    return model_.dirty_rate * (1.0 - model_.throttle);
}

double Forecast::plateau_bytes() const {
    return fixed_point(model_.working_set, ratio(present_dirty_rate() * model_.wire_cost, model_.bandwidth));
}

/// Seconds of the limit that are left for memory.
double Forecast::memory_share(Milliseconds limit) const {
    return in_seconds(limit) - model_.fixed_part;
}

/// The dirty rate at which the plateau just fits; infinite where the whole working set does.
double Forecast::bearable_dirty_rate(double memory_share) const {
    const double share = ratio(model_.bandwidth * memory_share, model_.working_set);
    if (model_.working_set <= 0 || share >= 1) return std::numeric_limits<double>::infinity();
    return -model_.working_set * std::log1p(-share) / (model_.wire_cost * memory_share);
}

/// The dirty rate up to which QEMU may get there by ever shorter passes: what it dirties then, d·(1 − L·b/W), is less
/// than what it moves.
double Forecast::dirty_rate_of_short_passes(double memory_share) const {
    const double clean = 1.0 - ratio(model_.bandwidth * memory_share, model_.working_set);
    if (model_.working_set <= 0 || clean <= 0) return std::numeric_limits<double>::infinity();
    return model_.bandwidth / (model_.wire_cost * clean);
}

Reach Forecast::reach(Milliseconds limit) const {
    const double share = memory_share(limit);
    Reach reach;
    if (!(share > 0)) {
        reach.confidence = model_.confidence;
        return reach;
    }
    if (!(model_.bandwidth > 0)) return reach;
    const double dirty_rate = present_dirty_rate();
    const std::optional<Course> expected = course(model_, dirty_rate, model_.bandwidth, share);
    // Never is sure only beyond the rate at which short passes would get there, too.
    const double turning = expected ? bearable_dirty_rate(share) : dirty_rate_of_short_passes(share);
    const double distance = std::log(ratio(dirty_rate, turning)) * (expected ? -1 : 1);
    // How often the dirty rate changes by more than the factor that is missing, taken as log-normal.
    reach.confidence = model_.confidence * std::erf(std::max(0.0, distance) / load_varies / std::sqrt(2.0));
    if (!expected) return reach;
    reach.passes = expected->passes;
    reach.to_send = bytes(expected->to_send);
    reach.expected = milliseconds(expected->seconds);
    const double unsure = 1.1 + 0.5 * (1.0 - model_.confidence);
    const double unsteady = 1.05 + 0.2 * (1.0 - model_.bandwidth_confidence);
    const auto good = course(model_, dirty_rate / unsure, model_.bandwidth * unsteady, share);
    // A pass in which all of the working set was written bounds the dirty rate from below alone.
    const double faster = unsure + std::max(0.0, least_told_apart - model_.told_apart);
    const auto bad = course(model_, dirty_rate * faster, model_.bandwidth / unsteady, share);
    reach.low = good ? std::min(reach.expected, milliseconds(good->seconds)) : reach.expected;
    if (bad && model_.basis != Basis::nothing) reach.high = std::max(reach.expected, milliseconds(bad->seconds));
    return reach;
}

Forecast Forecast::with_bandwidth(BytesPerSecond bandwidth) const {
    Model model = model_;
    model.bandwidth = in_bytes_per_second(bandwidth);
    model.confidence *= model.told_apart;
    return Forecast(model);
}

Forecast Forecast::with_throttle(int percent) const {
    Model model = model_;
    model.throttle = std::clamp(percent, 0, 99) / 100.0;
    model.confidence *= model.told_apart;
    return Forecast(model);
}

std::optional<BytesPerSecond> Forecast::bandwidth_for(Milliseconds limit) const {
    const double share = memory_share(limit);
    if (!(share > 0) || model_.basis == Basis::nothing) return std::nullopt;
    // R = b·L on the curve after a pass of R·c/b = c·L seconds.
    const Curve curve{.working_set = model_.working_set, .dirty_rate = present_dirty_rate()};
    return BytesPerSecond{saturated(std::ceil(curve(model_.wire_cost * share) / share))};
}

std::optional<int> Forecast::throttle_for(Milliseconds limit) const {
    const double share = memory_share(limit);
    if (!(share > 0) || model_.basis == Basis::nothing) return std::nullopt;
    const double bearable = bearable_dirty_rate(share);
    if (model_.dirty_rate <= bearable) return 0;
    const double needed = 1.0 - bearable / model_.dirty_rate;
    if (needed > most_throttle) return std::nullopt;
    return static_cast<int>(std::ceil(100.0 * needed));
}

std::optional<Milliseconds> Forecast::time_to_send(Bytes memory) const {
    if (!(model_.bandwidth > 0)) return std::nullopt;
    return milliseconds(in_bytes(memory) / model_.bandwidth);
}

std::optional<Milliseconds> Forecast::postcopy() const {
    if (!(model_.bandwidth > 0)) return std::nullopt;
    return milliseconds(std::max(plateau_bytes(), model_.remaining) / model_.bandwidth + model_.fixed_part);
}

Alternatives Forecast::alternatives(Milliseconds limit) const {
    if (model_.basis == Basis::nothing || !(model_.bandwidth > 0)) return {};
    Alternatives offer;
    const double pause = round_up(plateau_bytes() / model_.bandwidth + model_.fixed_part, 2);
    if (pause <= longest_limit) offer.limit = std::max(limit, milliseconds(pause));
    const bool dirty_rate_known = model_.told_apart >= least_told_apart;
    if (const auto enough = bandwidth_for(limit); enough && dirty_rate_known) {
        const double rate = round_up(8 * in_bytes_per_second(*enough), 2) / 8;
        if (rate <= most_speedup * model_.bandwidth) offer.bandwidth = bytes_per_second(std::ceil(rate));
    }
    if (const auto enough = throttle_for(limit); enough && dirty_rate_known) {
        offer.throttle_percent = std::min((*enough + 4) / 5 * 5, 99);
    }
    if (const auto duration = postcopy()) offer.postcopy = milliseconds(round_up(in_seconds(*duration), 2));
    return offer;
}

std::optional<Milliseconds> Forecast::switchover_limit(Milliseconds allowed, double margin) const {
    if (model_.basis == Basis::nothing || !(model_.bandwidth > 0) || allowed.count() <= 0) return std::nullopt;
    const double pause = plateau_bytes() / model_.bandwidth;
    if (pause > memory_share(allowed)) return std::nullopt;
    const double limit = std::ceil(1000.0 * (pause * std::max(1.0, margin) + model_.fixed_part)) / 1000.0;
    return std::clamp(milliseconds(limit), Milliseconds(1), allowed);
}

}  // namespace vmmi
