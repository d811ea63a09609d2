// SPDX-License-Identifier: Apache-2.0
#include "system/guard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
extern "C" {
#include <sys/pidfd.h>  // says nothing of C++ itself
}
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>

#include "system/fd.h"

namespace vmmi::system {
namespace {

/// Short enough that a stop is over before anybody misses the plugin, long enough to cost nothing.
constexpr int interval_ms = 90;

[[noreturn]] void watch(int watched, int stat) {
    siginfo_t marked{};
    marked.si_signo = SIGINT;
    marked.si_code = SI_QUEUE;
    marked.si_pid = ::getpid();
    marked.si_uid = ::getuid();
    marked.si_value.sival_int = Guard::mark;
    for (;;) {
        pollfd end{watched, POLLIN, 0};
        if (::poll(&end, 1, interval_ms) != 0) ::_exit(0);  // its end is all that there is to read
        std::array<char, 512> text{};
        const ssize_t length = ::pread(stat, text.data(), text.size(), 0);
        if (length <= 0) ::_exit(0);
        if (!Guard::tells_a_stop({text.data(), static_cast<std::size_t>(length)})) continue;
        ::pidfd_send_signal(watched, SIGINT, &marked, 0);
        ::pidfd_send_signal(watched, SIGCONT, nullptr, 0);
    }
}

}  // namespace

bool Guard::tells_a_stop(std::string_view stat) {
    // The third field, behind a name in parentheses that may hold anything.
    const std::size_t end = stat.rfind(')');
    return end != std::string_view::npos && stat.substr(end + 1).starts_with(" T ");
}

Guard::Guard() {
    const pid_t self = ::getpid();
    const Fd watched(::pidfd_open(self, 0));
    // Of the main thread: that of the process counts up all threads each time it is read.
    const Fd stat(::open(fmt::format("/proc/{}/task/{}/stat", self, self).c_str(), O_RDONLY | O_CLOEXEC));
    if (!watched || !stat) return;
    const pid_t guard = ::fork();
    if (guard != 0) {
        started_ = guard > 0;
        return;
    }
    // SIGTERM and SIGINT are for the plugin; the guard ends with it and not before.
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    ::setsid();
    ::prctl(PR_SET_NAME, "vmmi-guard");
    // The caller waits for the end of its pipes: none of them may stay open in here. Both are above 2, where the
    // standard ones are open.
    constexpr int first = 0;
    constexpr int second = 1;
    constexpr unsigned int others = 2;
    ::dup2(watched.get(), first);
    ::dup2(stat.get(), second);
    ::close_range(others, UINT_MAX, 0);
    watch(first, second);
}

}  // namespace vmmi::system
