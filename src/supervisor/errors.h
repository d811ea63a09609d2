// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "vmmi/libvmmi.h"
#include "vmmi/result.h"

namespace vmmi::supervisor {

/// The supervisor's own codes, below 0, travel in the same Error as those of the interface.
inline tl::unexpected<Error> refuse(int code, std::string message, std::string details) {
    return fail(static_cast<ErrorCode>(code), std::move(message), std::move(details));
}

inline std::string system_error(int number = errno) {
    std::string text = std::generic_category().message(number);
    if (number == EMFILE) text += "; raise the limit of descriptors of this process (ulimit -n, LimitNOFILE=)";
    if (number == ENFILE) text += "; raise the limit of descriptors of the system (sysctl fs.file-max)";
    return text;
}

/// The system gives no more for now: that says nothing about what was to be looked at.
inline bool is_shortage(int number = errno) {
    return number == EMFILE || number == ENFILE || number == ENOMEM;
}

inline tl::unexpected<Error> not_looked_at(const std::string& what, int number = errno) {
    return refuse(VMMI_E_SYSTEM, "no look", what + " could not be looked at: " + system_error(number));
}

}  // namespace vmmi::supervisor
