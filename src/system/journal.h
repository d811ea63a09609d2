// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "vmmi/result.h"

namespace spdlog::sinks {
class sink;
}

namespace vmmi::system {

/// Writes to the systemd journal. libsystemd, and the four libraries that come with it, are loaded here and not with
/// the executable: every run would pay for them in memory and in time to start, and few use them. Fails with
/// `configuration_failed` where this system has no libsystemd.
Result<std::shared_ptr<spdlog::sinks::sink>> journal_sink(const std::string& ident);

}  // namespace vmmi::system
