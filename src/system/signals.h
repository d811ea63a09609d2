// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "system/fd.h"

namespace vmmi::system {

/// The signals of the interface as a descriptor to wait for. They are blocked in this thread and in every thread that
/// it starts later, so this comes before any thread. SIGPIPE is ignored: a dead reader changes nothing.
class Signals {
  public:
    Signals();

    int fd() const { return fd_.get(); }
    /// The next signal that came (SIGUSR1, SIGTERM or SIGINT), or nothing.
    std::optional<int> next();

  private:
    Fd fd_;
};

}  // namespace vmmi::system
