// SPDX-License-Identifier: Apache-2.0
#include "core/recovery.h"

#include <fmt/format.h>

namespace vmmi {

std::optional<std::string> obstacle_to_recovery(const Version& source, const Version& destination) {
    constexpr std::uint64_t oldest = version(8, 5);
    constexpr std::uint64_t first_that_crashes = version(11, 2);
    constexpr std::uint64_t repaired = version(11, 4);
    const auto too_old = [&](const char* where, const Version& libvirt) {
        return fmt::format(
            "libvirt {} at the {} cannot resume a post-copy: that needs {}; update it, guests stay as they "
            "are meanwhile",
            version_text(*libvirt), where, version_text(oldest));
    };
    if (source && *source < oldest) return too_old("source", source);
    if (destination && *destination < oldest) return too_old("destination", destination);
    if (destination && *destination >= first_that_crashes && *destination < repaired)
        return fmt::format(
            "libvirt {} at the destination would crash on it: update it there to {} or later, guests stay "
            "as they are meanwhile",
            version_text(*destination), version_text(repaired));
    return std::nullopt;
}

}  // namespace vmmi
