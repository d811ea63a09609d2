// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "supervisor/spawn.h"
#include "vmmi/libvmmi.h"
#include "vmmi/result.h"

namespace vmmi::supervisor {

/// Far above any real message (a completion of 1000 actions has 300 KiB), far below what would hurt.
inline constexpr std::size_t longest_completion = std::size_t{1} << 20;
inline constexpr std::size_t longest_status = std::size_t{64} << 10;

/// A status message as values; nothing where the line is none. Words that go to a terminal hold no control characters.
std::optional<vmmi_status> read_status(std::string_view line);

/// How a run ended: what the completion message says, or what is wrong with it.
struct Conclusion {
    vmmi_result result{};
    std::optional<Error> error;  ///< absent: success
    std::string completion;      ///< the message, where there is one
};
/// Nothing is known.
vmmi_result empty_result();
/// From all that the plugin wrote to its standard error, and how its process ended. `what` begins sentences: the
/// plugin's name and guest.
Conclusion conclude(std::string_view written, const Ending& ending, const std::string& what);
/// The same where there is nothing to read.
Conclusion conclude(Error error, const Ending& ending);

/// What a check message and the completion message after it say. The message is `json`.
struct CheckAnswer {
    std::string json;
    std::optional<Error> error;  ///< absent: ready
};
CheckAnswer read_check(const std::string& output, const std::string& written, const Ending& ending,
                       const std::string& what);

}  // namespace vmmi::supervisor
