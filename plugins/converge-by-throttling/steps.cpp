// SPDX-License-Identifier: Apache-2.0
#include "steps.h"

#include <algorithm>

namespace throttling {

int close_to(int maximum) {
    return maximum - std::min(5, maximum / 8);
}

Steps steps_to(int maximum, std::optional<int> initial, std::optional<int> increment) {
    constexpr int most_steps = 10;
    Steps steps;
    steps.initial = initial.value_or(close_to(maximum));
    const int distance = maximum - steps.initial;
    steps.increment = std::max(1, (distance + most_steps - 1) / most_steps);
    while (distance % steps.increment != 0) ++steps.increment;
    steps.increment = increment.value_or(steps.increment);
    return steps;
}

int Steps::after(int percent) const {
    constexpr int usual = 10;  // cpu-throttle-increment
    if (percent <= 0) return initial;
    const bool own = percent >= initial && (percent - initial) % increment == 0;
    return percent + (own ? increment : std::max(usual, increment));
}

}  // namespace throttling
