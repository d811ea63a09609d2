// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/configuration.h"
#include "hypervisor/libvirt_handle.h"
#include "vmmi/result.h"

namespace vmmi::hypervisor {

/// Opens a connection, with credentials where some are configured. The password is read for this one call and wiped
/// after it. Never prompts. Fails with `bad_file_path` for the password file and `libvirt_disconnected` for libvirt.
Result<Connection> open_connection(const std::string& uri, const Credentials& credentials);

}  // namespace vmmi::hypervisor
