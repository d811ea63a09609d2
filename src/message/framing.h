// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "vmmi/result.h"

namespace vmmi::message {

/// Finds the end of one JSON object in a stream that need not end there: a pipe stays open, and whatever follows the
/// object is ignored. It counts braces outside of strings; whether the object is well formed is for the parser to say.
class Framing {
  public:
    enum class State {
        incomplete,  ///< wants more
        complete,    ///< `text` is the object
        hopeless,    ///< no object can come of it: it does not begin with a brace, or it is too long
    };
    /// Far above any real configuration, far below what would hurt.
    static constexpr std::size_t longest = std::size_t{1} << 20;

    /// Takes the next bytes.
    State feed(std::string_view bytes);

    const std::string& text() const { return text_; }
    bool too_long() const { return text_.size() >= longest; }

  private:
    std::string text_;
    std::size_t depth_ = 0;
    bool in_string_ = false;
    bool escaped_ = false;
};

}  // namespace vmmi::message
