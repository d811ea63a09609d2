// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vmmi/forecast.h>
#include <vmmi/plugin.h>
#include <vmmi/postcopy.h>
#include <vmmi/storage_budget.h>

namespace postcopy {

/// Post-copy from the start: each page crosses the link once, so that short of compression nothing is sooner or takes
/// less of the link. Then a guardian.
class Postcopy : public vmmi::Policy {
  public:
    struct Options {
        vmmi::MigrationRequest request{};  ///< but for post-copy
        vmmi::Guardian guardian{vmmi::Guardian::Options{}};
        vmmi::StorageBudget storage{0, false};
    };

    explicit Postcopy(Options options);

    vmmi::MigrationRequest plan(const vmmi::Guest& guest) override;
    std::vector<vmmi::Action> adopt(const vmmi::Guest& guest, const vmmi::Sample& now) override;
    std::vector<vmmi::Action> decide(const vmmi::Sample& sample) override;
    bool guards(const vmmi::Sample& broken) override;

  private:
    vmmi::MigrationRequest request_;
    vmmi::StorageBudget storage_;
    vmmi::Forecaster forecaster_;
    vmmi::PostCopySwitch switch_{};
    vmmi::Guardian guardian_;
    bool possible_ = true;
};

vmmi::Plugin plugin();

}  // namespace postcopy
