// SPDX-License-Identifier: Apache-2.0
#include "core/host.h"

#include <fmt/format.h>

namespace vmmi {

std::string version_text(std::uint64_t version) {
    return fmt::format("{}.{}.{}", version / 1'000'000, version / 1'000 % 1'000, version % 1'000);
}

}  // namespace vmmi
