// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "vmmi/simulator.h"

namespace vmmi::simulator {

/// What is wrong with the scenario, with the field's name, its value and the remedy.
std::optional<Error> mistake_in(const Scenario& scenario);
/// With the features that the request turns on.
Scenario started_as(Scenario scenario, const MigrationRequest& request);

}  // namespace vmmi::simulator
