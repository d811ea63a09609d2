// SPDX-License-Identifier: Apache-2.0
#include "supervisor/spawn.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "core/describe.h"
#include "supervisor/errors.h"

#if defined(__clang__)
#define VMMI_NOT_INSTRUMENTED __attribute__((no_sanitize("address", "thread", "undefined")))
#else
#define VMMI_NOT_INSTRUMENTED __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize_undefined))
#endif

namespace vmmi::supervisor {
namespace {

/// What the child works with: made before, since it shares this memory and may not allocate.
struct Plan {
    const char* path;
    char* const* arguments;
    char* const* environment;
    std::array<int, 3> streams;
    int identity;
    std::uint64_t largest_file;
    /// The child's answer, where it could not become the program: what it could not do, or nothing, and why.
    const char* failed;
    int error;
};

[[noreturn]] VMMI_NOT_INSTRUMENTED void give_up(Plan& plan, const char* what) {
    plan.error = errno;
    plan.failed = what;
    ::_exit(EXIT_FAILURE);
}

VMMI_NOT_INSTRUMENTED bool write_identity(int file) {
    std::array<char, 1024> line{};
    const int stat = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    const ssize_t length = ::read(stat, line.data(), line.size());
    if (length <= 0) return false;
    const ssize_t written = ::write(file, line.data(), static_cast<std::size_t>(length));
    if (written >= 0 && written < length) errno = ENOSPC;
    return written == length;
}

/// All but the standard ones. Some filters of system calls have no close_range: then the list of what is open tells.
VMMI_NOT_INSTRUMENTED bool close_descriptors() {
    if (::close_range(3, ~0U, 0) == 0) return true;
    const int folder = ::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return false;
    alignas(dirent64) std::array<char, 4096> block{};
    while (true) {
        const long length = ::syscall(SYS_getdents64, folder, block.data(), block.size());
        if (length <= 0) return length == 0;
        for (long at = 0; at < length;) {
            const auto* entry = reinterpret_cast<const dirent64*>(block.data() + at);
            int number = 0;
            for (const char* digit = entry->d_name; *digit >= '0' && *digit <= '9'; ++digit)
                number = number * 10 + (*digit - '0');
            if (number > 2 && number != folder) ::close(number);
            at += entry->d_reclen;
        }
    }
}

/// In the child, which shares the memory of this process and holds up its thread until it is another program: nothing
/// but system calls.
VMMI_NOT_INSTRUMENTED int become(void* argument) {
    Plan& plan = *static_cast<Plan*>(argument);
    struct sigaction usual {};
    usual.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &usual, nullptr);
    ::setsid();
    ::umask(S_IWGRP | S_IWOTH);
    if (::chdir("/") != 0) give_up(plan, "its folder could not be /: ");
    if (plan.identity >= 0 && !write_identity(plan.identity)) give_up(plan, "its identity could not be written: ");
    for (int target = 0; target < 3; ++target) {
        const int stream = plan.streams[static_cast<std::size_t>(target)];
        if (::dup2(stream, target) < 0) give_up(plan, "it could not get its standard streams: ");
        ::close(stream);
    }
    if (!close_descriptors()) give_up(plan, "what this process has open could not be kept from it: ");
    if (plan.largest_file > 0) {
        rlimit limit{};
        if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur > plan.largest_file) {
            limit.rlim_cur = plan.largest_file;
            ::setrlimit(RLIMIT_FSIZE, &limit);
        }
    }
    sigset_t later;
    ::sigemptyset(&later);
    for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) ::sigaddset(&later, signal);
    ::sigprocmask(SIG_SETMASK, &later, nullptr);
    ::execve(plan.path, plan.arguments, plan.environment);
    give_up(plan, "");
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> list;
    list.reserve(texts.size() + 1);
    for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
    list.push_back(nullptr);
    return list;
}

/// While the child shares our memory, no handler of the host program may run in it, and nobody may cancel us.
class Undisturbed {
  public:
    Undisturbed() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
        ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state_);
    }
    Undisturbed(const Undisturbed&) = delete;
    Undisturbed& operator=(const Undisturbed&) = delete;
    ~Undisturbed() {
        ::pthread_setcancelstate(cancel_state_, nullptr);
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

  private:
    sigset_t before_{};
    int cancel_state_ = PTHREAD_CANCEL_ENABLE;
};

/// Not one of 0 to 2: the child puts them in their places one after the other.
Result<system::Fd> above_the_standard_ones(int fd) {
    system::Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) return refuse(VMMI_E_SYSTEM, "no descriptor", "a descriptor could not be copied: " + system_error());
    return copy;
}

/// As <linux/pidfd.h> has it since Linux 6.15.
struct PidfdInfo {
    std::uint64_t mask;
    std::uint64_t cgroup;
    std::array<std::uint32_t, 11> ids;
    std::int32_t exit_code;
};

Ending from_code(int code) {
    if (WIFEXITED(code)) return {WEXITSTATUS(code), 0};
    return {-1, WIFSIGNALED(code) ? WTERMSIG(code) : 0};
}

bool is_passed_on(std::string_view variable) {
    // Locale, time zone, and what libvirt's clients look for: ssh and its agent, Kerberos, the user's folders.
    constexpr std::array<std::string_view, 15> passed{"PATH",
                                                      "LANG",
                                                      "LANGUAGE",
                                                      "TZ",
                                                      "HOME",
                                                      "USER",
                                                      "LOGNAME",
                                                      "TMPDIR",
                                                      "XDG_RUNTIME_DIR",
                                                      "XDG_CONFIG_HOME",
                                                      "XDG_CACHE_HOME",
                                                      "SSH_AUTH_SOCK",
                                                      "KRB5CCNAME",
                                                      "KRB5_CONFIG",
                                                      "KRB5_CLIENT_KTNAME"};
    const std::string_view name = variable.substr(0, variable.find('='));
    return name.starts_with("LC_") || std::ranges::find(passed, name) != passed.end();
}

}  // namespace

Result<Child> spawn(const Program& program) {
    std::vector<std::string> words{program.path};
    words.insert(words.end(), program.arguments.begin(), program.arguments.end());
    const std::vector<char*> arguments = pointers(words);
    const std::vector<char*> environment = pointers(program.environment);
    std::array<system::Fd, 3> streams;
    for (std::size_t i = 0; i < streams.size(); ++i) {
        const std::array<int, 3> given{program.input, program.output, program.error};
        Result<system::Fd> moved = above_the_standard_ones(given[i]);
        if (!moved) return fail(moved.error());
        streams[i] = std::move(*moved);
    }
    Plan plan{program.path.c_str(),
              arguments.data(),
              environment.data(),
              {streams[0].get(), streams[1].get(), streams[2].get()},
              program.identity,
              program.largest_file,
              nullptr,
              0};

    constexpr std::size_t stack_size = 256 << 10;
    void* stack = ::mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return refuse(VMMI_E_SYSTEM, "no memory", "the system gives no more memory: " + system_error());
    int pidfd = -1;
    pid_t pid = -1;
    int error = 0;
    {
        const Undisturbed undisturbed;
        // As posix_spawn does it, which knows neither pidfds nor limits: the page tables are not copied.
        pid = ::clone(become, static_cast<char*>(stack) + stack_size, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                      &plan, &pidfd);
        error = errno;
    }
    ::munmap(stack, stack_size);
    if (pid < 0) {
        return refuse(VMMI_E_SYSTEM, "no process",
                      fmt::format("{} could not be started: {}; raise the limits of processes and memory of this one "
                                  "(ulimit -u, TasksMax=)",
                                  quote(program.path), system_error(error)));
    }
    Child child{pid, system::Fd(pidfd)};
    if (plan.failed == nullptr) return child;
    ::waitid(P_PIDFD, static_cast<id_t>(pidfd), nullptr, WEXITED);
    return refuse(
        VMMI_E_SYSTEM, "not started",
        fmt::format("{} could not be started: {}{}", quote(program.path), plan.failed, system_error(plan.error)));
}

std::vector<std::string> clean_environment(const std::vector<std::string>& more) {
    std::vector<std::string> environment;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        if (is_passed_on(*variable)) environment.emplace_back(*variable);
    }
    for (const std::string& added : more) {
        const std::string name = added.substr(0, added.find('=')) + "=";
        std::erase_if(environment, [&](const std::string& one) { return one.starts_with(name); });
        environment.push_back(added);
    }
    return environment;
}

Ending ending_of(int pidfd) {
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0)
        return info.si_code == CLD_EXITED ? Ending{info.si_status, 0} : Ending{-1, info.si_status};
    constexpr std::uint64_t exit_information = 1 << 3;
    PidfdInfo asked{};
    asked.mask = exit_information;
    static_assert(sizeof(PidfdInfo) == 64);
    constexpr unsigned long get_info = _IOWR(0xFF, 11, PidfdInfo);
    if (::ioctl(pidfd, get_info, &asked) == 0 && (asked.mask & exit_information) != 0)
        return from_code(asked.exit_code);
    return {};
}

}  // namespace vmmi::supervisor
