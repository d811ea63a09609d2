// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "vmmi/postcopy.h"

namespace vmmi {
namespace {

// Shares of the most that was dirty.
constexpr std::uint64_t turn_percent = 10;  ///< less is no turn
constexpr std::uint64_t rise_percent = 5;   ///< less is what is written between two looks of QEMU
// Shares of the longest wait.
constexpr int until_turn = 4;
constexpr int until_look = 24;

Bytes percent_of(Bytes amount, std::uint64_t percent) {
    return {amount.count / 100 * percent};
}

}  // namespace

bool LowMoment::has_come(const Sample& sample) {
    if (!sample.dirty) return true;
    const Bytes dirty = *sample.dirty;
    if (!since_) {
        since_ = sample.elapsed;
        least_ = dirty;
    }
    least_ = std::min(least_, dirty);
    if (dirty >= most_) most_ = least_since_ = dirty;
    least_since_ = std::min(least_since_, dirty);
    const Milliseconds waited = sample.elapsed - *since_;
    if (waited >= longest()) return true;
    if (most_ - least_ < percent_of(most_, turn_percent)) return waited >= longest() / until_turn;
    return most_ - least_since_ >= percent_of(most_, turn_percent) &&
           dirty - least_since_ >= percent_of(most_, rise_percent);
}

Milliseconds LowMoment::longest() const {
    return forecast_.time_to_send(most_).value_or(Milliseconds(0));
}

Milliseconds LowMoment::interval() const {
    return longest() / until_look;
}

}  // namespace vmmi
