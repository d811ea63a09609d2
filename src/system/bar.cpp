// SPDX-License-Identifier: Apache-2.0
#include "system/bar.h"

#include <algorithm>
#include <cstddef>

namespace vmmi::system {

std::string with_bar(const std::string& text, int percent, int width) {
    const int columns = std::max(width - 1, 0);  // a full last column would wrap
    constexpr int shortest = 10;
    constexpr int longest = 40;
    const int cells = std::min(columns - static_cast<int>(text.size()) - 3, longest);
    if (cells < shortest) return text.substr(0, static_cast<std::size_t>(columns));
    const auto full = static_cast<std::size_t>(cells * std::clamp(percent, 0, 100) / 100);
    return '[' + std::string(full, '#') + std::string(static_cast<std::size_t>(cells) - full, '.') + "] " + text;
}

}  // namespace vmmi::system
