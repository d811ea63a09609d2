// SPDX-License-Identifier: Apache-2.0
#include "vmmi/passes.h"

#include "policy/numbers.h"

namespace vmmi {

using namespace policy;

namespace {

/// What QEMU leaves for the next pass: it ends one as soon as the rest would fit the downtime limit.
Bytes threshold(const Sample& sample) {
    constexpr Milliseconds default_limit{300};  // QEMU's own
    const Milliseconds limit = sample.downtime_limit.count() > 0 ? sample.downtime_limit : default_limit;
    return bytes(in_bytes_per_second(sample.bandwidth) * in_seconds(limit));
}

/// The first sample of a pass, as it would have been at its beginning. It comes late where nobody announced the pass:
/// what was sent beyond the rest of the pass before belongs to this one. At least that: where pages were compressed, or
/// a rest left over, it was more.
Sample at_the_boundary(const Sample& before, const Sample& first) {
    const Bytes sent = first.transferred - before.transferred;
    const Bytes late = sent - before.remaining;
    if (first.iteration - before.iteration != 1 || late.count == 0) return first;
    Sample sample = first;
    const double share = ratio(in_bytes(late), in_bytes(sent));
    sample.elapsed -= milliseconds(share * seconds_between(before.elapsed, first.elapsed));
    sample.remaining = std::min(first.total, first.remaining + late);
    sample.transferred = first.transferred - late;
    return sample;
}

}  // namespace

bool Passes::add(const Sample& sample, Milliseconds outage, Bytes outage_traffic) {
    if (sample.phase != Phase::precopy || sample.iteration <= 0 || sample.total.count == 0) return false;
    if (current_ && sample.iteration < current_->number) {  // what was seen so far belongs to another migration
        completed_.clear();
        current_.reset();
    }
    const bool began = !current_ || sample.iteration != current_->number;
    const Sample now = began && current_ ? at_the_boundary(last_, sample) : sample;
    if (current_) progress(now, outage, outage_traffic);
    if (began) {
        if (current_) complete(now);
        begin(now, outage, outage_traffic);
        // What was sent before the sample was sent in this pass.
        progress(sample, outage, outage_traffic);
    }
    current_->left_over = std::min(current_->left_over, sample.remaining);
    current_->throttle_percent = sample.throttle_percent.value_or(0);
    last_ = sample;
    return began;
}

void Passes::progress(const Sample& sample, Milliseconds outage, Bytes outage_traffic) {
    const double duration = seconds_between(current_->began, sample.elapsed);
    const double broken = std::min(duration, seconds_between(outage_before_, outage));
    current_->duration = milliseconds(duration);
    current_->outage = milliseconds(broken);
    current_->moved = sample.transferred - transferred_before_;
    const Bytes moved = current_->moved - (outage_traffic - outage_traffic_before_);
    current_->bandwidth = bytes_per_second(ratio(in_bytes(moved), duration - broken));
}

void Passes::complete(const Sample& next) {
    Pass pass = *current_;
    if (next.iteration - pass.number > 1) {
        pass.whole = false;
        pass.number = next.iteration - 1;
    }
    if (pass.whole) {
        // With compression more was moved than went over the wire; what was seen last and QEMU's rule are bounds, too.
        pass.left_over = std::min({pass.left_over, pass.to_move - pass.moved, threshold(last_)});
        pass.dirtied = next.remaining - pass.left_over;
        pass.dirty_rate = bytes_per_second(ratio(in_bytes(pass.dirtied), in_seconds(pass.duration)));
    } else {
        pass.left_over = std::min(next.remaining, threshold(next));
        pass.dirtied = next.remaining - pass.left_over;
        pass.dirty_rate = next.dirty_rate;
    }
    if (completed_.size() == most) completed_.erase(completed_.begin() + 1);
    completed_.push_back(pass);
}

void Passes::begin(const Sample& sample, Milliseconds outage, Bytes outage_traffic) {
    Pass pass;
    pass.number = sample.iteration;
    pass.began = sample.elapsed;
    pass.to_move = pass.left_over = sample.remaining;
    pass.throttle_percent = sample.throttle_percent.value_or(0);
    // A supervisor that comes late begins in the middle of a pass; how late it is in the first one, what was sent
    // tells.
    const bool from_the_first = sample.iteration == 1 && sample.transferred.count <= sample.total.count / 20;
    pass.whole = current_ || from_the_first || sample.trigger == Sample::Trigger::iteration;
    current_ = pass;
    transferred_before_ = sample.transferred;
    outage_before_ = outage;
    outage_traffic_before_ = outage_traffic;
}

}  // namespace vmmi
