// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace vmmi::supervisor {

/// Text from outside as C callers and terminals can take it: UTF-8 without control characters. What is otherwise
/// becomes question marks.
std::string printable(std::string_view text);

/// Into an array of fixed size, cut between the characters of UTF-8.
template <std::size_t Size>
void put(char (&target)[Size], std::string_view text) {
    const std::string clean = printable(text);
    std::size_t length = std::min(clean.size(), Size - 1);
    while (length > 0 && length < clean.size() && (static_cast<unsigned char>(clean[length]) & 0xc0) == 0x80) --length;
    std::memset(target, 0, Size);
    std::memcpy(target, clean.data(), length);
}

}  // namespace vmmi::supervisor
