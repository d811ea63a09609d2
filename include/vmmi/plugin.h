// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "vmmi/policy.h"
#include "vmmi/result.h"
#include "vmmi/settings.h"

namespace vmmi {

/// Everything that tells one plugin from another. The rest of a VMMI executable is `run_plugin`.
struct Plugin {
    /// The executable's name; the default configuration is looked for under it.
    std::string name;
    std::string version;
    /// One line for `--help`.
    std::string summary;
    /// The plugin's own configuration keys, beside those that every plugin has.
    std::vector<Key> keys;
    /// Makes the policy from checked settings. Fails with `malformed_configuration` where settings that are fine one by
    /// one contradict each other.
    std::function<Result<std::unique_ptr<Policy>>(const Settings&)> make_policy;
};

/// The whole life of a VMMI executable: command line, configuration, migration, status and completion messages.
/// Returns the exit status, or ends the process with it where a call to libvirt never comes back.
/// To be the one statement of main():
///
///     int main(int argc, char** argv) { return vmmi::run_plugin(precopy::plugin(), argc, argv); }
int run_plugin(const Plugin& plugin, int argc, char** argv);

}  // namespace vmmi
