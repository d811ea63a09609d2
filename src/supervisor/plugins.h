// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "supervisor/spawn.h"
#include "vmmi/result.h"

namespace vmmi::supervisor {

/// The canonical directory of the interface, or another one.
std::string plugin_directory(const std::string& configured);

/// Whether a plugin can have that name: no path, and not "migrate". Fails with VMMI_E_PLUGIN.
Result<void> check_plugin_name(const std::string& name);

/// The path of the plugin of that name. Nothing else is run: no path, no link that leads out of the directory, nothing
/// that somebody else than root or this user could have written. Fails with VMMI_E_PLUGIN.
Result<std::string> find_plugin(const std::string& directory, const std::string& name);

/// Names of what would be run, in alphabetical order.
Result<std::vector<std::string>> plugin_names(const std::string& directory);

/// What a plugin wrote, where it is asked something in place of a migration.
struct Answer {
    std::string output;
    std::string error;
    Ending ending;
};
/// Runs it and waits. A plugin that does not end in time or writes more than `longest` bytes is killed. Fails with
/// VMMI_E_NO_ANSWER, VMMI_E_FLOOD or VMMI_E_SYSTEM.
Result<Answer> ask(const std::string& path, const std::vector<std::string>& arguments,
                   const std::vector<std::string>& environment, int input, std::chrono::milliseconds patience,
                   std::size_t longest);

}  // namespace vmmi::supervisor
