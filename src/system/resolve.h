// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/check.h"

namespace vmmi::system {

/// Looks a host name or address up as this machine does. May take as long as its name servers let it.
Resolution resolve(const std::string& host);

}  // namespace vmmi::system
