// SPDX-License-Identifier: Apache-2.0
#include "simulator/memory.h"

#include <algorithm>
#include <numeric>

namespace vmmi::simulator {
namespace {

/// Before each page on the wire, QEMU sends its address and flags, 8 bytes; of a page of zeros, one more byte
/// (save_page_header and save_zero_page in migration/ram.c).
constexpr double page_header = 8;

double bytes(Bytes amount) {
    return static_cast<double>(amount.count);
}

}  // namespace

double rate_at(const Rate& rate, Instant now) {
    double found = 0;
    for (const Rate::Change& change : rate.changes())
        if (change.at <= now) found = static_cast<double>(change.rate.count);
    return found;
}

Instant change_after(const Rate& rate, Instant now) {
    for (const Rate::Change& change : rate.changes())
        if (change.at > now) return change.at;
    return never;
}

Memory::Memory(const Scenario& scenario) : scenario_(scenario) {
    double idle = bytes(scenario.guest.memory);
    const auto add = [&](double size, const WorkingSet* set, bool zero) {
        parts_.push_back({.size = size, .unsent = size, .found = size, .set = set, .zero = zero});
        idle -= size;
    };
    if (scenario.trace) {
        add(bytes(scenario.trace->points.front().remaining), nullptr, false);
        return;
    }
    add(bytes(scenario.zero_pages), nullptr, true);
    for (const WorkingSet& set : scenario.working_sets) add(bytes(set.size), &set, false);
    add(idle, nullptr, false);
}

double Memory::unsent() const {
    return std::accumulate(parts_.begin(), parts_.end(), 0.0,
                           [](double sum, const Part& part) { return sum + part.unsent; });
}

Memory::Travel Memory::travel(bool cached) const {
    constexpr double plain = (page_size + page_header) / page_size;
    double rewritten = 0;
    for (const Part& part : parts_)
        if (part.set != nullptr) rewritten += part.size;
    // The cache holds pages of all sets alike.
    const Bytes cache = cached && scenario_.features.xbzrle_cache ? *scenario_.features.xbzrle_cache : Bytes{};
    const double hits = rewritten > 0 ? std::min(1.0, bytes(cache) / rewritten) : 0;

    Travel sum;
    const double all = unsent();
    if (all <= 0) return {.wire = plain};
    for (const Part& part : parts_) {
        const double share = part.unsent / all;
        if (part.zero) {
            sum.wire += share * (page_header + 1) / page_size;
            sum.scan += share / static_cast<double>(scenario_.delays.zero_page_scan.count);
        } else if (part.set != nullptr && static_cast<double>(part.set->delta_bytes) < page_size) {
            const double delta = (static_cast<double>(part.set->delta_bytes) + page_header) / page_size;
            sum.wire += share * (hits * delta + (1 - hits) * plain);
        } else {
            sum.wire += share * plain;
        }
    }
    return sum;
}

void Memory::write(Instant from, Instant to, double share) {
    const double duration = seconds(to - from);
    for (Part& part : parts_) {
        if (part.set == nullptr) continue;
        const double written = rate_at(part.set->dirty_rate, from) * share * duration;
        // Writes to random pages hit clean ones less and less: dD/dt = d·(1 − D/W). That is the writable working set
        // of Clark et al., "Live Migration of Virtual Machines" (NSDI 2005), with uniform writes.
        if (part.set->order == WorkingSet::Order::random)
            part.dirty += (part.size - part.dirty) * -std::expm1(-written / part.size);
        else
            part.dirty = std::min(part.size, part.dirty + written);
    }
}

Instant Memory::next_change(Instant now) const {
    Instant next = never;
    for (const WorkingSet& set : scenario_.working_sets) next = std::min(next, change_after(set.dirty_rate, now));
    return next;
}

void Memory::send(double amount) {
    const double all = unsent();
    const double kept = amount < all ? 1 - amount / all : 0;
    for (Part& part : parts_) part.unsent *= kept;
}

double Memory::sync(Instant now) {
    if (scenario_.trace) {
        const double before = parts_.front().unsent;
        parts_.front().unsent = std::max(before, recorded(now));
        return parts_.front().unsent - before;
    }
    double found = 0;
    for (Part& part : parts_) {
        if (part.size <= 0) continue;
        const double fresh = Memory::fresh(part);
        part.unsent += fresh;
        part.found = part.unsent;
        part.dirty = 0;
        found += fresh;
    }
    return found;
}

/// What was written to and is not in the bitmap any more, or was not.
double Memory::fresh(const Part& part) {
    const double sent = part.found - part.unsent;
    // Random writes do not care which pages those are.
    if (part.set == nullptr || part.set->order == WorkingSet::Order::random)
        return part.dirty * (1 - part.unsent / part.size);
    // In a fixed order, those that the last look did not find come first, and then the ones that it found, sent or not.
    const double others = part.size - part.found;
    if (part.dirty <= others || part.found <= 0) return std::min(part.dirty, others);
    const double again = part.dirty - others;
    switch (part.set->first) {
        case WorkingSet::First::unsent:
            return others + std::max(0.0, again - part.unsent);
        case WorkingSet::First::sent:
            return others + std::min(again, sent);
        case WorkingSet::First::any:
            break;
    }
    return others + again * sent / part.found;
}

double Memory::recorded(Instant now) const {
    const std::vector<Trace::Point>& points = scenario_.trace->points;
    const auto next = std::ranges::find_if(points, [&](const Trace::Point& point) { return Instant(point.at) > now; });
    if (next == points.begin()) return bytes(points.front().remaining);
    const auto last = std::prev(next);
    if (next == points.end()) return bytes(last->remaining);
    const double share = seconds(now - last->at) / seconds(next->at - last->at);
    return std::lerp(bytes(last->remaining), bytes(next->remaining), share);
}

double Memory::missing_rate(const Part& part, Instant now) const {
    return part.set == nullptr || part.size <= 0 ? 0 : rate_at(part.set->dirty_rate, now) * part.unsent / part.size;
}

double Memory::touches_of_missing(Instant now) const {
    double sum = 0;
    for (const Part& part : parts_) sum += missing_rate(part, now);
    return sum;
}

void Memory::fetch(Instant now, double amount) {
    const double all = touches_of_missing(now);
    if (all <= 0) return;
    for (Part& part : parts_) part.unsent = std::max(0.0, part.unsent - amount * missing_rate(part, now) / all);
}

}  // namespace vmmi::simulator
