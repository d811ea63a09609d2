// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmmi/migration.h"

namespace vmmi {

/// What in a request contradicts itself, whatever the hosts and the guest: libvirt or QEMU refuse it, or take no notice
/// of a part of it. One sentence each, with the configuration keys of both places, `prefix` before each of them, and
/// what to do.
std::vector<std::string> contradictions(const MigrationRequest& request, std::string_view prefix);

/// Whether memory is made smaller by that method.
bool compresses_with(const MigrationRequest& request, std::string_view method);

}  // namespace vmmi
