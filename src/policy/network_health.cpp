// SPDX-License-Identifier: Apache-2.0
#include "vmmi/network_health.h"

#include "policy/numbers.h"

namespace vmmi {

using namespace policy;

namespace {

constexpr double shortest_window = 1.0;  // seconds: samples come in bursts, and a link is bursty, too
constexpr double pass_allowance =
    1.0;  // seconds in which QEMU reads the dirty bitmap; of a terabyte it takes about so long
constexpr double least_evidence = 0.5;   // seconds of a window that remain after that
constexpr double tiny = 0.1;             // seconds of traffic
constexpr double memory = 300.0;         // seconds over which the average is taken …
constexpr double broken_memory = 600.0;  // … and how slowly it gets used to a link that has collapsed

bool judged(const Sample& sample) {
    return sample.phase == Phase::postcopy ||
           (sample.phase == Phase::precopy && sample.iteration > 0 && sample.total.count > 0);
}

}  // namespace

void NetworkHealth::add(const Sample& sample) {
    const bool from_the_beginning = !judged(sample) || !last_ || sample.elapsed < last_->elapsed;
    if (from_the_beginning) {
        window_ = {};
    } else {
        window_.seconds += seconds_between(last_->elapsed, sample.elapsed);
        window_.wire += in_bytes(sample.transferred - last_->transferred);
        if (sample.iteration == last_->iteration && sample.phase == last_->phase)
            window_.drained += in_bytes(last_->remaining - sample.remaining);
        else
            window_.boundaries += std::max(1.0, static_cast<double>(sample.iteration) - last_->iteration);
    }
    last_ = judged(sample) ? std::optional(sample) : std::nullopt;
    if (window_.seconds < shortest_window) return;
    judge();
    window_ = {};
}

void NetworkHealth::limit(BytesPerSecond cap) {
    cap_ = cap;
    window_ = {};
}

void NetworkHealth::judge() {
    const double cap = in_bytes_per_second(cap_);
    const double reference = cap > 0 ? std::min(average_, cap) : average_;
    const double time = window_.seconds - pass_allowance * window_.boundaries;
    rate_ = window_.wire / window_.seconds;
    // A moment's work is no ground to call a link slow; one that was slow before stays so.
    const bool enough = slow_ > 0 || in_bytes(last_->remaining) > tiny * reference;
    const bool evidence = time >= least_evidence && enough;
    // A link over which passes come and go is not dead, and whether it is slow, nothing tells any more.
    unjudged_ = !evidence && window_.boundaries > 0 ? unjudged_ + window_.seconds : 0;
    if (unjudged_ >= in_seconds(options_.patience)) {
        slow_ = dead_ = dead_traffic_ = 0;
        state_ = State::healthy;
    } else if (reference > 0 && evidence) {
        const double share = std::max(window_.wire, window_.drained) / time / reference;
        slow_ = share < options_.degraded_below ? slow_ + window_.seconds : 0;
        const bool dead = share < options_.broken_below;
        dead_ = dead ? dead_ + window_.seconds : 0;
        dead_traffic_ = dead ? dead_traffic_ + window_.wire : 0;
        const double patience = in_seconds(options_.patience);
        if (dead && state_ == State::broken) {
            outage_ += window_.seconds;
            outage_traffic_ += window_.wire;
        } else if (dead && dead_ >= patience) {
            outage_ += dead_;
            outage_traffic_ += dead_traffic_;
            state_ = State::broken;
        } else if (slow_ == 0) {
            state_ = State::healthy;
        } else if (slow_ >= patience || state_ == State::broken) {
            state_ = State::degraded;
        }
    }
    healthy_ = slow_ > 0 ? 0 : healthy_ + window_.seconds;
    learn();
}

/// Only from what went over the wire as fast as it could: neither zero or compressed pages nor passes of a moment tell
/// what the link takes, and a dead link tells nothing. One that is slow even with what compression saves is told of by
/// all that moves, or it would stay slow for ever.
void NetworkHealth::learn() {
    const bool compressed = 2 * window_.wire < window_.drained;
    const bool telling =
        window_.wire > 0 && (!compressed || slow_ > 0) && 2 * pass_allowance * window_.boundaries <= window_.seconds;
    if (!telling) return;
    const double weight =
        dead_ > 0 ? window_.seconds / std::max(broken_memory, window_.seconds)
                  : window_.seconds / std::min(learnt_ + window_.seconds, std::max(memory, window_.seconds));
    const double moved = compressed ? window_.drained / window_.seconds : rate_;
    average_ += (moved - average_) * weight;
    learnt_ += window_.seconds;
}

Milliseconds NetworkHealth::outage() const {
    return milliseconds(outage_);
}

Bytes NetworkHealth::outage_traffic() const {
    return bytes(outage_traffic_);
}

Milliseconds NetworkHealth::healthy_for() const {
    return milliseconds(state_ == State::healthy ? healthy_ : 0.0);
}

BytesPerSecond NetworkHealth::average() const {
    return bytes_per_second(average_);
}

BytesPerSecond NetworkHealth::rate() const {
    return bytes_per_second(rate_);
}

const char* to_string(NetworkHealth::State state) {
    switch (state) {
        case NetworkHealth::State::healthy:
            return "healthy";
        case NetworkHealth::State::degraded:
            return "degraded";
        case NetworkHealth::State::broken:
            return "broken";
    }
    return "";
}

}  // namespace vmmi
