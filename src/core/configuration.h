// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "vmmi/settings.h"

namespace vmmi {

struct Credentials {
    std::optional<std::string> username;
    /// The file, never the password itself: nothing that holds a Configuration can leak a secret.
    std::optional<std::string> password_file;
};

enum class LogTarget { none, file, syslog, journal };

/// The effective configuration: defaults with the configuration message laid over them.
struct Configuration {
    std::string connection;
    int verbose = 0;
    LogTarget log_target = LogTarget::none;
    std::string log_file_path;
    Credentials credentials;
    std::chrono::seconds monitor_interval{1};
    std::optional<std::string> runtime_directory;
    std::chrono::seconds connection_timeout{30};
    /// All values, the plugin's own among them.
    Settings settings;
};

/// The keys that every plugin has.
const std::vector<Key>& common_keys();
/// All keys of a plugin: the common ones first.
std::vector<Key> all_keys(const std::vector<Key>& plugin_keys);

/// Reads the body of a configuration message. `given` is empty where there is no configuration: then come the defaults.
Result<Configuration> make_configuration(const Object& given, const std::vector<Key>& plugin_keys);

}  // namespace vmmi
