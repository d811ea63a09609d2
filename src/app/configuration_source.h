// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "system/signals.h"
#include "vmmi/result.h"
#include "vmmi/value.h"

namespace vmmi::app {

/// Where the configuration message comes from: a path, standard input ("-"), or the default path, which may be missing.
struct ConfigurationSource {
    std::optional<std::string> argument;
    std::string default_path;

    /// As an error message calls it.
    std::string name() const;
};

/// The body of the configuration message; empty where the default file is missing.
/// Fails with `bad_file_path` or `malformed_configuration`, and, if told to leave while it waits for standard input,
/// with `detached` or `migration_aborted`.
Result<Object> obtain_configuration(const ConfigurationSource& source, system::Signals& signals);

}  // namespace vmmi::app
