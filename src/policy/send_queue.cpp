// SPDX-License-Identifier: Apache-2.0
#include "vmmi/send_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace vmmi {
namespace {

/// Of a pass, before it says what the link takes, and not how its queue fills.
constexpr Milliseconds a_measure{1'000};
/// Of a pass, before it is known for a long one: under xbzrle, all of one may take no longer.
constexpr Milliseconds into_the_next{150};
/// With the cap, where short passes follow each other.
constexpr Milliseconds longest{1'000};
/// Of the migration's own cap: where the link takes more of it, there is no queue.
constexpr double as_capped = 0.9;

double per_second(Bytes bytes, Milliseconds time) {
    return 1000.0 * static_cast<double>(bytes.count) / static_cast<double>(time.count());
}

Milliseconds time_for(double bytes, double rate) {
    constexpr double a_day = 86'400'000;  // and whatever is beyond
    return Milliseconds(std::llround(std::min(a_day, 1000 * bytes / rate)));
}

}  // namespace

std::optional<Action> SendQueue::decide(const Sample& sample) {
    wait_.reset();
    if (done_ || sample.phase != Phase::precopy || sample.iteration < 2) return std::nullopt;
    if (!begin_ || begin_->iteration != sample.iteration) begin_ = sample;
    return drained_ ? lift(sample) : drain(sample);
}

std::optional<Action> SendQueue::drain(const Sample& sample) {
    const Milliseconds time = sample.elapsed - begin_->elapsed;
    if (time < a_measure || sample.transferred < begin_->transferred) return std::nullopt;
    rate_ = per_second(sample.transferred - begin_->transferred, time);
    const auto cap = mebibytes_per_second(static_cast<std::uint64_t>(share * rate_) >> 20);
    if (cap.count == 0 || (cap_.count > 0 && rate_ >= as_capped * static_cast<double>(cap_.count))) return std::nullopt;
    const auto waiting = static_cast<double>(queue.count);
    const Milliseconds pause = time_for(waiting, rate_);
    if (pause <= tolerated_) return std::nullopt;
    // As much of the pass as the link takes while the queue drains: QEMU tells what is left to a tenth of a second, and
    // a pass that ended before is no use.
    const double last = waiting * rate_ / (rate_ - static_cast<double>(cap.count));
    const auto remaining = static_cast<double>(sample.remaining.count);
    if (remaining > last) {
        wait_ = time_for(remaining - last, rate_);
        return std::nullopt;
    }
    drained_ = sample.elapsed;
    pass_ = sample.iteration;
    return Action{SetBandwidth{cap},
                  fmt::format("pass {} ends in {} ms; what TCP has accepted ahead of the link, {:.1f} MiB/s, would be "
                              "some {} ms of the pause",
                              sample.iteration, time_for(remaining, rate_).count(), rate_ / (1 << 20), pause.count())};
}

std::optional<Action> SendQueue::lift(const Sample& sample) {
    const Milliseconds into = sample.elapsed - begin_->elapsed;
    if (sample.iteration == pass_ || into < into_the_next) {
        if (sample.iteration != pass_) wait_ = into_the_next - std::clamp(into, Milliseconds(0), into_the_next);
        return std::nullopt;
    }
    const Milliseconds left = time_for(static_cast<double>(sample.remaining.count), rate_);
    if (left < into_the_next && sample.elapsed - *drained_ < longest) return std::nullopt;
    done_ = true;
    return Action{SetBandwidth{cap_},
                  fmt::format("pass {} is not the last: {} ms are left of it", sample.iteration, left.count())};
}

}  // namespace vmmi
