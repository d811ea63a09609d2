// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace vmmi {

/// The parts of a URI that say where it leads. Where one is missing it is empty.
struct Uri {
    std::string scheme;     ///< in lower case, before any "+"
    std::string transport;  ///< what follows the "+": "ssh" of qemu+ssh://
    std::string host;       ///< without user, port and brackets
    std::string port;
    std::string path;
    std::string query;
};

/// Takes any text. libvirt's old form of migration URIs, "tcp:HOST", is read as "tcp://HOST".
Uri parse_uri(std::string_view text);

/// Whether this is the name or an address of whatever machine looks it up.
bool is_loopback(const std::string& host);

}  // namespace vmmi
