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
    return std::generic_category().message(number);
}

}  // namespace vmmi::supervisor
