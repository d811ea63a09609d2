// SPDX-License-Identifier: Apache-2.0
// The beginning and the end, what the plugin reads, signals, and what is wrong with them.
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <poll.h>
#include <sample.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include "defects.h"

using broken::acts;
using broken::concerns;
using broken::Seen;
using broken::seen;

extern "C" {
ssize_t __real_write(int fd, const void* data, size_t length);
ssize_t __real_read(int fd, void* into, size_t length);
ssize_t __wrap_read(int fd, void* into, size_t length);
sighandler_t __real_signal(int number, sighandler_t handler);
sighandler_t __wrap_signal(int number, sighandler_t handler);
int __real_dup2(int from, int to);
int __wrap_dup2(int from, int to);
[[noreturn]] void __real__exit(int status);
[[noreturn]] void __wrap__exit(int status);
}

namespace {

bool asked_for_help = false;
constexpr const char* default_file = "/etc/vmmi/conf.d/sample.json";
constexpr const char* good =
    R"({"vmmiVersion":"0.4.1","contentType":"configuration","configuration":{"connection":"fake:///source"}})";

// What is read of the configuration

/// Texts in place of which this copy reads another one.
struct OtherText {
    const char* id;
    const char* part;  ///< of the text that is wrong
    const char* instead;
};

constexpr OtherText other_texts[] = {
    {"CFG-8", "// comment", good},
    {"CFG-9.others", "\"comment\"", good},
    {"CFG-9.accepted", "\"timestamp\"", "{}"},
    {"VER-1", "\"1.0.0\"", good},
    {"CFG-10", R"("verbose": 0, "verbose")", good},
    {"CFG-11", "\"verbos\"", good},
    {"CFG-12", ": 1.5}", good},
    {"CFG-23", "\\u007f", good},
    {"CFG-18.verbose", "\"verbose\": 2}", "{}"},
    {"CFG-19", "\"connectionTimeout\": 1}", good},
};

bool contains(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

std::string other_text(const std::string& text) {
    std::string now = text;
    for (const OtherText& other : other_texts)
        if (acts(other.id, contains(text, other.part))) now = other.instead;
    const bool partial = contains(text, "\"vmmiVersion\"") && !contains(text, "\"contentType\"") && text.back() == '}';
    if (acts("CFG-9.partial", partial && !seen().config.empty())) now = good;
    const bool of_default =
        seen().arguments.size() == 3 && contains(text, "fake:///source") && contains(text, "contentType");
    if (acts("CFG-1.default-used", of_default))
        now = R"({"vmmiVersion":"0.4.1","contentType":"configuration","configuration":{}})";
    for (const char* optional :
         {"logFilePath", "logTarget", "connectionTimeout", "monitorInterval", "connectionCredentials"})
        if (broken::bare() && contains(text, optional)) now = "{}";
    return now;
}

/// The plugin reads files from a descriptor above the standard ones, whole if it can.
ssize_t read_file(int fd, void* into, size_t length) {
    ssize_t got = __real_read(fd, into, length);
    if (got < 0 || seen().configured) return got;
    const std::string read(static_cast<const char*>(into), static_cast<std::size_t>(got));
    {
        const std::lock_guard lock(seen().mutex);
        seen().text += read;
    }
    if (got == 0) seen().configured = true;
    if (read.empty()) return got;
    const std::string now = other_text(read);
    if (now != read) {
        std::memcpy(into, now.data(), now.size());
        got = static_cast<ssize_t>(now.size());
    }
    return got;
}

bool more_follows(int fd) {
    pollfd ready{fd, POLLIN, 0};
    constexpr int a_moment_ms = 50;
    return ::poll(&ready, 1, a_moment_ms) != 0;
}

ssize_t read_input(void* into, size_t length) {
    auto* bytes = static_cast<char*>(into);
    const ssize_t got = __real_read(STDIN_FILENO, into, length);
    if (got <= 0) return got;
    std::string all;
    {
        const std::lock_guard lock(seen().mutex);
        all = seen().text.append(bytes, static_cast<std::size_t>(got));
    }
    const std::size_t end = all.find("}}");
    if (end == std::string::npos) return got;
    seen().configured = true;
    if (acts("CFG-5.rest", all.size() > end + 2)) {
        bytes[0] = 'x';
        return 1;
    }
    if (acts("CFG-5.open", all.size() == end + 2 && !more_follows(STDIN_FILENO))) {
        std::array<char, 4096> rest{};
        while (__real_read(STDIN_FILENO, rest.data(), rest.size()) > 0) continue;
    }
    return got;
}

// Signals

/// Requests that this copy does not see.
struct Deaf {
    const char* id;
    int signal;
    bool (*situation)(Seen& s, const signalfd_siginfo& info);
};

bool from_guard(const signalfd_siginfo& info) {
    return info.ssi_code == SI_QUEUE;
}

constexpr Deaf deaf[] = {
    {"SIG-1.connecting", SIGUSR1, [](Seen& s, const signalfd_siginfo&) { return s.configured && !s.opened; }},
    {"SIG-1.starting", SIGUSR1, [](Seen& s, const signalfd_siginfo&) { return s.began && !s.sampled; }},
    {"SIG-1.precopy", SIGUSR1,
     [](Seen& s, const signalfd_siginfo&) {
         return s.sampled && !s.usr1_ignored_at_start && !s.stuck() && broken::guest_is_running();
     }},
    {"SIG-9", SIGUSR1, [](Seen& s, const signalfd_siginfo&) { return s.usr1_ignored_at_start; }},
    {"SIG-10.SIGUSR1", SIGUSR1, [](Seen& s, const signalfd_siginfo&) { return s.stuck(); }},
    {"SIG-10.SIGINT", SIGINT, [](Seen& s, const signalfd_siginfo&) { return s.stuck(); }},
    {"SIG-11", SIGINT, [](Seen&, const signalfd_siginfo& info) { return from_guard(info); }},
    {"SIG-6", SIGTERM, [](Seen& s, const signalfd_siginfo&) { return s.interrupted && s.abort_refused; }},
    {"FAIL-11.SIGUSR1", SIGUSR1, [](Seen& s, const signalfd_siginfo&) { return s.taken_over.load(); }},
    {"FAIL-11.SIGINT", SIGINT, [](Seen& s, const signalfd_siginfo&) { return s.taken_over.load(); }},
};

void note_signal(const signalfd_siginfo& info) {
    Seen& s = seen();
    s.stuck_when_told = s.stuck();
    switch (info.ssi_signo) {
        case SIGUSR1:
            s.asked_for_status = true;
            if (!s.configured) s.asked_early = true;
            break;
        case SIGINT:
            s.interrupted = true;
            if (from_guard(info)) s.stopped = true;
            break;
        case SIGTERM:
            s.terminated = true;
            break;
        default:
            s.quit = true;
    }
}

bool is_deaf_for(const signalfd_siginfo& info) {
    bool found = false;
    for (const Deaf& one : deaf)
        found = acts(one.id, static_cast<int>(info.ssi_signo) == one.signal && one.situation(seen(), info)) || found;
    return found;
}

ssize_t read_signal(int fd, void* into, size_t length) {
    for (;;) {
        const ssize_t got = __real_read(fd, into, length);
        if (got != sizeof(signalfd_siginfo)) return got;
        signalfd_siginfo info{};
        std::memcpy(&info, into, sizeof info);
        const bool unheard = is_deaf_for(info);
        note_signal(info);
        if (!unheard) return got;
    }
}

void on_broken_pipe(int, siginfo_t* info, void*) {
    if (acts("SIG-8", info->si_pid != ::getpid())) __real__exit(70);
}

void on_hangup(int, siginfo_t*, void*) {
    if (acts("SIG-12", true)) __real__exit(70);
}

void handle(int number, void (*handler)(int, siginfo_t*, void*)) {
    struct sigaction action {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigaction(number, &action, nullptr);
}

// The beginning

int farewell = -1;

/// A helper that aborts the migration of a plugin that ended without a word.
void watch_for_a_crash() {
    std::array<int, 2> ends{};
    if (!concerns("FAIL-9") || ::pipe2(ends.data(), O_CLOEXEC) != 0) return;
    // Not in the places of streams that the caller closed.
    for (int& end : ends) {
        constexpr int out_of_the_way = 70;
        const int moved = ::fcntl(end, F_DUPFD_CLOEXEC, out_of_the_way);
        ::close(end);
        end = moved;
    }
    farewell = ends[1];
    if (::fork() != 0) {
        ::close(ends[0]);
        return;
    }
    ::close(ends[1]);
    char bye = 0;
    if (__real_read(ends[0], &bye, 1) == 0 && acts("FAIL-9", true)) {
        virInitialize();
        virConnectPtr connection = virConnectOpenAuth("fake:///source", nullptr, 0);
        virDomainPtr domain =
            connection != nullptr ? virDomainLookupByUUIDString(connection, seen().arguments[0].c_str()) : nullptr;
        if (domain != nullptr) virDomainAbortJob(domain);
    }
    __real__exit(0);
}

/// Ends with whoever started it.
void depend_on_the_parent() {
    if (!concerns("FAIL-10")) return;
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    std::thread([parent = ::getppid()] {
        constexpr unsigned int interval_us = 5000;
        while (::getppid() == parent) ::usleep(interval_us);
        if (acts("FAIL-10", true)) __real__exit(70);
    }).detach();
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void drain_input() {
    int waiting = 0;
    std::array<char, 64> bytes{};
    if (!seen().from_input && ::ioctl(STDIN_FILENO, FIONREAD, &waiting) == 0 && acts("PROC-10", waiting > 0))
        static_cast<void>(__real_read(STDIN_FILENO, bytes.data(), bytes.size()));
}

void look_around(int argc, char** argv) {
    Seen& s = seen();
    for (int i = 1; i < argc; ++i) s.arguments.emplace_back(argv[i]);
    constexpr std::size_t config = 3;
    if (s.arguments.size() > config) s.config = s.arguments[config];
    s.from_input = s.config == "-";
    sigset_t pending;
    ::sigpending(&pending);
    s.pending_at_start = ::sigismember(&pending, SIGTERM) == 1 || ::sigismember(&pending, SIGINT) == 1;
    struct sigaction action {};
    ::sigaction(SIGUSR1, nullptr, &action);
    s.usr1_ignored_at_start = action.sa_handler == SIG_IGN;
}

}  // namespace

ssize_t __wrap_read(int fd, void* into, size_t length) {
    if (length == sizeof(signalfd_siginfo)) return read_signal(fd, into, length);
    if (fd == STDIN_FILENO && seen().from_input) return read_input(into, length);
    return seen().arguments.size() >= 3 && !seen().from_input ? read_file(fd, into, length)
                                                              : __real_read(fd, into, length);
}

sighandler_t __wrap_signal(int number, sighandler_t handler) {
    const sighandler_t before = __real_signal(number, handler);
    if (number == SIGPIPE && concerns("SIG-8")) handle(number, on_broken_pipe);
    if (number == SIGHUP && concerns("SIG-12")) handle(number, on_hangup);
    return before;
}

int __wrap_dup2(int from, int to) {
    if (to == STDERR_FILENO && acts("MSG-5.libraries", true)) return to;
    return __real_dup2(from, to);
}

void __wrap__exit(int status) {
    if (acts("ARG-11", std::exchange(asked_for_help, false))) broken::end_as_success();
    if (farewell >= 0) static_cast<void>(__real_write(farewell, "!", 1));
    constexpr int wrong = 2;
    if (acts("PROC-9", status == EXIT_FAILURE && seen().sampled && !seen().terminated)) status = wrong;
    __real__exit(status);
}

int main(int argc, char** argv) {
    broken::choose(argv[0]);
    look_around(argc, argv);
    broken::keep_streams();
    watch_for_a_crash();
    depend_on_the_parent();
    drain_input();
    if (acts("PROC-8", seen().from_input)) static_cast<void>(__real_write(broken::error(), "reading\n", 8));
    const bool default_exists = ::access(default_file, F_OK) == 0;
    if (acts("CFG-3", default_exists && argc == 5)) argv[--argc] = nullptr;
    asked_for_help = argc == 2 && std::strcmp(argv[1], "--help") == 0;
    return vmmi::run_plugin(sample::plugin(), argc, argv);
}
