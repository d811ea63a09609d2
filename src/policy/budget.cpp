// SPDX-License-Identifier: Apache-2.0
#include "vmmi/budget.h"

#include "policy/numbers.h"

namespace vmmi {

using namespace policy;

std::optional<Milliseconds> ceiling(Bytes memory, int seconds_per_gibibyte) {
    if (seconds_per_gibibyte <= 0) return std::nullopt;
    return milliseconds(std::max(1.0, in_gibibytes(memory)) * seconds_per_gibibyte);
}

std::optional<Milliseconds> TimeBudget::left(Milliseconds elapsed, Milliseconds outage) const {
    if (!allowed) return std::nullopt;
    const double spent = in_seconds(elapsed) - (count_outages ? 0.0 : in_seconds(outage));
    return milliseconds(in_seconds(*allowed) - std::max(0.0, spent));
}

void LostWork::add(const Sample& sample) {
    // The first samples of post-copy may still be those of the last pass before it.
    if (sample.phase == Phase::postcopy) {
        const bool began = !last_ || last_->phase < Phase::postcopy;
        missing_ = std::max(began ? 0.0 : missing_, in_bytes(sample.remaining));
    }
    if (last_) {
        const double seconds = seconds_between(last_->elapsed, sample.elapsed);
        switch (last_->phase) {
            case Phase::precopy:
                throttle_ += seconds * std::clamp(last_->throttle_percent.value_or(0), 0, 100) / 100.0;
                break;
            case Phase::switchover:
                pause_ += seconds;
                break;
            case Phase::postcopy:
                postcopy_ += seconds * std::min(1.0, ratio(in_bytes(last_->remaining), missing_));
                break;
            case Phase::postcopy_failed:
                postcopy_ += seconds;
                break;
            default:
                break;
        }
    }
    last_ = sample;
}

Milliseconds LostWork::throttle() const {
    return milliseconds(throttle_);
}

Milliseconds LostWork::pause() const {
    return milliseconds(pause_);
}

Milliseconds LostWork::postcopy() const {
    return milliseconds(postcopy_);
}

Milliseconds LostWork::total() const {
    return milliseconds(throttle_ + pause_ + postcopy_);
}

}  // namespace vmmi
