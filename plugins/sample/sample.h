// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vmmi/plugin.h>

namespace sample {

/// A policy to copy: migrate live, and give up after a fixed time.
class GiveUpAfter : public vmmi::Policy {
  public:
    explicit GiveUpAfter(vmmi::Milliseconds limit) : limit_(limit) {}

    vmmi::MigrationRequest plan(const vmmi::Guest& guest) override;
    std::vector<vmmi::Action> decide(const vmmi::Sample& sample) override;

  private:
    vmmi::Milliseconds limit_;
};

vmmi::Plugin plugin();

}  // namespace sample
