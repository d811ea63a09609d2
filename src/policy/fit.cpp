// SPDX-License-Identifier: Apache-2.0
#include "policy/fit.h"

#include "policy/numbers.h"

namespace vmmi::policy {
namespace {

/// Counts for nothing beside what is measured with an error of one per cent, and decides where nothing else does.
constexpr double weight_of_the_prior = 1e-4;
/// Bends further out than so many of the longest duration are straight lines, further in of the shortest are steps.
constexpr double range = 30.0;
constexpr int grid = 60;
constexpr int refinements = 30;

struct Candidate {
    Curve curve;
    double cost = 0;
};

/// With the bend at `bend` seconds, W = d·bend, what is dirtied is linear in W: least squares have a closed form.
Candidate candidate(const std::vector<Point>& points, double bend, double middle, double most) {
    double xx = 0;
    double xy = 0;
    double weights = 0;
    for (const Point& point : points) {
        const double scale = 1.0 / (point.bytes + mebibyte);
        const double share = -std::expm1(-point.seconds / bend);
        xx += point.weight * share * share * scale * scale;
        xy += point.weight * share * (point.bytes + share * point.left_over) * scale * scale;
        weights += point.weight;
    }
    Candidate result;
    result.curve.working_set = ratio(xy, xx);
    result.curve.dirty_rate = result.curve.working_set / bend;
    result.curve.working_set = std::min(result.curve.working_set, most);
    double squares = 0;
    for (const Point& point : points) {
        const double off = (result.curve.at(point) - point.bytes) / (point.bytes + mebibyte);
        squares += point.weight * off * off;
    }
    squares = ratio(squares, weights);
    result.curve.residual = std::sqrt(squares);
    const double pull = std::log(bend / middle);
    result.cost = squares + weight_of_the_prior * pull * pull;
    return result;
}

double typical_duration(const std::vector<Point>& points) {
    double sum = 0;
    double weights = 0;
    for (const Point& point : points) {
        const double weight = point.weight * point.bytes / (point.bytes + mebibyte);
        sum += weight * std::log(point.seconds);
        weights += weight;
    }
    return std::exp(ratio(sum, weights));
}

}  // namespace

double Curve::operator()(double seconds) const {
    return -working_set * std::expm1(-ratio(dirty_rate * seconds, working_set));
}

double Curve::at(const Point& point) const {
    return (*this)(point.seconds) * (1.0 - std::min(1.0, ratio(point.left_over, working_set)));
}

Curve fit(const std::vector<Point>& points, double most) {
    if (points.empty()) return {};
    const double middle = typical_duration(points);
    const auto at = [&](double logarithm) { return candidate(points, std::exp(logarithm), middle, most); };

    const auto [shortest, longest] = std::ranges::minmax(points, {}, &Point::seconds);
    const double first = std::log(shortest.seconds / range);
    const double step = (std::log(longest.seconds * range) - first) / grid;
    double best = first;
    double cost = at(first).cost;
    for (int i = 1; i <= grid; ++i) {
        const double here = first + i * step;
        if (const double other = at(here).cost; other < cost) {
            cost = other;
            best = here;
        }
    }
    // Between its neighbours on the grid the minimum is the only one: halve towards it by the golden ratio.
    constexpr double golden = 0.6180339887498949;
    double low = best - step;
    double high = best + step;
    for (int i = 0; i < refinements; ++i) {
        const double left = high - golden * (high - low);
        const double right = low + golden * (high - low);
        if (at(left).cost < at(right).cost)
            high = right;
        else
            low = left;
    }
    return at((low + high) / 2).curve;
}

double deviation(const Curve& curve, const Point& point) {
    return std::log((point.bytes + mebibyte) / (curve.at(point) + mebibyte));
}

}  // namespace vmmi::policy
