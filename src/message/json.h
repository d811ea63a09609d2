// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "vmmi/result.h"
#include "vmmi/value.h"

namespace vmmi::message {

/// One JSON object, with nothing but white space around it. Keys may not occur twice: which of the two was meant,
/// nobody can know. Numbers are 64-bit integers or doubles. Fails with `malformed_configuration`.
Result<Object> parse_json(std::string_view text);

/// On one line, members in their order. Text that is not UTF-8 is written with replacement characters.
std::string to_json(const Value& value);
/// The same for people: indented.
std::string to_pretty_json(const Value& value);

}  // namespace vmmi::message
