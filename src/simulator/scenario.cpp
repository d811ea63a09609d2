// SPDX-License-Identifier: Apache-2.0
#include "simulator/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace vmmi::simulator {
namespace {

/// Gathers the first mistake.
class Check {
  public:
    template <typename... Values>
    void require(bool holds, fmt::format_string<Values...> otherwise, Values&&... values) {
        if (holds || error_) return;
        error_ = Error{ErrorCode::malformed_parameters, "malformed scenario",
                       fmt::format(otherwise, std::forward<Values>(values)...)};
    }

    void rate(const std::string& name, const Rate& rate) {
        require(!rate.changes().empty(), "scenario.{}: no rate; give one, or a list of changes", name);
        const Rate::Change* before = nullptr;
        for (const Rate::Change& change : rate.changes()) {
            require(before == nullptr || before->at < change.at,
                    "scenario.{}: the change at {} ms comes after the one at {} ms; order them by time", name,
                    change.at.count(), before == nullptr ? 0 : before->at.count());
            before = &change;
        }
    }
    void share(std::string_view name, double value) {
        require(value >= 0 && value < 1, "scenario.{}: {} is no share; give a number from 0 to less than 1", name,
                value);
    }
    void percent(std::string_view name, int value) {
        require(value >= 1 && value <= 99, "scenario.features.auto_converge.{}: {} is out of range; QEMU takes 1 to 99",
                name, value);
    }
    void time(std::string_view name, Milliseconds value, Milliseconds least = Milliseconds(0)) {
        require(value >= least, "scenario.{}: {} ms is too short; give {} ms or more", name, value.count(),
                least.count());
    }

    std::optional<Error> error() && { return std::move(error_); }

  private:
    std::optional<Error> error_;
};

void check_memory(Check& check, const Scenario& scenario) {
    constexpr std::uint64_t page = 4096;
    Bytes used = scenario.zero_pages;
    for (std::size_t i = 0; i < scenario.working_sets.size(); ++i) {
        const WorkingSet& set = scenario.working_sets[i];
        check.require(set.size.count >= page,
                      "scenario.working_sets[{}].size: {} bytes is less than a page; give 4096 or more", i,
                      set.size.count);
        check.rate(fmt::format("working_sets[{}].dirty_rate", i), set.dirty_rate);
        used = used + set.size;
    }
    check.require(scenario.guest.memory.count >= page,
                  "scenario.guest.memory: {} bytes is less than a page; give 4096 or more",
                  scenario.guest.memory.count);
    check.require(
        used <= scenario.guest.memory,
        "scenario.guest.memory: {} bytes, but zero pages and working sets add up to {}; make it larger or them "
        "smaller",
        scenario.guest.memory.count, used.count);
}

void check_trace(Check& check, const Trace& trace) {
    check.rate("trace.bandwidth", trace.bandwidth);
    check.require(!trace.points.empty() && trace.points.front().remaining.count > 0,
                  "scenario.trace.points: the first is all of the memory; give at least that one");
    for (std::size_t i = 1; i < trace.points.size(); ++i) {
        check.require(trace.points[i - 1].at < trace.points[i].at,
                      "scenario.trace.points[{}].at: {} ms is not later than the point before; order them by time", i,
                      trace.points[i].at.count());
    }
}

}  // namespace

std::optional<Error> mistake_in(const Scenario& scenario) {
    Check check;
    if (scenario.trace)
        check_trace(check, *scenario.trace);
    else
        check_memory(check, scenario);
    check.require(scenario.utilization > 0 && scenario.utilization <= 1,
                  "scenario.utilization: {} is no share of the processors; give more than 0, and 1 at the most",
                  scenario.utilization);
    check.require(!(scenario.guest.paused && scenario.features.postcopy),
                  "scenario.features.postcopy: libvirt refuses it for a paused guest; clear one of the two");
    const Link& link = scenario.link;
    check.rate("link.bandwidth", link.bandwidth);
    check.share("link.loss", link.loss);
    check.share("link.noise", link.noise);
    check.require(link.latency.count() >= 0, "scenario.link.latency: {} µs is negative", link.latency.count());
    check.require(link.loss == 0 || link.latency.count() > 0,
                  "scenario.link.latency: 0 with a loss of {}; what loss costs depends on the latency: give one",
                  link.loss);
    if (scenario.features.auto_converge) {
        check.percent("initial", scenario.features.auto_converge->initial);
        check.percent("increment", scenario.features.auto_converge->increment);
        check.percent("maximum", scenario.features.auto_converge->maximum);
    }
    check.require(scenario.features.multifd_channels >= 1, "scenario.features.multifd_channels: {}; give 1 or more",
                  scenario.features.multifd_channels);
    const Delays& delays = scenario.delays;
    check.time("delays.call", delays.call);
    check.time("delays.preparation", delays.preparation);
    check.time("delays.switchover", delays.switchover);
    check.time("delays.postcopy_start", delays.postcopy_start);
    check.time("delays.teardown", delays.teardown);
    check.require(delays.zero_page_scan.count > 0, "scenario.delays.zero_page_scan: 0; give a rate");
    for (std::size_t i = 0; i < scenario.faults.size(); ++i) {
        check.time(fmt::format("faults[{}].at", i), scenario.faults[i].at);
        check.time(fmt::format("faults[{}].lasting", i), scenario.faults[i].lasting);
    }
    if (scenario.taken_over_after) check.time("taken_over_after", *scenario.taken_over_after);
    check.time("downtime_limit", scenario.downtime_limit);
    check.time("sample_interval", scenario.sample_interval, Milliseconds(1));
    check.time("patience", scenario.patience, scenario.taken_over_after.value_or(Milliseconds(0)) + Milliseconds(1));
    return std::move(check).error();
}

Scenario started_as(Scenario scenario, const MigrationRequest& request) {
    constexpr Bytes usual_cache = mebibytes(64);  // migrate_xbzrle_cache_size in QEMU
    Features& features = scenario.features;
    features.postcopy = features.postcopy || request.postcopy;
    if (request.auto_converge) {
        const AutoConverge usual;
        features.auto_converge =
            AutoConverge{.initial = request.auto_converge->initial_percent.value_or(usual.initial),
                         .increment = request.auto_converge->increment_percent.value_or(usual.increment)};
    }
    if (std::ranges::find(request.compression.methods, "xbzrle") != request.compression.methods.end())
        features.xbzrle_cache = request.compression.xbzrle_cache.value_or(usual_cache);
    if (request.parallel_connections > 0) features.multifd_channels = request.parallel_connections;
    return scenario;
}

}  // namespace vmmi::simulator
