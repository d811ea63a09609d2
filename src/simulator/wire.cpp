// SPDX-License-Identifier: Apache-2.0
#include "simulator/wire.h"

#include <algorithm>
#include <limits>

#include "simulator/memory.h"

namespace vmmi::simulator {
namespace {

constexpr double segment = 1448;  // TCP's payload in an Ethernet frame of 1500 bytes, with timestamps

double stream_limit(const Link& link) {
    double limit = std::numeric_limits<double>::infinity();
    if (link.stream_limit.count > 0) limit = static_cast<double>(link.stream_limit.count);
    if (link.loss > 0) {
        const double round_trip = 2 * std::chrono::duration<double>(link.latency).count();
        limit = std::min(limit, segment / round_trip * std::sqrt(1.5 / link.loss));
    }
    return limit;
}

/// A number from 0 to 1 that depends on seed and place alone: splitmix64.
double random_share(std::uint64_t seed, std::uint64_t place) {
    std::uint64_t x = seed * 0x9e3779b97f4a7c15U + (place + 1) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return static_cast<double>((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

}  // namespace

Wire::Wire(const Scenario& scenario)
    : link_(scenario.link),
      rate_(scenario.trace ? scenario.trace->bandwidth : scenario.link.bandwidth),
      latency_(std::chrono::duration<double>(scenario.link.latency).count()),
      streams_(stream_limit(scenario.link) * scenario.features.multifd_channels) {}

double Wire::bandwidth(Instant now) const {
    double rate = rate_at(rate_, now);
    if (link_.noise > 0)
        rate *= 1 + link_.noise * (2 * random_share(link_.seed, static_cast<std::uint64_t>(now / window)) - 1);
    return std::min(rate, streams_);
}

Instant Wire::next_change(Instant now) const {
    const Instant change = change_after(rate_, now);
    return link_.noise > 0 ? std::min(change, (now / window + 1) * window) : change;
}

}  // namespace vmmi::simulator
