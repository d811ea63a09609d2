// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "core/check.h"
#include "core/configuration.h"
#include "core/report.h"
#include "vmmi/result.h"

namespace vmmi::message {

inline constexpr const char* interface_version = "0.4.1";

/// The body of a configuration message, or why it is not one.
Result<Object> read_configuration(std::string_view text);

/// Messages as one line of JSON, without a line end. `timestamp` is in seconds since the epoch.
std::string status_message(const Status& status, std::uint64_t timestamp);
std::string check_message(const CheckReport& report, std::uint64_t timestamp);
std::string completion_message(const Outcome& outcome, std::uint64_t timestamp);

/// A complete configuration message for people to read and to use again; secrets are masked.
std::string configuration_message(const Configuration& configuration);

}  // namespace vmmi::message
