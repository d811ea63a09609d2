// SPDX-License-Identifier: Apache-2.0
#include "system/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "system/guard.h"

namespace vmmi::system {

Signals::Signals() {
    for (const int signal : {SIGPIPE, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU, SIGXFSZ, SIGXCPU, SIGALRM, SIGUSR2})
        ::signal(signal, SIG_IGN);
    // If the caller ignores the end of its children, that is inherited, and libvirt could not wait for its ssh.
    ::signal(SIGCHLD, SIG_DFL);
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : {SIGUSR1, SIGTERM, SIGQUIT, SIGINT}) {
        // A shell starts background jobs with SIGINT ignored, and an ignored signal reaches no signalfd.
        ::signal(signal, SIG_DFL);
        ::sigaddset(&set, signal);
    }
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    fd_ = Fd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

std::optional<Request> Signals::next() {
    if (std::exchange(status_deferred_, false)) return Request::status;
    signalfd_siginfo info{};
    if (::read(fd_.get(), &info, sizeof info) != sizeof info) return std::nullopt;
    switch (info.ssi_signo) {
        case SIGUSR1:
            return Request::status;
        case SIGINT:
            return info.ssi_code == SI_QUEUE && info.ssi_int == Guard::mark ? Request::abort_by_stop : Request::abort;
        default:
            return Request::detach;
    }
}

}  // namespace vmmi::system
