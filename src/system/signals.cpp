// SPDX-License-Identifier: Apache-2.0
#include "system/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <utility>

namespace vmmi::system {

Signals::Signals() {
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) {
        // A shell starts background jobs with SIGINT ignored, and an ignored signal reaches no signalfd.
        ::signal(signal, SIG_DFL);
        ::sigaddset(&set, signal);
    }
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    fd_ = Fd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

std::optional<int> Signals::next() {
    if (std::exchange(status_deferred_, false)) return SIGUSR1;
    signalfd_siginfo info{};
    if (::read(fd_.get(), &info, sizeof info) != sizeof info) return std::nullopt;
    return static_cast<int>(info.ssi_signo);
}

}  // namespace vmmi::system
