// SPDX-License-Identifier: Apache-2.0
#include "system/guard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <string_view>

namespace vmmi::system {
namespace {

/// Short enough that a stop is over before anybody misses the plugin, long enough to cost nothing.
constexpr int interval_ms = 50;

/// The third field of /proc/PID/stat, behind a name in parentheses that may hold anything.
char state_in(std::string_view stat) {
    const std::size_t end = stat.rfind(')');
    return end == std::string_view::npos || end + 2 >= stat.size() ? '\0' : stat[end + 2];
}

[[noreturn]] void watch(pid_t watched, int stat, int alive) {
    for (;;) {
        pollfd end{alive, POLLIN, 0};
        if (::poll(&end, 1, interval_ms) != 0) ::_exit(0);  // nothing is ever written: it can only be the end
        std::array<char, 512> text{};
        const ssize_t length = ::pread(stat, text.data(), text.size(), 0);
        if (length <= 0 || ::getppid() != watched) ::_exit(0);
        constexpr char stopped = 'T';
        if (state_in({text.data(), static_cast<std::size_t>(length)}) != stopped) continue;
        sigval value{};
        value.sival_int = Guard::mark;
        ::sigqueue(watched, SIGINT, value);
        ::kill(watched, SIGCONT);
    }
}

}  // namespace

Guard::Guard() {
    const pid_t watched = ::getpid();
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
    Fd reading(ends[0]);
    Fd writing(ends[1]);
    const Fd stat(::open(fmt::format("/proc/{}/stat", watched).c_str(), O_RDONLY | O_CLOEXEC));
    if (!stat) return;
    const pid_t guard = ::fork();
    if (guard < 0) return;
    if (guard > 0) {
        alive_ = std::move(writing);
        return;
    }
    ::setsid();
    ::prctl(PR_SET_NAME, "vmmi-guard");
    // The caller waits for the end of its pipes: none of them may stay open in here.
    constexpr int first = 0;
    constexpr int second = 1;
    constexpr unsigned int others = 2;
    const int kept_stat = ::fcntl(stat.get(), F_DUPFD, 100);
    const int kept_alive = ::fcntl(reading.get(), F_DUPFD, 100);
    ::dup2(kept_stat, first);
    ::dup2(kept_alive, second);
    ::close_range(others, UINT_MAX, 0);
    // SIGTERM and SIGINT are for the plugin; the guard ends with it and not before.
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    watch(watched, first, second);
}

}  // namespace vmmi::system
