// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rapidcheck.h>

#include <string>
#include <variant>
#include <vector>

#include "simulator/policies.h"

namespace vmmi::simulator::test {

/// What a policy's configuration promises to the guest's owner.
struct Promise {
    Milliseconds highest_downtime_limit;
    /// The migration is over by then, or has been told to end. Absent: it may go on for ever.
    std::optional<Milliseconds> ceiling{};
};

/// For the links and calls that may be in the way once a policy has decided to end it.
constexpr Milliseconds slack{180'000};

/// When the policy saw that it had begun.
inline std::optional<Milliseconds> postcopy_seen(const Report& report) {
    for (const Sample& sample : report.samples)
        if (sample.phase == Phase::postcopy || sample.phase == Phase::postcopy_failed) return sample.elapsed;
    return std::nullopt;
}

/// What is broken of a promise, and of what holds for every policy; nothing if all is well.
inline std::vector<std::string> broken(const Report& report, const Promise& promise) {
    std::vector<std::string> found;
    const auto require = [&](bool holds, const char* otherwise) {
        if (!holds) found.emplace_back(otherwise);
    };
    require(report.highest_downtime_limit <= promise.highest_downtime_limit, "a downtime limit above the highest");
    if (promise.ceiling) {
        require(report.ending != Report::Ending::unfinished, "no end");
        // Post-copy takes what the link takes, and there is no way back.
        require(postcopy_seen(report) || report.total_time <= *promise.ceiling + slack, "an end too late");
    }
    const std::optional<Milliseconds> postcopy = postcopy_seen(report);
    bool aborted = false;
    for (const ActionTaken& taken : report.actions) {
        const auto& what = taken.action.what;
        require(!taken.action.reason.empty(), "an action without a reason");
        require(!aborted, "an action after the abort");
        const bool guards = std::holds_alternative<ResumePostCopy>(what) || std::holds_alternative<SetBandwidth>(what);
        // Until it is seen to have begun, it may be asked for again: where the link is broken, nothing follows.
        require(!postcopy || taken.at < *postcopy || guards || std::holds_alternative<Wait>(what),
                "an action after post-copy began");
        aborted = aborted || std::holds_alternative<AbortMigration>(what);
    }
    require(report.ending != Report::Ending::completed || report.downtime, "a success without a downtime");
    return found;
}

inline Rate any_rate(std::uint64_t least, std::uint64_t most) {
    const auto rate = [&] { return mebibytes_per_second(*rc::gen::inRange(least, most)); };
    if (*rc::gen::inRange(0, 3) > 0) return rate();
    const Milliseconds first(*rc::gen::inRange(1, 60'000));
    const Milliseconds second = first + Milliseconds(*rc::gen::inRange(1, 60'000));
    return {
        {Milliseconds(0), rate()}, {first, *rc::gen::arbitrary<bool>() ? rate() : BytesPerSecond{}}, {second, rate()}};
}

/// Any guest, load and link, with faults now and then.
inline Scenario any_scenario() {
    Scenario scenario;
    std::uint64_t left = *rc::gen::inRange<std::uint64_t>(64, 16 * 1024);
    scenario.guest.memory = mebibytes(left);
    const auto take = [&] {
        const std::uint64_t part = *rc::gen::inRange<std::uint64_t>(1, left);
        left -= part;
        return mebibytes(part);
    };
    if (*rc::gen::arbitrary<bool>()) scenario.zero_pages = take();
    for (int sets = *rc::gen::inRange(0, 4); sets > 0 && left > 1; --sets) {
        scenario.working_sets.push_back(
            {.size = take(),
             .dirty_rate = any_rate(0, 2000),
             .order = *rc::gen::element(WorkingSet::Order::random, WorkingSet::Order::sequential),
             .delta_bytes = *rc::gen::inRange<std::uint64_t>(50, 5000)});
    }
    scenario.link.bandwidth = any_rate(5, 2000);
    scenario.link.noise = *rc::gen::element(0.0, 0.0, 0.2);
    scenario.link.seed = *rc::gen::arbitrary<std::uint64_t>();
    if (*rc::gen::arbitrary<bool>()) scenario.features.auto_converge.emplace();
    if (*rc::gen::inRange(0, 4) == 0) scenario.features.xbzrle_cache = mebibytes(64);
    scenario.features.postcopy = *rc::gen::arbitrary<bool>();
    scenario.features.postcopy_looks = *rc::gen::arbitrary<bool>();
    if (*rc::gen::inRange(0, 4) == 0) {
        using Kind = Fault::Kind;
        scenario.faults = {
            {.kind = *rc::gen::element(Kind::stream_breaks, Kind::guest_powers_off, Kind::guest_crashes,
                                       Kind::destination_dies, Kind::source_daemon_lost, Kind::calls_fail),
             .at = Milliseconds(*rc::gen::inRange(0, 120'000)),
             .lasting = Milliseconds(*rc::gen::inRange(0, 60'000))}};
    }
    return scenario;
}

/// The switch to post-copy that took effect.
inline std::optional<ActionTaken> switch_of(const Report& report) {
    for (const ActionTaken& taken : report.actions)
        if (std::holds_alternative<StartPostCopy>(taken.action.what) && !taken.refused) return taken;
    return std::nullopt;
}

}  // namespace vmmi::simulator::test
