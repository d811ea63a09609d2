// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "core/host.h"

namespace vmmi::hypervisor {

/// What a check needs of a host's capabilities. Empty or unknown where they do not tell.
struct Capabilities {
    std::string host_uuid;
    HostFacts::Migration migration = HostFacts::Migration::unknown;
};

/// Reads the XML of virConnectGetCapabilities up to the end of the host's part.
Capabilities read_capabilities(std::string_view document);

}  // namespace vmmi::hypervisor
