// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vmmi/plugin.h>

namespace precopy {

/// Live pre-copy. The downtime limit rises step by step while the guest dirties memory faster than the link takes it,
/// up to a maximum; a ceiling bounds the whole.
class Precopy : public vmmi::Policy {
  public:
    enum class AtCeiling { abort, keep_going };

    struct Options {
        vmmi::BytesPerSecond bandwidth;  ///< zero: libvirt's own limit
        vmmi::Milliseconds initial_downtime{100};
        vmmi::Milliseconds maximum_downtime{500};
        int steps = 5;                   ///< from the initial to the maximum limit
        int ceiling_per_gibibyte = 150;  ///< seconds; zero: no ceiling
        AtCeiling at_ceiling = AtCeiling::abort;
    };

    explicit Precopy(Options options) : options_(options) {}

    vmmi::MigrationRequest plan(const vmmi::Guest& guest) override;
    std::vector<vmmi::Action> adopt(const vmmi::Guest& guest, const vmmi::Sample& now) override;
    std::vector<vmmi::Action> decide(const vmmi::Sample& sample) override;

    /// The limit after so many raises: geometric, since the same factor is the same relative harm. Exactly the maximum
    /// at the last step.
    vmmi::Milliseconds limit_at(int step) const;

  private:
    std::vector<vmmi::Action> raise_limit(const vmmi::Sample& sample);

    Options options_;
    vmmi::Milliseconds ceiling_{0};
    bool ceiling_passed_ = false;
    int step_ = 0;
};

vmmi::Plugin plugin();

}  // namespace precopy
