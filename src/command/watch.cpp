// SPDX-License-Identifier: Apache-2.0
#include "command/watch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>

#include "command/progress.h"

namespace vmmi::command {
namespace {

sigset_t interrupt_set() {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGINT);
    return set;
}

int terminal_width() {
    winsize size{};
    constexpr int usual = 80;
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : usual;
}

/// Not standard input, which may be the configuration. None where there is nobody to ask.
system::Fd open_terminal() {
    system::Fd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
    // Read in the background, it would stop this process.
    if (terminal && ::tcgetpgrp(terminal.get()) != ::getpgrp()) terminal.reset();
    return terminal;
}

std::chrono::milliseconds interval_of(const CommandLine& line, bool terminal) {
    constexpr double to_milliseconds = 1000;
    if (line.interval > 0) return std::chrono::milliseconds(static_cast<long>(line.interval * to_milliseconds));
    return terminal ? std::chrono::seconds(1) : std::chrono::seconds(5);
}

}  // namespace

void Watch::take_interrupts() {
    const sigset_t set = interrupt_set();
    // A shell starts background jobs with SIGINT ignored.
    ::signal(SIGINT, SIG_DFL);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Watch::Watch(const CommandLine& line, Session& session, vmmi_migration* migration)
    : line_(line),
      session_(session),
      migration_(migration),
      terminal_(!line.json && ::isatty(STDOUT_FILENO) == 1),
      interval_(interval_of(line, terminal_)) {
    const sigset_t set = interrupt_set();
    interrupts_ = system::Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int Watch::follow(bool collect) {
    using Clock = std::chrono::steady_clock;
    Clock::time_point next = Clock::now() + std::chrono::milliseconds(200);
    while (true) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
        std::array<pollfd, 3> sources{{{vmmi_context_fd(session_.context()), POLLIN, 0},
                                       {interrupts_.get(), POLLIN, 0},
                                       {question_.get(), POLLIN, 0}}};
        ::poll(sources.data(), sources.size(), static_cast<int>(std::max<long>(left.count(), 0)));
        if ((sources[1].revents & POLLIN) != 0) interrupted();
        if (sources[2].revents != 0) answered();
        if (Clock::now() >= next) {
            // An error here is the end of the plugin, which is told soon.
            vmmi_migration_request_status(migration_, nullptr);
            next = Clock::now() + interval_;
        }
        vmmi_dispatch(session_.context(), nullptr);
        int event = VMMI_EVENT_NONE;
        while (vmmi_next_event(session_.context(), &event) != nullptr) {
            if (event == VMMI_EVENT_ENDED) return show_end(collect);
            if (event == VMMI_EVENT_STATUS) show_status();
            if (event == VMMI_EVENT_STUCK)
                say("told to abort, the plugin does not end; it is told again. From another shell: vmmi abort --force");
            if (event == VMMI_EVENT_NO_STATUS) {
                Failure failure;
                vmmi_migration_status(migration_, nullptr, &failure);
                say(failure.details);
            }
        }
    }
}

void Watch::show_status() {
    if (line_.json) {
        std::printf("%s\n", vmmi_migration_status_json(migration_));
        std::fflush(stdout);
        return;
    }
    vmmi_status status{};
    status.size = sizeof status;
    if (vmmi_migration_status(migration_, &status, nullptr) != VMMI_OK || question_) return;
    if (!terminal_) {
        show_line(numbers(status));
        return;
    }
    std::printf("\r%s\x1b[K", bar(status, terminal_width()).c_str());
    std::fflush(stdout);
    drawn_ = true;
}

void Watch::show_line(const std::string& text) {
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
}

void Watch::say(const std::string& text) {
    if (drawn_) std::fputs("\r\n", stdout);
    drawn_ = false;
    std::fflush(stdout);
    std::fprintf(stderr, "vmmi: %s\n", text.c_str());
}

void Watch::interrupted() {
    signalfd_siginfo info{};
    if (::read(interrupts_.get(), &info, sizeof info) != sizeof info) return;
    if (!aborting_) {
        aborting_ = true;
        say("aborting; Ctrl-C again to detach from it");
        Failure failure;
        if (vmmi_migration_abort(migration_, &failure) != VMMI_OK) say(failure.details);
        return;
    }
    if (question_) return;
    question_ = open_terminal();
    if (!question_) {
        vmmi_migration_detach(migration_, nullptr);
        return;
    }
    const std::string text =
        "the plugin is still aborting. Detach: it leaves at once, and the migration is left as it is? [y/N]";
    say(text);
    if (::isatty(STDERR_FILENO) != 1) system::write_all(question_.get(), "vmmi: " + text + "\n");
}

void Watch::answered() {
    std::array<char, 256> text{};
    const ssize_t length = ::read(question_.get(), text.data(), text.size());
    question_.reset();
    if (length > 0 && (text[0] == 'y' || text[0] == 'Y'))
        vmmi_migration_detach(migration_, nullptr);
    else
        say("waiting for the abort");
}

int Watch::show_end(bool collect) {
    vmmi_result result{};
    result.size = sizeof result;
    Failure failure;
    const int code = vmmi_migration_result(migration_, &result, &failure);
    const char* json = vmmi_migration_completion_json(migration_);
    if (drawn_) std::fputs("\r\n", stdout);
    if (line_.json && json != nullptr)
        show_line(json);
    else if (code == VMMI_OK)
        show_line(summary(result));
    if (code != VMMI_OK && (!line_.json || json == nullptr)) session_.tell(failure);
    if (collect) vmmi_migration_collect(migration_, nullptr);
    return code;
}

}  // namespace vmmi::command
