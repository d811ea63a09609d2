// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vmmi/budget.h>
#include <vmmi/forecast.h>
#include <vmmi/plugin.h>
#include <vmmi/postcopy.h>
#include <vmmi/storage_budget.h>

namespace postcopy_fallback {

/// Pre-copy as long as it leads anywhere, post-copy where it does not, and a guardian for that.
///
/// What the first pass leaves tells how long the second one takes, and that is all that is known by then: where it is
/// much, post-copy begins there. Where it is little, waiting is cheap: the first two passes show how fast the guest
/// writes, and with xbzrle, the beginning of the third shows what that makes of it. From then on two kinds of evidence
/// count: a forecast that is sure, and passes that begin with as much as the ones before. Ceilings bound the whole.
class PostcopyFallback : public vmmi::Policy {
  public:
    struct Options {
        vmmi::MigrationRequest request{};  ///< what the user wants of it anyway
        bool evidence = true;              ///< switch where waiting cannot meet the limits
        /// Switch after the first pass where it leaves this share of what it sent, in percent; zero: without.
        int first_pass_percent = 25;
        int after_iterations = 0;       ///< switch after so many passes; zero: without such a ceiling
        int seconds_per_gibibyte = 60;  ///< switch after so long; zero: without
        vmmi::Guardian guardian{vmmi::Guardian::Options{}};
        vmmi::StorageBudget storage{0, false};
    };

    explicit PostcopyFallback(Options options);

    vmmi::MigrationRequest plan(const vmmi::Guest& guest) override;
    std::vector<vmmi::Action> decide(const vmmi::Sample& sample) override;
    std::optional<vmmi::Milliseconds> next_sample_within() const override;
    bool guards(const vmmi::Sample& broken) override;

  private:
    struct Due {
        std::string why;
        vmmi::LowMoment moment;
    };

    std::vector<vmmi::Action> switch_over(const vmmi::Sample& sample, std::string why);
    static std::vector<vmmi::Action> end_without_postcopy(std::string why);
    std::optional<std::string> ceiling_reached(const vmmi::Sample& sample, bool pass_began) const;
    std::optional<std::string> why_switch(const vmmi::Sample& sample, bool pass_began) const;
    std::optional<std::string> why_after_the_first_pass(const vmmi::Sample& sample, bool pass_began) const;
    std::optional<std::string> what_waiting_brings(const vmmi::Forecast& forecast, const vmmi::Sample& sample) const;
    std::optional<std::string> why_stuck(const vmmi::Forecast& forecast) const;
    std::optional<vmmi::Forecast> forecast(const vmmi::Sample& sample, bool pass_began) const;
    void begin_pass(const vmmi::Sample& sample);

    Options options_;
    vmmi::StorageBudget storage_{options_.storage};
    vmmi::TimeBudget budget_{};
    vmmi::Forecaster forecaster_;
    vmmi::Sample pass_;                   ///< the first sample of the current pass
    std::optional<vmmi::Bytes> least_{};  ///< that a pass began with, the first one excepted
    int stuck_ = 0;                       ///< passes in a row that began with hardly less, or more
    std::optional<Due> due_{};            ///< post-copy, at the next good moment
    vmmi::PostCopySwitch switch_{};
    vmmi::Guardian guardian_;
    bool possible_ = true;
};

vmmi::Plugin plugin();

}  // namespace postcopy_fallback
