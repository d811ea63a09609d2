// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "system/signals.h"
#include "vmmi/result.h"

namespace vmmi::app {

/// What signals ask for while there is no migration: to leave, as an error whose details are `what_was_done`, or
/// nothing. Sets `status_asked` where there is no status to tell yet.
std::optional<Error> told_to_leave(system::Signals& signals, bool& status_asked, const std::string& what_was_done);

}  // namespace vmmi::app
