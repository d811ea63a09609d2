// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "policy/fit.h"
#include "policy/numbers.h"
#include "vmmi/forecast.h"

namespace vmmi {

using namespace policy;

namespace {

using Basis = Forecast::Basis;

constexpr std::size_t window = 12;           // passes: what is older says little of the load now
constexpr double fading = 0.8;               // weight of a pass against the one after it
constexpr double weight_of_the_first = 0.5;  // at least: by far the longest, it alone tells W and d apart
constexpr double load_changed = 0.405;       // logarithm of 1.5: a pass off by such a factor
constexpr double poor_fit = 0.25;            // residual from which the load has no one curve
constexpr double usual_residual = 0.15;      // at which the confidence is halved
constexpr double bandwidth_seconds = 10.0;   // of traffic that make a bandwidth
constexpr double confidence_by_passes[] = {0.0, 0.3, 0.75, 0.9, 0.95};
constexpr double confidence_in_a_rate = 0.15;  // QEMU's, of a pass that was not seen
constexpr double of_a_window = 0.4;            // of what a curve that fits would have

/// The passes that the forecast is made of: the most recent ones, and the first.
std::vector<Pass> recent(const Passes& passes) {
    const std::vector<Pass>& all = passes.completed();
    std::vector<Pass> chosen(all.end() - static_cast<std::ptrdiff_t>(std::min(window, all.size())), all.end());
    if (all.size() > window) chosen.insert(chosen.begin(), all.front());
    return chosen;
}

std::optional<Point> point(const Pass& pass) {
    const double rate = in_bytes_per_second(pass.dirty_rate);
    const double seconds = rate > 0 ? in_bytes(pass.dirtied) / rate : in_seconds(pass.duration);
    if (!pass.whole && rate <= 0) return std::nullopt;
    const double share = 1.0 - std::clamp(pass.throttle_percent, 0, 99) / 100.0;
    if (seconds <= 0) return std::nullopt;
    // What the first pass leaves over may lie anywhere in the memory.
    const double left_over = pass.number == 1 ? 0.0 : in_bytes(pass.left_over);
    return Point{.seconds = seconds * share, .bytes = in_bytes(pass.dirtied), .left_over = left_over};
}

std::vector<Point> points(const std::vector<Pass>& passes) {
    std::vector<Point> result;
    double weight = 1;
    for (auto pass = passes.rbegin(); pass != passes.rend(); ++pass, weight *= fading) {
        std::optional<Point> next = point(*pass);
        if (!next) continue;
        next->weight = std::max(weight, pass->number == 1 ? weight_of_the_first : 0.0);
        result.push_back(*next);
    }
    return result;  // newest first
}

/// How far W and d can be told apart: durations have to differ, and where even the shortest pass was long enough for
/// all of the working set to be written, the rate may be any that is high enough.
double told_apart(const std::vector<Point>& points, const Curve& curve) {
    const auto [shortest, longest] = std::ranges::minmax(points, {}, &Point::seconds);
    constexpr double wide = 3.0;
    constexpr double saturating = 1.5;
    const double spread = std::min(1.0, std::log(longest.seconds / shortest.seconds) / std::log(wide));
    const double written = ratio(curve.dirty_rate * shortest.seconds, curve.working_set);
    return (0.5 + 0.5 * spread) * std::min(1.0, saturating / std::max(written, saturating));
}

/// Bandwidth on the wire: the passes that are seen best are the last ones.
void measure_bandwidth(Forecast::Model& model, const Passes& passes, const Sample& now, double cap) {
    double seconds = 0;
    double moved = 0;
    const auto count = [&](const Pass& pass) {
        const double healthy = seconds_between(pass.outage, pass.duration);
        seconds += healthy;
        moved += healthy * in_bytes_per_second(pass.bandwidth);
    };
    if (passes.current()) count(*passes.current());
    for (auto pass = passes.completed().rbegin(); pass != passes.completed().rend() && seconds < bandwidth_seconds;
         ++pass)
        count(*pass);
    const bool measured = seconds > 0 && moved > 0;
    model.bandwidth = measured ? moved / seconds : in_bytes_per_second(now.bandwidth);
    if (cap > 0) model.bandwidth = std::min(model.bandwidth, cap);
    model.bandwidth_confidence = !measured ? 0.2 : seconds < bandwidth_seconds ? 0.5 : 0.9;
    if (model.bandwidth <= 0) model.bandwidth_confidence = 0;
}

/// What a byte of memory costs on the wire. The first pass does not tell: zero pages are in it.
double wire_cost(const std::vector<Pass>& passes) {
    double moved = 0;
    double memory = 0;
    for (const Pass& pass : passes) {
        if (!pass.whole || pass.number == 1) continue;
        moved += in_bytes(pass.moved);
        memory += in_bytes(pass.to_move - pass.left_over);
    }
    return moved > 0 && memory > 0 ? std::clamp(moved / memory, 1e-3, 2.0) : 1.0;
}

/// The load has no curve: the quietest pass stands for it, so that its plateau is what was seen there, or less.
Curve quietest(const std::vector<Point>& points, const Forecast::Model& model, double most) {
    const auto dirty = [](const Point& point) { return point.bytes + point.left_over; };
    Point lowest = *std::ranges::min_element(points, {}, dirty);
    const double pass = ratio(model.wire_cost * dirty(lowest), model.bandwidth) * (1.0 - model.throttle);
    lowest.seconds = std::max(lowest.seconds, pass);
    return fit({lowest}, most);
}

void fit_working_set(Forecast::Model& model, const Passes& passes, const Sample& now) {
    const double most = in_bytes(now.total);
    const std::vector<Pass> chosen = recent(passes);
    const std::vector<Point> seen = points(chosen);
    model.wire_cost = wire_cost(chosen);
    Curve curve;
    if (seen.empty()) {
        const double rate = in_bytes_per_second(now.dirty_rate);
        const double bytes = in_bytes(now.remaining);
        if (now.iteration < 2 || rate <= 0 || bytes <= 0) return;
        model.basis = Basis::dirty_rate;
        model.confidence = confidence_in_a_rate;
        model.told_apart = 0.5;
        curve = fit({{.seconds = bytes / rate * (1.0 - model.throttle), .bytes = bytes}}, most);
    } else {
        curve = fit(seen, most);
        const double by_passes = confidence_by_passes[std::min(seen.size(), std::size(confidence_by_passes) - 1)];
        const double fits = 1.0 / (1.0 + std::pow(curve.residual / usual_residual, 2));
        model.basis = seen.size() == 1 ? Basis::dirty_rate : Basis::model;
        model.confidence = by_passes * fits;
        model.told_apart = told_apart(seen, curve);
        const std::vector<Point> before(seen.begin() + 1, seen.end());
        const bool jumped = before.size() >= 2 && std::abs(deviation(fit(before, most), seen.front())) > load_changed;
        if (jumped || curve.residual > poor_fit) {
            model.basis = Basis::window_minimum;
            model.confidence = of_a_window * by_passes;
            model.told_apart = 0.5;
            curve = quietest(seen, model, most);
        }
    }
    model.working_set = curve.working_set;
    model.dirty_rate = curve.dirty_rate;
}

}  // namespace

Forecaster::Forecaster(const Options& options) : options_(options), network_(options.network), stall_(options.stall) {}

bool Forecaster::add(const Sample& sample) {
    network_.add(sample);
    const bool began = passes_.add(sample, network_.outage(), network_.outage_traffic());
    if (!passes_.current()) return false;
    const Pass& current = *passes_.current();
    if (began && current.number > 1) stall_.boundary(current.to_move, current.began, network_.outage());

    Forecast::Model model = forecast_.model();
    model.throttle = std::clamp(sample.throttle_percent.value_or(0), 0, 99) / 100.0;
    model.remaining = in_bytes(sample.remaining);
    model.to_move = in_bytes(current.to_move);
    model.fixed_part = in_seconds(options_.fixed_part);
    measure_bandwidth(model, passes_, sample, in_bytes_per_second(network_.cap()));
    if (began) fit_working_set(model, passes_, sample);
    forecast_ = Forecast(model);
    return began;
}

}  // namespace vmmi
