// SPDX-License-Identifier: Apache-2.0
// One simulated migration, under `precopy` or with a switch to post-copy: a scenario as a JSON object on standard
// input, the run as one on standard output. tests/bench/calibrate gives it what it gave to real hosts.
#include <iostream>
#include <iterator>
#include <utility>

#include "message/json.h"
#include "precopy.h"
#include "vmmi/simulator.h"

namespace {

using namespace vmmi;
using namespace vmmi::simulator;

/// Post-copy from a given time on.
class Switch : public Policy {
  public:
    explicit Switch(Milliseconds at) : at_(at) {}

    MigrationRequest plan(const Guest&) override { return {.postcopy = true}; }
    std::vector<Action> decide(const Sample& sample) override {
        if (sample.elapsed < at_ || std::exchange(done_, true)) return {};
        return {{StartPostCopy{}, "it is time"}};
    }

  private:
    Milliseconds at_;
    bool done_ = false;
};

const std::vector<Key>& keys() {
    constexpr Range any{0, std::int64_t{1} << 40};
    static const std::vector<Key> all = {
        integer_key("memoryBytes", 0, any, "memory of the guest"),
        integer_key("zeroBytes", 0, any, "pages that hold zeros"),
        integer_key("workingSetBytes", 0, any, "what the guest rewrites, in order"),
        integer_key("dirtyBytesPerSecond", 0, any, "how fast"),
        choice_key("writesFirst", "any", {"any", "unsent", "sent"}, "which of the dirty pages it comes to first"),
        integer_key("linkBytesPerSecond", 0, any, "bandwidth"),
        integer_key("otherBytes", 0, any, "what its kernel writes to besides, at random"),
        integer_key("otherBytesPerSecond", 0, any, "how fast"),
        integer_key("utilizationPercent", 100, {1, 100}, "share of its processors that the guest uses"),
        boolean_key("autoConverge", false, "whether the guest is throttled"),
        integer_key("takenOverAfterMs", nullptr, any, "somebody else started it, so long ago"),
        integer_key("postCopyAfterMs", nullptr, any, "no policy: a switch to post-copy at that time"),
        object_key("policy", precopy::plugin().keys, "the policy's configuration"),
    };
    return all;
}

WorkingSet::First first(const std::string& name) {
    return name == "unsent" ? WorkingSet::First::unsent
           : name == "sent" ? WorkingSet::First::sent
                            : WorkingSet::First::any;
}

Result<Report> simulated(const Object& given) {
    const Result<Settings> settings = apply_keys(keys(), given, "scenario");
    if (!settings) return fail(settings.error());
    const auto number = [&](const char* key) { return static_cast<std::uint64_t>(settings->integer(key)); };
    Scenario scenario;
    scenario.guest.memory = {number("memoryBytes")};
    scenario.zero_pages = {number("zeroBytes")};
    if (number("workingSetBytes") > 0) {
        scenario.working_sets = {{.size = {number("workingSetBytes")},
                                  .dirty_rate = BytesPerSecond{number("dirtyBytesPerSecond")},
                                  .order = WorkingSet::Order::sequential,
                                  .first = first(settings->text("writesFirst"))}};
    }
    if (number("otherBytes") > 0) {
        scenario.working_sets.push_back(
            {.size = {number("otherBytes")}, .dirty_rate = BytesPerSecond{number("otherBytesPerSecond")}});
    }
    scenario.utilization = static_cast<double>(settings->integer("utilizationPercent")) / 100;
    scenario.link.bandwidth = BytesPerSecond{number("linkBytesPerSecond")};
    if (settings->boolean("autoConverge")) scenario.features.auto_converge.emplace();
    if (const auto age = settings->optional_integer("takenOverAfterMs")) scenario.taken_over_after = Milliseconds(*age);
    if (const auto at = settings->optional_integer("postCopyAfterMs")) {
        Switch policy{Milliseconds(*at)};
        return simulate(policy, scenario);
    }
    // As given: keys without a value are not a value.
    const Value* policy = given.find("policy");
    return simulate(precopy::plugin(), policy == nullptr ? Object() : *policy->get_if<Object>(), scenario);
}

Value as_value(const Report& run) {
    List passes;
    // As the engine counts them, which is what the log of a real run tells; libvirt counts every look of QEMU.
    int last = 0;
    for (const Sample& sample : run.samples) {
        if (sample.iteration == std::exchange(last, sample.iteration)) continue;
        passes.push_back(Object{{"atMs", sample.elapsed.count()}, {"remainingBytes", sample.remaining.count}});
    }
    List actions;
    for (const ActionTaken& taken : run.actions)
        actions.push_back(Object{{"atMs", taken.at.count()}, {"reason", taken.action.reason}});
    const WorkLost& lost = run.work_lost;
    return Object{{"cause", run.cause},
                  {"totalTimeMs", run.total_time.count()},
                  {"downtimeMs", run.downtime ? Value(run.downtime->count()) : Value()},
                  {"workLostMs", (lost.throttled + lost.paused + lost.stalled).count()},
                  {"transferredBytes", run.transferred.count},
                  {"throttlePercent", run.highest_throttle_percent},
                  {"passes", passes},
                  {"actions", actions}};
}

}  // namespace

int main() {
    const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    const Result<Object> given = message::parse_json(text);
    const Result<Report> run = given ? simulated(*given) : Result<Report>(fail(given.error()));
    if (!run) {
        std::cerr << run.error().message << ": " << run.error().details << "\n";
        return 1;
    }
    std::cout << message::to_json(as_value(*run)) << "\n";
    return 0;
}
