// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vmmi/downtime_limits.h>
#include <vmmi/forecast.h>
#include <vmmi/memory_ceiling.h>
#include <vmmi/plugin.h>
#include <vmmi/storage_budget.h>

#include "steps.h"

namespace throttling {

/// Auto-converge, at the least cost to the guest: the throttle begins close to the maximum that the user allows, the
/// downtime limit rises as soon as a pause is cheaper than more throttling, and throttling that does not help, or is to
/// exceed the maximum, ends as configured.
///
/// A pause of R bytes costs the guest R/b; throttling them away costs more wherever the guest writes faster than the
/// link takes it, and nothing of both is needed where it writes more slowly.
class Throttling : public vmmi::Policy {
  public:
    enum class WhenItFails { abort, keep_going, pause };

    struct Options {
        vmmi::StorageBudget storage{0, false};
        vmmi::MigrationRequest request{};  ///< but for the downtime limit and the steps of the throttle
        Steps steps = steps_to(80, {}, {});
        int maximum_throttle = 80;  ///< percent
        vmmi::DowntimeLimits downtime{};
        WhenItFails when_it_fails = WhenItFails::abort;
        vmmi::Milliseconds longest_pause{5'000};
        vmmi::MemoryCeiling ceiling{150, vmmi::MemoryCeiling::Reaction::abort};
    };

    explicit Throttling(Options options);

    vmmi::MigrationRequest plan(const vmmi::Guest& guest) override;
    std::vector<vmmi::Action> adopt(const vmmi::Guest& guest, const vmmi::Sample& now) override;
    std::vector<vmmi::Action> decide(const vmmi::Sample& sample) override;

  private:
    std::vector<vmmi::Action> next_actions(const vmmi::Sample& sample);
    std::vector<vmmi::Action> react(const vmmi::Sample& sample);
    bool follow_throttle(const vmmi::Sample& sample);
    void watch_progress();
    std::optional<vmmi::Action> raise_limit(const vmmi::Sample& sample);
    std::optional<std::string> why_it_fails(const vmmi::Sample& sample) const;
    vmmi::Action give_up(const vmmi::Sample& sample, const std::string& why);
    bool exceeds_the_cap(const vmmi::Sample& sample) const;
    bool leaves_the_cap(const vmmi::Sample& sample) const;
    bool link_is_broken() const;
    bool writes_faster_than_the_link() const;
    vmmi::Milliseconds pause_now(const vmmi::Sample& sample) const;

    Options options_;
    vmmi::StorageBudget storage_{options_.storage};
    vmmi::Forecaster forecaster_;
    vmmi::MemoryCeiling ceiling_{options_.ceiling};
    vmmi::Milliseconds limit_{0};
    vmmi::OrderedLimit limit_order_{};
    bool given_up_ = false;
    std::optional<vmmi::Milliseconds> pause_ends_;  ///< Sample::elapsed by which a pause has ended the migration

    int looks_ = 0;               ///< Sample::looks
    int throttle_ = 0;            ///< in force
    int raised_at_ = 0;           ///< look at which it was seen to be
    vmmi::Sample period_ends_{};  ///< QEMU's last one, as far as samples tell
    double sent_in_period_ = 0;   ///< bytes a second
    vmmi::StallRule progress_;    ///< since the throttle is close to its maximum
    int passes_close_to_it_ = 0;  ///< that began since then
};

vmmi::Plugin plugin();

}  // namespace throttling
