// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "system/fd.h"
#include "vmmi/result.h"

namespace vmmi::supervisor {

/// A number is given to other processes in time; with the moment at which the process began, it is its own until the
/// next boot.
struct Identity {
    pid_t pid = 0;
    std::uint64_t started = 0;  ///< in clock ticks since the boot

    friend bool operator==(const Identity&, const Identity&) = default;
};

/// From a line of /proc/PID/stat; nothing where it is none, or tells of a process that has ended and was not waited
/// for.
std::optional<Identity> identity_of(std::string_view stat);

/// Where process numbers and moments mean what they mean here: this boot, and this namespace of process numbers.
struct Place {
    std::string boot;
    std::uint64_t pid_namespace = 0;

    friend bool operator==(const Place&, const Place&) = default;
};
/// Fails with VMMI_E_SYSTEM where descriptors or memory are short.
Result<Place> this_place();

/// A descriptor of that very process, or none where it has ended. Fails with VMMI_E_SYSTEM where that cannot be told.
Result<system::Fd> open_process(const Identity& identity);

}  // namespace vmmi::supervisor
