// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

namespace fake {

/// Appends a line to the scenario's trace file: the given keys, and time (seconds of CLOCK_MONOTONIC), process and
/// thread. Lines of several processes do not mix.
void trace(nlohmann::json line);

}  // namespace fake
