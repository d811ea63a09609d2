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
    /// Makes `next` give SIGUSR1 once more: it came before there was anything to tell.
    void defer_status_request() { status_deferred_ = true; }

  private:
    Fd fd_;
    bool status_deferred_ = false;
};

}  // namespace vmmi::system
