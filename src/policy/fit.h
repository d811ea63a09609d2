// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

namespace vmmi::policy {

/// What a pass says of the working set: in so many seconds of guest time the guest dirtied so many unique bytes, of
/// those that were not dirty anyway. Guest time is what auto-converge leaves: seconds × (1 − throttle).
struct Point {
    double seconds = 0;
    double bytes = 0;
    double left_over = 0;  ///< bytes that the pass did not move: dirty all the time, whether rewritten or not
    double weight = 1;
};

/// f(T) = W·(1 − exp(−d·T/W)).
struct Curve {
    double working_set = 0;  ///< W, bytes
    double dirty_rate = 0;   ///< d, bytes a second of guest time
    double residual = 0;     ///< of the points, relative, root of the mean square

    double operator()(double seconds) const;
    /// What the pass of that point should have dirtied: (W − left over)·(1 − exp(−d·T/W)).
    double at(const Point& point) const;
};

/// The curve of least relative squares, with a working set of at most `most` bytes. Where the points do not tell W and
/// d apart, such as one point alone or many of one duration, it is the curve whose bend lies at their durations: half
/// way between a guest that rewrites the same pages all the time and one that never writes a page twice.
Curve fit(const std::vector<Point>& points, double most);

/// By how much a point lies off the curve: the logarithm of the ratio. A mebibyte more or less is nothing.
double deviation(const Curve& curve, const Point& point);

}  // namespace vmmi::policy
