// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "core/configuration.h"
#include "hypervisor/libvirt_handle.h"
#include "vmmi/result.h"

namespace vmmi::hypervisor {

/// A libvirt daemon, and who asks.
struct Endpoint {
    std::string uri;
    Credentials credentials;
    std::chrono::seconds timeout{30};  ///< without an answer for so long, the daemon counts as lost
    /// Asked before a connection is opened: why there can be none now.
    std::optional<Error> (*obstacle)() = nullptr;
};

/// Opens a connection that notices a daemon which does not answer. The password is read for this one call and wiped
/// after it. Never prompts. Fails with `bad_file_path` for the password file and `libvirt_disconnected` for libvirt,
/// whose answer `last_error` has then.
Result<Connection> open_connection(const Endpoint& endpoint);

/// Why the password file is of no use, or nothing.
std::optional<Error> check_credentials(const Credentials& credentials);

}  // namespace vmmi::hypervisor
