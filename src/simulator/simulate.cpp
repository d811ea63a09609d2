// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "engine/session.h"
#include "simulator/libvirt.h"
#include "simulator/scenario.h"

namespace vmmi::simulator {
namespace {

/// Keeps what the policy is shown.
class Recorder : public Policy {
  public:
    explicit Recorder(Policy& policy) : policy_(policy) {}

    MigrationRequest plan(const Guest& guest) override { return policy_.plan(guest); }
    std::vector<Action> adopt(const Guest& guest, const Sample& now) override {
        samples.push_back(now);
        return policy_.adopt(guest, now);
    }
    std::vector<Action> decide(const Sample& sample) override {
        samples.push_back(sample);
        return policy_.decide(sample);
    }
    std::optional<Milliseconds> next_sample_within() const override { return policy_.next_sample_within(); }
    bool guards(const Sample& broken) override { return policy_.guards(broken); }

    std::vector<Sample> samples;

  private:
    Policy& policy_;
};

TimePoint time_of(Instant now) {
    return TimePoint{} + now;
}

/// What `app::supervise` does on real hosts, with a clock that jumps from one event to the next.
void supervise(engine::Session& session, Libvirt& libvirt, Instant patience) {
    const auto carry_out = [&](const engine::Orders& orders) {
        for (const Order& order : orders) libvirt.execute(order);
    };
    carry_out(session.begin(time_of(libvirt.now())));
    while (!session.outcome()) {
        const Instant deadline = session.deadline() ? session.deadline()->time_since_epoch() : never;
        if (const std::optional<Event> event = libvirt.advance(std::min(deadline, patience)))
            carry_out(session.handle(*event, time_of(libvirt.now())));
        else if (libvirt.now() >= deadline)
            carry_out(session.handle(event::Tick{}, time_of(libvirt.now())));
        else
            return;
    }
}

Report::Ending ending_of(const Outcome& outcome) {
    if (!outcome.error) return Report::Ending::completed;
    return outcome.error->code == ErrorCode::migration_aborted ? Report::Ending::aborted : Report::Ending::failed;
}

Report report(const engine::Session& session, const Libvirt& libvirt, std::vector<Sample> samples) {
    Report run;
    run.samples = std::move(samples);
    run.passes = libvirt.passes();
    run.total_time = session.status(time_of(libvirt.now())).elapsed;
    if (const std::optional<Outcome>& outcome = session.outcome()) {
        run.ending = ending_of(*outcome);
        run.error = outcome->error;
        run.cause = to_string(outcome->cause);
        run.total_time = outcome->total_time;
        run.actions_omitted = outcome->actions_omitted;
        for (const ActionRecord& record : outcome->actions)
            run.actions.push_back({record.at, record.action, record.refused});
    }
    if (const Qemu* qemu = libvirt.qemu()) {
        const JobStats stats = qemu->statistics();
        run.transferred = stats.memory_transferred;
        run.work_lost = qemu->work_lost();
        run.highest_throttle_percent = qemu->highest_throttle_percent();
        run.highest_downtime_limit = qemu->highest_downtime_limit();
        if (qemu->stage() == Stage::completed) run.downtime = stats.downtime;
    }
    return run;
}

}  // namespace

Result<Report> simulate(Policy& policy, const Scenario& scenario) {
    if (std::optional<Error> error = mistake_in(scenario)) return fail(*std::move(error));
    Recorder recorder(policy);
    engine::Session session(recorder, {.policy_name = "simulated",
                                       .destination_uri = "qemu+tcp://destination/system",
                                       .migration_uri = "tcp://destination",
                                       .sample_interval = scenario.sample_interval});
    Libvirt libvirt(scenario);
    if (scenario.taken_over_after) {
        libvirt.start({});
        libvirt.advance(*scenario.taken_over_after);
    }
    supervise(session, libvirt, scenario.patience);
    return report(session, libvirt, std::move(recorder.samples));
}

Result<Report> simulate(const Plugin& plugin, const Object& configuration, const Scenario& scenario) {
    const Result<Settings> settings = apply_keys(plugin.keys, configuration, "configuration");
    if (!settings) return fail(settings.error());
    const Result<std::unique_ptr<Policy>> policy = plugin.make_policy(*settings);
    if (!policy) return fail(policy.error());
    return simulate(**policy, scenario);
}

}  // namespace vmmi::simulator
