// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmmi {

/// The known name that a misspelt one most probably meant: the smallest edit distance, letter case ignored, if it is
/// at most a third of the name's length.
std::optional<std::string> nearest(std::string_view name, const std::vector<std::string>& known);

}  // namespace vmmi
