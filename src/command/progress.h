// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "vmmi/libvmmi.h"

namespace vmmi::command {

/// The numbers of a status on one line: phase, percentage, pass, what is left, rates, limit, throttle and ETA, as far
/// as they are known.
std::string numbers(const vmmi_status& status);
/// The same behind a bar, for a terminal of that width.
std::string bar(const vmmi_status& status, int width);

/// The end of a successful migration, for a person.
std::string summary(const vmmi_result& result);

/// Text as a string of JSON.
std::string json_string(const std::string& text);

}  // namespace vmmi::command
