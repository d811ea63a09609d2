// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string_view>

#include "core/report.h"
#include "message/json.h"
#include "message/messages.h"
#include "vmmi/result.h"

/// What libFuzzer calls with every input; defined once in each of these programs.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace vmmi::fuzz {

/// Ends the program where something does not hold that has to, whatever the input.
inline void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

inline bool has_control_characters(std::string_view text) {
    return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// An error is one of those that the interface has for this, is safe to show and makes a valid message.
inline void require_sound(const Error& error, std::initializer_list<ErrorCode> codes) {
    require(std::ranges::find(codes, error.code) != codes.end(), "the error code is one for this input");
    require(!error.message.empty() && !error.details.empty(), "an error says something");
    require(error.details.size() < 4000, "the size of details is bounded");
    require(!has_control_characters(error.details), "details have no control characters");
    Outcome outcome;
    outcome.error = error;
    const std::string message = message::completion_message(outcome, 1);
    require(message.find('\n') == std::string::npos, "a message is one line");
    require(message::parse_json(message).has_value(), "a message is JSON in UTF-8");
}

}  // namespace vmmi::fuzz
