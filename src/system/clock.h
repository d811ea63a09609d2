// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace vmmi::system {

/// Wall-clock seconds for messages. They order the messages of one run, so they never run backwards, whatever the
/// clock does.
class Timestamps {
  public:
    std::uint64_t next() {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
        last_ = std::max(last_, static_cast<std::uint64_t>(std::max<std::int64_t>(0, seconds)));
        return last_;
    }

  private:
    std::uint64_t last_ = 0;
};

}  // namespace vmmi::system
