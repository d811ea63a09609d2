// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace vmmi {

/// A version as libvirt has it: 1 000 000 * major + 1000 * minor + release. None: not known.
using Version = std::optional<std::uint64_t>;

constexpr std::uint64_t version(std::uint64_t major, std::uint64_t minor, std::uint64_t release = 0) {
    return 1'000'000 * major + 1'000 * minor + release;
}
std::string version_text(std::uint64_t version);

/// What a daemon tells of its host. Empty or none: it did not tell.
struct HostFacts {
    /// Whether its hypervisor migrates at all, and guests that run.
    enum class Migration { unknown, none, not_live, live };

    std::string name;
    std::string uuid;
    std::string hypervisor;      ///< libvirt's word for it: "QEMU"
    Version hypervisor_version;  ///< of the one that new guests get
    Version libvirt;             ///< the daemon's
    Migration migration = Migration::unknown;
};

}  // namespace vmmi
