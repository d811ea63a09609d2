// SPDX-License-Identifier: Apache-2.0
#include "message/framing.h"

namespace vmmi::message {
namespace {

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

}  // namespace

Framing::State Framing::feed(std::string_view bytes) {
    for (const char c : bytes) {
        if (depth_ == 0 && is_space(c)) continue;
        if (too_long()) return State::hopeless;
        text_ += c;
        if (depth_ == 0 && c != '{') return State::hopeless;
        if (in_string_) {
            if (escaped_)
                escaped_ = false;
            else if (c == '\\')
                escaped_ = true;
            else if (c == '"')
                in_string_ = false;
        } else if (c == '"') {
            in_string_ = true;
        } else if (c == '{' || c == '[') {
            ++depth_;
        } else if (c == '}' || c == ']') {
            if (--depth_ == 0) return State::complete;
        }
    }
    return State::incomplete;
}

}  // namespace vmmi::message
