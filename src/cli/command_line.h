// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "vmmi/plugin.h"
#include "vmmi/result.h"

namespace vmmi::cli {

struct CommandLine {
    enum class Mode { migrate, help, version, print_config, check };

    Mode mode = Mode::migrate;
    std::string vm;                     ///< UUID or name
    std::string destination_uri;        ///< libvirt's, of the destination host
    std::string migration_uri;          ///< the hypervisor's transport
    std::optional<std::string> config;  ///< a path, or "-" for stdin
    bool progress = false;
};

/// Fails with `missing_parameters` or `malformed_parameters`.
Result<CommandLine> parse_command_line(int argc, const char* const* argv);

/// The text of --help: usage, options and all configuration keys.
std::string help_text(const Plugin& plugin);

}  // namespace vmmi::cli
