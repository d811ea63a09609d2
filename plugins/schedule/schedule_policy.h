// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vmmi/downtime_limits.h>
#include <vmmi/forecast.h>
#include <vmmi/plugin.h>
#include <vmmi/storage_budget.h>

#include "schedule.h"

namespace schedule {

/// Follows a schedule: steps at the beginnings of passes, rules whenever their conditions hold, one at a time.
///
/// Post-copy and a pause wait while the link is broken: both would have the guest wait for it. Where one of them was
/// asked for and the guest is still in pre-copy long after, libvirt refused it: then the schedule goes on, or, at its
/// end, asks again.
class FollowSchedule : public vmmi::Policy {
  public:
    struct Options {
        vmmi::MigrationRequest request{};  ///< without what the schedule decides
        Schedule schedule{};
        vmmi::StorageBudget storage{0, false};
        vmmi::Milliseconds step_interval{1000};  ///< between two steps, at least: the monitorInterval
        double progress_factor = 0.96;           ///< as StallRule::Options::factor
    };

    explicit FollowSchedule(Options options);

    vmmi::MigrationRequest plan(const vmmi::Guest& guest) override;
    std::vector<vmmi::Action> adopt(const vmmi::Guest& guest, const vmmi::Sample& now) override;
    std::vector<vmmi::Action> decide(const vmmi::Sample& sample) override;

  private:
    /// The last resort that was asked for: post-copy or a pause.
    struct Asked {
        What what;
        vmmi::Milliseconds at{0};
    };

    std::vector<vmmi::Action> next_actions(const vmmi::Sample& sample);
    std::optional<std::string> holds(const Conditions& when, const vmmi::Sample& sample) const;
    std::optional<std::string> due(const Step& step, const vmmi::Sample& sample) const;
    std::vector<vmmi::Action> follow_rules(const vmmi::Sample& sample);
    std::vector<vmmi::Action> take_step(const vmmi::Sample& sample);
    std::vector<vmmi::Action> ask_again(const vmmi::Sample& sample);
    bool must_wait(const What& what, const vmmi::Sample& sample) const;
    std::vector<vmmi::Action> tell_of_the_link(const std::string& reason, const vmmi::Sample& sample);
    std::vector<vmmi::Action> carry_out(const What& what, std::string reason, const vmmi::Sample& sample);
    vmmi::Milliseconds elapsed_per_gibibyte(int seconds) const;

    Options options_;
    vmmi::StorageBudget storage_{options_.storage};
    vmmi::Bytes memory_;
    vmmi::Forecaster forecaster_;
    std::size_t next_ = 0;             ///< of the steps
    vmmi::Milliseconds last_step_{0};  ///< Sample::elapsed
    std::vector<bool> done_;           ///< of the rules
    std::optional<Asked> asked_;
    bool told_of_the_link_ = false;
    vmmi::OrderedLimit limit_order_{};
};

vmmi::Plugin plugin();

}  // namespace schedule
