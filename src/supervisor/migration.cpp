// SPDX-License-Identifier: Apache-2.0
#include "supervisor/migration.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "core/describe.h"
#include "supervisor/errors.h"
#include "supervisor/spawn.h"

namespace vmmi::supervisor {
namespace {

/// What a plugin may write to standard output in a second: far more than it is asked for.
constexpr std::size_t output_budget = std::size_t{1} << 20;
/// Shorter than that second, since ticks come a little early at times.
constexpr Milliseconds budget_interval(900);
/// The last bound of a flood on standard error, where no supervisor is alive. It holds for the plugin's log, too.
constexpr std::uint64_t largest_file = std::uint64_t{256} << 20;

bool send(const system::Fd& pidfd, int number) {
    return ::syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0) == 0;
}

}  // namespace

Result<Migration> Migration::start(const Runs& runs, const Request& request, const Patience& patience) {
    const Result<Runs::Lock> lock = runs.lock();
    if (!lock) return fail(lock.error());
    const Result<std::vector<Handle>> others = runs.handles(Runs::key_of(request.vm, request.connection) + ".");
    if (!others) return fail(others.error());
    for (const Handle& other : *others) {
        const Result<Runs::Process> process = runs.process(other);
        if (!process) return fail(process.error());
        if (process->life == Runs::Life::ended) continue;
        return refuse(VMMI_E_BUSY, "migration in progress",
                      fmt::format("plugin {} is at work on guest {}, as {}; attach to that", other.plugin,
                                  quote(request.vm), other.id));
    }
    const Result<Place> here = this_place();
    if (!here) return fail(here.error());
    Result<system::Fd> input = request.input();
    if (!input) return fail(input.error());

    Migration migration(runs, patience);
    Handle& handle = migration.handle_;
    handle.vm = request.vm;
    handle.vm_name = request.vm_name;
    handle.connection = request.connection;
    handle.destination = request.destination;
    handle.migration_uri = request.migration_uri;
    handle.plugin = request.plugin;
    handle.place = *here;
    Result<Runs::Files> files = runs.make(handle);
    if (!files) return fail(files.error());
    Result<Child> child = spawn({.path = request.path,
                                 .arguments = request.arguments(),
                                 .environment = request.environment,
                                 .input = input->get(),
                                 .output = files->plugin_out.get(),
                                 .error = files->plugin_error.get(),
                                 .identity = files->identity.get(),
                                 .largest_file = largest_file});
    if (!child) {
        runs.remove(handle.id);
        return fail(child.error());
    }
    migration.pidfd_ = std::move(child->pidfd);
    migration.status_ = std::move(files->status);
    migration.budget_ = output_budget;
    return migration;
}

Result<Migration> Migration::attach(const Runs& runs, const std::string& which, const Patience& patience) {
    Migration migration(runs, patience);
    std::optional<Handle> found;
    Runs::Process process;
    std::vector<std::string> live;
    // The newest first, and one at work before those that have ended.
    const std::string key = Runs::key_of(which, "") + ".";
    Result<std::vector<Handle>> handles = runs.handles();
    if (!handles) return fail(handles.error());
    std::ranges::reverse(*handles);
    for (Handle& handle : *handles) {
        const bool exactly = handle.id == which;
        if (!(exactly || handle.id.starts_with(key) || handle.vm == which || handle.vm_name == which)) continue;
        Result<Runs::Process> one = runs.process(handle);
        if (!one) return fail(one.error());
        const bool at_work = one->life != Runs::Life::ended;
        if (at_work) live.push_back(handle.id);
        if (exactly || !found || (at_work && live.size() == 1)) {
            found = std::move(handle);
            process = std::move(*one);
        }
        if (exactly) break;
    }
    if (live.size() > 1 && found->id != which) {
        return refuse(VMMI_E_MISUSE, "more than one migration",
                      fmt::format("plugins are at work on {} guests that {} names, as {}: attach to one of these",
                                  live.size(), quote(which), fmt::join(live, " and ")));
    }
    if (!found) {
        return refuse(VMMI_E_NOT_FOUND, "no such migration",
                      fmt::format("no plugin is at work on {}, and no completion message waits", quote(which)));
    }
    migration.handle_ = std::move(*found);
    migration.is_shared_ = true;
    runs.mark_attached(migration.id());
    migration.budget_ = output_budget;
    if (process.life == Runs::Life::ended) {
        migration.process_ended();
        return migration;
    }
    migration.pidfd_ = std::move(process.pidfd);
    migration.status_ = runs.open_status(migration.id());
    if (!migration.status_ && is_shortage()) return not_looked_at("what " + migration.describe() + " says");
    return migration;
}

std::string Migration::describe() const {
    return fmt::format("plugin {} of guest {}", handle_.plugin,
                       quote(handle_.vm_name.empty() ? handle_.vm : handle_.vm_name));
}

Migration::News Migration::read(bool& quiet) {
    const News news = read_lines(quiet);
    if (std::exchange(fresh_, false) && (is_shared_ || runs_->is_attached(id())))
        runs_->publish_status(id(), last_json_);
    return news;
}

Migration::News Migration::read_lines(bool& quiet) {
    News news = News::nothing;
    std::array<char, 16384> block{};
    while (status_ && budget_ > 0) {
        const ssize_t got = ::read(status_.get(), block.data(), std::min(block.size(), budget_));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return news;
        quiet = true;  // where it has no writer any more: its process will be seen to have ended
        if (got == 0) return news;
        quiet = false;
        budget_ -= static_cast<std::size_t>(got);
        std::string_view rest(block.data(), static_cast<std::size_t>(got));
        while (!rest.empty()) {
            const std::size_t end = rest.find('\n');
            line_.append(rest.substr(0, end));
            if (line_.size() > longest_status) {
                line_.resize(longest_status);
                skipping_ = true;
            }
            if (end == std::string_view::npos) break;
            rest.remove_prefix(end + 1);
            if (const News one = take_line(line_); one != News::nothing) news = one;
            line_.clear();
            skipping_ = false;
        }
    }
    quiet = true;
    return news;
}

Migration::News Migration::take_line(std::string_view line) {
    std::optional<vmmi_status> status = skipping_ ? std::nullopt : read_status(line);
    if (!status) {
        if (garbage_.empty()) garbage_ = quote(line);
        return News::nothing;
    }
    last_ = *status;
    last_json_ = std::string(line);
    fresh_ = true;
    if (!status_deadline_) return News::nothing;
    status_deadline_.reset();
    return News::status;
}

Result<void> Migration::request_status() {
    if (has_ended()) return refuse(VMMI_E_NOT_FOUND, "it has ended", describe() + " has ended");
    // What lies there answers somebody who did not wait for it: taken for this answer, all that follow would be late.
    bool quiet = false;
    if (!status_deadline_) read(quiet);
    garbage_.clear();
    status_error_.reset();
    published_ = runs_->published_status(id()).stamp;
    if (Result<void> sent = signal(SIGUSR1); !sent) return sent;
    if (!status_deadline_) status_deadline_ = Clock::now() + patience_.status;
    return {};
}

Result<void> Migration::abort() {
    if (Result<void> sent = signal(SIGINT); !sent) return sent;
    const Clock::time_point now = Clock::now();
    if (!abort_began_) abort_began_ = now;
    abort_again_ = now + patience_.abort_again;
    return {};
}

Result<void> Migration::signal(int number) {
    if (has_ended()) return refuse(VMMI_E_NOT_FOUND, "it has ended", describe() + " has ended");
    if (!pidfd_) {
        return refuse(VMMI_E_OUT_OF_REACH, "out of reach",
                      describe() + " runs in another process namespace, a container maybe: signal it from there");
    }
    // Between its end and our notice of it.
    if (!send(pidfd_, number) && errno != ESRCH)
        return refuse(VMMI_E_SYSTEM, "not signalled", describe() + ": " + system_error());
    return {};
}

Migration::News Migration::tick(Clock::time_point now) {
    if (has_ended()) return News::nothing;
    if (now >= budget_again_) {
        budget_ = output_budget;
        budget_again_ = now + budget_interval;
    }
    if (runs_->completion_size(id()) > longest_completion) {
        // It is broken and nobody knows what it does next; the migration is libvirt's, and goes on.
        if (pidfd_) send(pidfd_, SIGKILL);
        runs_->cut_completion(id(), longest_completion + 1);
    }
    if (const News news = look_at_abort(now); news != News::nothing) return news;
    if (!status_deadline_) return News::nothing;
    if (is_shared_ || runs_->is_attached(id())) {
        // Another supervisor may have read the answer.
        Runs::Published published = runs_->published_status(id());
        if (published.stamp != 0 && published.stamp != published_) {
            if (std::optional<vmmi_status> status = read_status(published.message)) {
                last_ = *status;
                last_json_ = std::move(published.message);
                status_deadline_.reset();
                return News::status;
            }
        }
    }
    if (now < *status_deadline_) return News::nothing;
    status_deadline_.reset();
    status_error_ =
        Error{static_cast<ErrorCode>(garbage_.empty() ? VMMI_E_NO_ANSWER : VMMI_E_PROTOCOL), "no status",
              garbage_.empty() ? fmt::format("{} has not answered within {} ms", describe(), patience_.status.count())
                               : fmt::format("{} answered with what is no status message: {}", describe(), garbage_)};
    return News::no_status;
}

Migration::News Migration::look_at_abort(Clock::time_point now) {
    if (!pidfd_ || !abort_began_) return News::nothing;
    if (now >= abort_again_) {
        // One that somebody has stopped can serve nothing.
        send(pidfd_, SIGCONT);
        send(pidfd_, SIGINT);
        abort_again_ = now + patience_.abort_again;
    }
    if (told_stuck_ || now < *abort_began_ + patience_.abort) return News::nothing;
    told_stuck_ = true;
    return News::stuck;
}

bool Migration::is_gone() const {
    if (has_ended()) return false;
    if (unread_ > 0) return true;
    if (pidfd_) return false;
    const Result<Runs::Process> process = runs_->process(handle_);
    return process && process->life == Runs::Life::ended;
}

Migration::News Migration::process_ended() {
    if (has_ended()) return News::nothing;
    // Nothing more is said there, and it may be the one descriptor that the completion message takes.
    status_.reset();
    Result<std::optional<std::string>> written = runs_->completion(id(), longest_completion);
    constexpr int attempts = 10;
    if (!written && ++unread_ < attempts) return News::nothing;
    const Ending ending = pidfd_ ? ending_of(pidfd_.get()) : Ending{};
    if (!written) {
        Error error = std::move(written.error());
        error.details += "; the plugin has ended, and its completion message waits as " + id();
        end(conclude(std::move(error), ending));
        return News::ended;
    }
    unread_ = 0;
    if (*written) {
        end(conclude(**written, ending, describe()));
        runs_->cut_completion(id(), longest_completion + 1);
    } else {
        end(conclude(Error{static_cast<ErrorCode>(VMMI_E_NOT_FOUND), "already collected",
                           describe() + " has ended, and another process has collected its completion message"},
                     ending));
    }
    return News::ended;
}

void Migration::end(Conclusion conclusion) {
    conclusion_ = std::move(conclusion);
    pidfd_.reset();
    status_.reset();
    status_deadline_.reset();
}

Result<void> Migration::collect() {
    if (!has_ended())
        return refuse(VMMI_E_MISUSE, "not ended", describe() + " is at work: there is nothing to collect");
    if (unread_ > 0) {
        return refuse(VMMI_E_SYSTEM, "not collected",
                      "the completion message could not be read, and waits as " + id() + ": attach to that");
    }
    runs_->collect(id());
    return {};
}

}  // namespace vmmi::supervisor
