// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "system/fd.h"

namespace vmmi::system {

/// What a signal asks for.
enum class Request {
    status,         ///< SIGUSR1
    detach,         ///< SIGTERM, SIGQUIT
    abort,          ///< SIGINT
    abort_by_stop,  ///< SIGSTOP, by way of the guard
};

/// The signals of the interface as a descriptor to wait for. They are blocked in this thread and in every thread that
/// it starts later, so this comes before any thread. What would end or stop the plugin without a word is ignored:
/// SIGPIPE (a dead reader), SIGHUP (a closed terminal), SIGTSTP, SIGTTIN and SIGTTOU (job control), SIGXFSZ and SIGXCPU
/// (limits of the caller), SIGALRM (its timer), SIGUSR2 (a mistake).
class Signals {
  public:
    Signals();

    /// None where the table of descriptors is full.
    explicit operator bool() const { return static_cast<bool>(fd_); }
    int fd() const { return fd_.get(); }
    /// What the next signal that came asks for, or nothing.
    std::optional<Request> next();
    /// Makes `next` give SIGUSR1 once more: it came before there was anything to tell.
    void defer_status_request() { status_deferred_ = true; }

  private:
    Fd fd_;
    bool status_deferred_ = false;
};

}  // namespace vmmi::system
