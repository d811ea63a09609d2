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

/// Reads the XML of virConnectGetCapabilities, of which it trusts nothing: it stops at the first mistake and behind the
/// host's part, follows no entity and opens no file.
Capabilities read_capabilities(std::string_view xml);

}  // namespace vmmi::hypervisor
