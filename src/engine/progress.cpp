// SPDX-License-Identifier: Apache-2.0
#include "engine/progress.h"

#include <algorithm>

namespace vmmi::engine {
namespace {

/// libvirt and QEMU need some time behind the last pass, until the migrate call returns.
constexpr Milliseconds aftermath{1'000};
/// In force where nobody says: QEMU's own.
constexpr Milliseconds usual_limit{300};
constexpr Milliseconds any_limit = Milliseconds::max() / 2;

double number(Bytes amount) {
    return static_cast<double>(amount.count);
}

bool in_first_pass(const Sample& sample) {
    return sample.phase == Phase::precopy && sample.iteration <= 1;
}

/// Of a phase in which nothing is sent again: the guest stands still, or writes at the destination. What the passes
/// taught is of no use in it: nothing is compressed, and post-copy may have a cap of its own.
Reach last_stretch(const Sample& sample) {
    Forecast::Model model;
    model.basis = Forecast::Basis::dirty_rate;  // of zero
    model.bandwidth = static_cast<double>(sample.bandwidth.count);
    model.remaining = model.to_move = number(sample.remaining);
    return Forecast(model).reach(any_limit);
}

}  // namespace

void Progress::update(const Sample& sample) {
    const bool storage = sample.total.count == 0;
    if (storage && sample.disk_total.count == 0) return;  // QEMU has not begun
    forecaster_.add(sample);
    const Reach reach = sample.phase > Phase::precopy ? last_stretch(sample) : passes_to_come(sample);

    const double disks_left = number(sample.disk_remaining);
    double done = number(sample.disk_total - sample.disk_remaining);
    std::optional<double> left;
    if (storage) {
        left = (1 + share_of_later_passes) * number(expected_);
    } else {
        done += memory_done(sample);
        if (in_first_pass(sample))
            left = number(sample.remaining) + share_of_later_passes * number(sample.total);
        else if (sample.phase > Phase::precopy)
            left = number(sample.remaining);
        else if (!reach.never())
            left = number(reach.to_send);
    }
    if (left) {
        const double all = done + disks_left + *left;
        // Bounded before it becomes an integer: what libvirt tells may be absurd.
        const double percent = all > 0 ? std::clamp(100.0 * done / all, 0.0, 99.0) : 0;
        percent_ = std::max(percent_, static_cast<int>(percent));
    }

    eta_.reset();
    // No statistics tell how fast disks are copied, and nobody when a link recovers.
    const bool broken =
        sample.phase == Phase::postcopy_failed || forecaster_.network().state() == NetworkHealth::State::broken;
    if (storage || broken || reach.never()) return;
    eta_ = Eta{.expected = reach.expected, .earliest = reach.low, .latest = reach.high};
    if (eta_->latest) *eta_->latest += aftermath;
}

Reach Progress::passes_to_come(const Sample& sample) const {
    Forecast::Model model = forecaster_.forecast().model();
    const std::optional<Pass>& pass = forecaster_.passes().current();
    if (in_first_pass(sample) && pass) {
        // Zero pages cost next to nothing; there are taken to be as many in what is left as there were so far.
        const double moved = number(pass->to_move - sample.remaining);
        if (moved > 0) model.wire_cost = std::clamp(number(pass->moved) / moved, 1e-3, 1.0);
    }
    return Forecast(model).reach(sample.downtime_limit.count() > 0 ? sample.downtime_limit : usual_limit);
}

/// The first pass is measured by what is left, since zero pages cost no traffic; the later ones by what was sent.
double Progress::memory_done(const Sample& sample) {
    if (in_first_pass(sample)) {
        sent_in_first_pass_ = sample.transferred + sample.remaining;  // until its end, unless zero pages follow
        return number(sample.total - sample.remaining);
    }
    // Of a migration that was taken over later, it is not known what the first pass sent.
    if (!sent_in_first_pass_) return number(std::max(sample.total, sample.transferred));
    return number(sample.total) + number(sample.transferred - *sent_in_first_pass_);
}

}  // namespace vmmi::engine
