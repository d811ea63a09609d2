// SPDX-License-Identifier: Apache-2.0
#include "system/guard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstddef>

#include "system/fd.h"

// A sanitizer's records belong to a thread, and the guard has none.
#define VMMI_BARE __attribute__((no_sanitize("address", "thread", "undefined")))

#ifdef __SANITIZE_THREAD__
// ThreadSanitizer takes any call of clone for a fork, of which it would be the other side, too.
extern "C" int __clone(int (*)(void*), void*, int, void*, ...) noexcept;
#define clone __clone
#endif

namespace vmmi::system {
namespace {

/// Short enough that a stop is over before anybody misses the plugin, long enough to cost nothing.
constexpr long interval_ns = 90'000'000;

struct Watched {
    int process;
    int stat;
};

static_assert(sizeof(long) == 8, "the system calls below are those of 64-bit machines");

/// Of the guard, which runs in the plugin's own memory: a copy would take the plugin a millisecond, in faults
/// afterwards for the most part. So it leaves everything but its stack alone. Hence no call of the C library but this
/// one, which writes errno where a call fails, and then the plugin is gone.
template <typename... Arguments>
VMMI_BARE inline long call(long number, Arguments... arguments) {
    return ::syscall(number, arguments...);
}

VMMI_BARE bool is_stopped(const char* text, std::size_t length) {
    // The third field, behind a name in parentheses that may hold anything.
    for (const char* end = text + length; end != text; --end) {
        if (end[-1] == ')') return text + length - end >= 3 && end[0] == ' ' && end[1] == 'T' && end[2] == ' ';
    }
    return false;
}

VMMI_BARE int watch(void* opaque) {
    const Watched given = *static_cast<const Watched*>(opaque);
    call(SYS_setsid);
    call(SYS_prctl, PR_SET_NAME, "vmmi-guard");
    // The caller waits for the end of its pipes: none of them may stay open in here. Both are above 2, where the
    // standard ones are open.
    constexpr int process = 0;
    constexpr int stat = 1;
    constexpr unsigned int others = 2;
    call(SYS_dup3, given.process, process, 0);
    call(SYS_dup3, given.stat, stat, 0);
    call(SYS_close_range, others, UINT_MAX, 0);
    siginfo_t marked{};
    marked.si_signo = SIGINT;
    marked.si_code = SI_QUEUE;
    marked.si_pid = static_cast<pid_t>(call(SYS_getpid));
    marked.si_uid = static_cast<uid_t>(call(SYS_getuid));
    marked.si_value.sival_int = Guard::mark;
    for (;;) {
        pollfd end{process, POLLIN, 0};
        timespec interval{0, interval_ns};
        if (call(SYS_ppoll, &end, 1, &interval, nullptr, 0) != 0) return 0;  // its end is all that there is to read
        char text[512];
        const long length = call(SYS_pread64, stat, text, sizeof text, 0L);
        if (length <= 0) return 0;
        if (!is_stopped(text, static_cast<std::size_t>(length))) continue;
        call(SYS_pidfd_send_signal, process, SIGINT, &marked, 0);
        call(SYS_pidfd_send_signal, process, SIGCONT, nullptr, 0);
    }
}

}  // namespace

bool Guard::tells_a_stop(std::string_view stat) {
    return is_stopped(stat.data(), stat.size());
}

Guard::Guard() {
    const pid_t self = ::getpid();
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, self, 0)));
    // Of the main thread: that of the process counts up all threads each time it is read.
    const Fd stat(::open(fmt::format("/proc/{}/task/{}/stat", self, self).c_str(), O_RDONLY | O_CLOEXEC));
    if (!process || !stat) return;
    // For as long as the guard runs, which is longer than this object and anything else in here.
    alignas(16) static std::array<std::byte, 16 << 10> stack;
    static Watched watched;
    watched = {process.get(), stat.get()};
    // SIGTERM and SIGINT are for the plugin; the guard ends with it and not before.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    started_ = ::clone(watch, stack.data() + stack.size(), CLONE_VM | SIGCHLD, &watched) > 0;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace vmmi::system
