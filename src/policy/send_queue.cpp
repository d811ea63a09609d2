// SPDX-License-Identifier: Apache-2.0
#include "vmmi/send_queue.h"

#include <fmt/format.h>

#include "policy/numbers.h"

namespace vmmi {

using namespace policy;

namespace {

/// Of a pass, before it says what the link takes, and not how its queue fills.
constexpr Milliseconds a_measure{1'000};
/// Of a pass, before it is known for a long one: under xbzrle, all of one may take no longer.
constexpr Milliseconds into_the_next{150};
/// With the cap, where short passes follow each other.
constexpr Milliseconds longest{1'000};
/// Of the migration's own cap: where the link takes more of it, there is no queue.
constexpr double as_capped = 0.9;

}  // namespace

std::optional<Action> SendQueue::decide(const Sample& sample) {
    wait_.reset();
    if (done_ || sample.phase != Phase::precopy || sample.iteration < 2) return std::nullopt;
    if (!begin_ || begin_->iteration != sample.iteration) begin_ = sample;
    return drained_ ? lift(sample) : drain(sample);
}

std::optional<Action> SendQueue::drain(const Sample& sample) {
    const double time = seconds_between(begin_->elapsed, sample.elapsed);
    if (time < in_seconds(a_measure) || sample.transferred < begin_->transferred) return std::nullopt;
    rate_ = in_bytes(sample.transferred - begin_->transferred) / time;
    const BytesPerSecond cap = mebibytes_per_second(saturated(share * rate_ / mebibyte));
    if (cap.count == 0 || (cap_.count > 0 && rate_ >= as_capped * in_bytes_per_second(cap_))) return std::nullopt;
    const Milliseconds pause = milliseconds(in_bytes(queue) / rate_);
    if (pause <= tolerated_) return std::nullopt;
    // As much of the pass as the link takes while the queue drains: QEMU tells what is left to a tenth of a second, and
    // a pass that ended before is no use.
    const double last = in_bytes(queue) * rate_ / (rate_ - in_bytes_per_second(cap));
    const double remaining = in_bytes(sample.remaining);
    if (remaining > last) {
        wait_ = milliseconds((remaining - last) / rate_);
        return std::nullopt;
    }
    drained_ = sample;
    return Action{
        SetBandwidth{cap},
        fmt::format("pass {} ends in {} ms; what TCP has accepted ahead of the link, {:.1f} MiB/s, would be some {} ms "
                    "of the pause",
                    sample.iteration, milliseconds(remaining / rate_).count(), rate_ / mebibyte, pause.count())};
}

std::optional<Action> SendQueue::lift(const Sample& sample) {
    if (sample.iteration == drained_->iteration) return std::nullopt;
    const Milliseconds into = milliseconds(seconds_between(begin_->elapsed, sample.elapsed));
    if (into < into_the_next) {
        wait_ = into_the_next - into;
        return std::nullopt;
    }
    const Milliseconds left = milliseconds(in_bytes(sample.remaining) / rate_);
    const double since = seconds_between(drained_->elapsed, sample.elapsed);
    if (left < into_the_next && since < in_seconds(longest)) return std::nullopt;
    done_ = true;
    return Action{SetBandwidth{cap_},
                  fmt::format("pass {} is not the last: {} ms are left of it", sample.iteration, left.count())};
}

}  // namespace vmmi
