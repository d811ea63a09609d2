// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "vmmi/migration.h"

namespace vmmi::hypervisor {

/// Reads the devices from the XML of virDomainGetXMLDesc; nothing where it is no such document.
std::optional<GuestDevices> read_devices(std::string_view document);

}  // namespace vmmi::hypervisor
