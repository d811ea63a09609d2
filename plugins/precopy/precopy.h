// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vmmi/downtime_limits.h>
#include <vmmi/memory_ceiling.h>
#include <vmmi/plugin.h>
#include <vmmi/send_queue.h>
#include <vmmi/storage_budget.h>

namespace precopy {

/// Live pre-copy. The downtime limit rises step by step while the guest dirties memory faster than the link takes it,
/// up to a maximum; ceilings bound the copy of the disks and the rest.
class Precopy : public vmmi::Policy {
  public:
    struct Options {
        vmmi::MigrationRequest request{};  ///< but for the downtime limit
        vmmi::DowntimeLimits downtime{};
        int steps = 5;  ///< from the initial to the maximum limit
        vmmi::MemoryCeiling ceiling{150, vmmi::MemoryCeiling::Reaction::abort};
        vmmi::StorageBudget storage{0, false};
    };

    explicit Precopy(Options options)
        : options_(std::move(options)), storage_(options_.storage), ceiling_(options_.ceiling) {}

    vmmi::MigrationRequest plan(const vmmi::Guest& guest) override;
    std::vector<vmmi::Action> adopt(const vmmi::Guest& guest, const vmmi::Sample& now) override;
    std::vector<vmmi::Action> decide(const vmmi::Sample& sample) override;
    std::optional<vmmi::Milliseconds> next_sample_within() const override;

    /// The limit after so many raises: geometric, since the same factor is the same relative harm. Exactly the maximum
    /// at the last step.
    vmmi::Milliseconds limit_at(int step) const;

  private:
    std::vector<vmmi::Action> next_actions(const vmmi::Sample& sample);
    std::vector<vmmi::Action> raise_limit(const vmmi::Sample& sample);

    Options options_;
    vmmi::StorageBudget storage_;
    vmmi::MemoryCeiling ceiling_;
    std::optional<vmmi::SendQueue> queue_{};  ///< under xbzrle
    vmmi::OrderedLimit limit_order_{};
    int step_ = 0;
};

vmmi::Plugin plugin();

}  // namespace precopy
