// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>

#include "vmmi/units.h"

namespace vmmi::simulator {

/// Virtual time since the migrate call. A whole number, so that two events are at the same time or not.
using Instant = std::chrono::nanoseconds;

constexpr Instant never = Instant::max();

inline double seconds(Instant time) {
    return std::chrono::duration<double>(time).count();
}
/// Rounded up: when it has come, what was waited for has happened. Cut at 30 years, so that sums do not overflow.
inline Instant instant(double seconds) {
    constexpr double most = 1e9;
    return Instant(static_cast<std::int64_t>(std::ceil(std::min(seconds, most) * 1e9)));
}
inline Milliseconds whole_milliseconds(Instant time) {
    return std::chrono::round<Milliseconds>(time);
}

}  // namespace vmmi::simulator
