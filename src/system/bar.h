// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace vmmi::system {

/// The text behind a bar that is filled that far, on one line for a terminal of that width, without escape sequences.
/// The bar takes what the text leaves; where that is too little for one, the text stands alone, cut at the edge.
std::string with_bar(const std::string& text, int percent, int width);

}  // namespace vmmi::system
