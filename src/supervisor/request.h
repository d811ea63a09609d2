// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "system/fd.h"
#include "vmmi/libvmmi.h"
#include "vmmi/result.h"

namespace vmmi::supervisor {

/// What a plugin is to be started with, complete and checked as far as it can be without it.
struct Request {
    std::string vm;
    std::string vm_name;
    std::string connection;  ///< that the plugin will use
    std::string destination;
    std::string migration_uri;
    std::string plugin;
    std::string path;  ///< of the plugin
    bool configured = false;
    std::string configuration;             ///< the message, where `configured`
    std::vector<std::string> environment;  ///< all of it

    /// VM, the URIs, and "-" where there is a configuration to read.
    std::vector<std::string> arguments() const;
    /// A descriptor to read the configuration from, or the end of a file. Fails with VMMI_E_SYSTEM.
    Result<system::Fd> input() const;
};

Result<Request> make_request(const vmmi_parameters& parameters, const std::string& plugin_directory);

/// The connection that the plugin will use: as given, or by the configuration, or libvirt's of this host.
Result<std::string> connection_of(const vmmi_parameters& parameters);

/// Where the memory goes if nobody says: over TCP, to the host of the destination.
Result<std::string> derived_migration_uri(const std::string& destination);

/// The message with that connection in place of what it says, or of nothing. `text` empty: an empty configuration.
Result<std::string> with_connection(const std::string& text, const std::string& connection);

}  // namespace vmmi::supervisor
