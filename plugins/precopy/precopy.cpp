// SPDX-License-Identifier: Apache-2.0
#include "precopy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace precopy {

using namespace vmmi;

namespace {

double mebi(std::uint64_t count) {
    return static_cast<double>(count) / (1 << 20);
}

std::vector<Key> keys() {
    constexpr std::int64_t fastest = 8'796'093'022'207;   // what libvirt can express
    constexpr std::int64_t longest_downtime = 2'000'000;  // what QEMU accepts
    return {
        integer_key("bandwidthMiBPerSecond", 0, {0, fastest},
                    "cap on the migration's traffic while the guest runs; 0 leaves libvirt's own limit"),
        object_key("downtime",
                   {integer_key("initialMs", 100, {1, longest_downtime}, "downtime limit at the start"),
                    integer_key("maximumMs", 500, {1, longest_downtime}, "the limit is never raised beyond"),
                    integer_key("steps", 5, {1, 100},
                                "raises from the initial to the maximum limit, one at an iteration boundary")},
                   "downtime limit"),
        object_key("ceiling",
                   {integer_key("secondsPerGiB", 150, {0, 86'400},
                                "time allowed for every GiB of guest memory, for at least one GiB; 0 is without end"),
                    choice_key("action", "abort", {"abort", "continue"}, "what to do at the ceiling")},
                   "bound on the whole migration"),
    };
}

Result<std::unique_ptr<Policy>> make(const Settings& settings) {
    Precopy::Options options;
    options.bandwidth = mebibytes_per_second(static_cast<std::uint64_t>(settings.integer("bandwidthMiBPerSecond")));
    options.maximum_downtime = Milliseconds(settings.integer("downtime.maximumMs"));
    options.initial_downtime = Milliseconds(settings.integer("downtime.initialMs"));
    options.steps = static_cast<int>(settings.integer("downtime.steps"));
    options.ceiling_per_gibibyte = static_cast<int>(settings.integer("ceiling.secondsPerGiB"));
    options.at_ceiling =
        settings.text("ceiling.action") == "abort" ? Precopy::AtCeiling::abort : Precopy::AtCeiling::keep_going;
    if (options.initial_downtime > options.maximum_downtime) {
        return fail(
            ErrorCode::malformed_configuration, "malformed configuration",
            fmt::format("configuration.downtime.initialMs: {} is above maximumMs, {}; lower the one or raise the other",
                        options.initial_downtime.count(), options.maximum_downtime.count()));
    }
    return std::make_unique<Precopy>(options);
}

}  // namespace

MigrationRequest Precopy::plan(const Guest& guest) {
    const double gibibytes = std::max(1.0, in_gibibytes(guest.memory));
    ceiling_ = Milliseconds(static_cast<std::int64_t>(1000.0 * gibibytes * options_.ceiling_per_gibibyte));
    return {.live = true, .bandwidth = options_.bandwidth, .downtime_limit = options_.initial_downtime};
}

std::vector<Action> Precopy::adopt(const Guest& guest, const Sample& now) {
    const MigrationRequest request = plan(guest);
    std::vector<Action> actions;
    if (request.bandwidth.count > 0) {
        actions.push_back({SetBandwidth{request.bandwidth},
                           fmt::format("takeover: the cap is {:.0f} MiB/s", mebi(request.bandwidth.count))});
    }
    // The ramp goes on from the limit in force: whoever raised it so far had a reason.
    while (step_ < options_.steps && limit_at(step_) < now.downtime_limit) ++step_;
    const Milliseconds limit = limit_at(step_);
    if (limit != now.downtime_limit) {
        actions.push_back(
            {SetDowntimeLimit{limit},
             fmt::format("takeover: the limit in force is {} ms; this policy has {} to {} ms, and step {} of {}",
                         now.downtime_limit.count(), options_.initial_downtime.count(),
                         options_.maximum_downtime.count(), step_, options_.steps)});
    }
    return actions;
}

std::vector<Action> Precopy::decide(const Sample& sample) {
    if (ceiling_.count() > 0 && sample.elapsed >= ceiling_ && !ceiling_passed_) {
        ceiling_passed_ = true;
        std::string reason = fmt::format(
            "{} s passed, the ceiling for this guest; {:.1f} MiB are left in pass {}, dirtied at {:.1f} MiB/s",
            sample.elapsed.count() / 1000, mebi(sample.remaining.count), sample.iteration,
            mebi(sample.dirty_rate.count));
        if (options_.at_ceiling == AtCeiling::abort) return {{AbortMigration{}, std::move(reason)}};
        return {{Wait{}, reason + "; configured to continue"}};
    }
    if (sample.trigger == Sample::Trigger::iteration) return raise_limit(sample);
    return {};
}

std::vector<Action> Precopy::raise_limit(const Sample& sample) {
    // The first pass moves all of the memory and says nothing about how busy the guest is.
    if (sample.iteration < 2 || step_ >= options_.steps || sample.bandwidth.count == 0) return {};
    const double pause =
        1000.0 * static_cast<double>(sample.remaining.count) / static_cast<double>(sample.bandwidth.count);
    const Milliseconds limit = limit_at(step_);
    if (pause <= static_cast<double>(limit.count())) return {};  // QEMU switches over by itself
    ++step_;
    const Milliseconds next = limit_at(step_);
    if (next == limit) return {};
    return {
        {SetDowntimeLimit{next},
         fmt::format("pass {} begins with {:.1f} MiB, a pause of {:.0f} ms at {:.1f} MiB/s, above the limit of {} ms; "
                     "step {} of {}",
                     sample.iteration, mebi(sample.remaining.count), pause, mebi(sample.bandwidth.count), limit.count(),
                     step_, options_.steps)}};
}

Milliseconds Precopy::limit_at(int step) const {
    if (step >= options_.steps) return options_.maximum_downtime;
    const auto initial = static_cast<double>(options_.initial_downtime.count());
    const auto maximum = static_cast<double>(options_.maximum_downtime.count());
    const double share = static_cast<double>(step) / options_.steps;
    return Milliseconds(std::llround(initial * std::pow(maximum / initial, share)));
}

Plugin plugin() {
    return {
        .name = "precopy",
        .version = VMMI_PLUGIN_VERSION,
        .summary = "live pre-copy migration; the downtime limit rises step by step",
        .keys = keys(),
        .make_policy = make,
    };
}

}  // namespace precopy
