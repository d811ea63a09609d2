// SPDX-License-Identifier: Apache-2.0
#include "supervisor/plugins.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>

#include "core/describe.h"
#include "supervisor/errors.h"

namespace vmmi::supervisor {
namespace {

using Clock = std::chrono::steady_clock;

bool is_trusted(const struct stat& info) {
    return (info.st_uid == 0 || info.st_uid == ::geteuid()) && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

Result<system::Fd> open_directory(const std::string& directory) {
    system::Fd folder(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat info {};
    const auto bad = [&](const std::string& why) {
        return refuse(VMMI_E_PLUGIN, "bad plugin directory", fmt::format("{}: {}", quote(directory), why));
    };
    if (!folder && is_shortage()) return not_looked_at(quote(directory));
    if (!folder || ::fstat(folder.get(), &info) != 0) return bad(system_error());
    if (!is_trusted(info)) return bad("it is to belong to root or this user, and nobody else may write to it");
    return folder;
}

/// Why it is not to be run, or nothing. Fails with VMMI_E_SYSTEM where that cannot be told.
Result<std::string> obstacle(const system::Fd& folder, const std::string& name) {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    const system::Fd file(static_cast<int>(::syscall(SYS_openat2, folder.get(), name.c_str(), &how, sizeof how)));
    if (!file && is_shortage()) return not_looked_at("plugin " + quote(name));
    if (!file) return errno == EXDEV ? "a link that leads out of the directory" : system_error();
    struct stat info {};
    if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return "not a regular file";
    if (!is_trusted(info)) return "it is to belong to root or this user, and nobody else may write to it";
    if (::faccessat(folder.get(), name.c_str(), X_OK, AT_EACCESS) != 0) return "not executable";
    return std::string();
}

bool is_name(std::string_view name) {
    constexpr std::size_t longest = 255;
    return !name.empty() && name.size() <= longest && name.front() != '.' && name.front() != '-' && name != "migrate" &&
           std::ranges::none_of(name,
                                [](char c) { return c == '/' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

class Collector {
  public:
    Collector(const Child& child, std::size_t longest) : child_(child), longest_(longest) {}

    /// Reads both streams until the process has ended. Nothing, or why it went on no longer.
    std::string run(int output, int error, std::chrono::milliseconds patience, Answer& answer) {
        const Clock::time_point until = Clock::now() + patience;
        std::array<pollfd, 3> sources{{{child_.pidfd.get(), POLLIN, 0}, {output, POLLIN, 0}, {error, POLLIN, 0}}};
        while (true) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
            if (left <= 0) return fmt::format("it did not end within {} ms", patience.count());
            if (::poll(sources.data(), sources.size(), static_cast<int>(left)) < 0 && errno != EINTR)
                return system_error();
            const bool ended = (sources[0].revents & POLLIN) != 0;
            for (const auto& [source, text] :
                 {std::pair(&sources[1], &answer.output), std::pair(&sources[2], &answer.error)})
                if (!read(*source, *text)) return fmt::format("it wrote more than {} bytes", longest_);
            if (ended) return {};
        }
    }

  private:
    bool read(pollfd& source, std::string& text) const {
        std::array<char, 16384> block{};
        while (source.fd >= 0) {
            const ssize_t got = ::read(source.fd, block.data(), block.size());
            if (got < 0 && errno == EAGAIN) return true;
            if (got <= 0) source.fd = -1;
            if (got > 0) text.append(block.data(), static_cast<std::size_t>(got));
            if (text.size() > longest_) return false;
        }
        return true;
    }

    const Child& child_;
    std::size_t longest_;
};

}  // namespace

std::string plugin_directory(const std::string& configured) {
    const std::string directory = configured.empty() ? VMMI_PLUGIN_DIR : configured;
    // Plugins are started in /. What does not exist is refused later, by its name.
    const std::unique_ptr<char, decltype(&std::free)> whole(::realpath(directory.c_str(), nullptr), &std::free);
    return whole ? whole.get() : directory;
}

Result<void> check_plugin_name(const std::string& name) {
    if (is_name(name)) return {};
    return refuse(VMMI_E_PLUGIN, "no such plugin",
                  quote(name) + ": not a name that a plugin can have: no path, and not \"migrate\"");
}

Result<std::string> find_plugin(const std::string& directory, const std::string& name) {
    const auto bad = [&](const std::string& why) {
        return refuse(VMMI_E_PLUGIN, "no such plugin", fmt::format("{} in {}: {}", quote(name), quote(directory), why));
    };
    if (const Result<void> named = check_plugin_name(name); !named) return fail(named.error());
    const Result<system::Fd> folder = open_directory(directory);
    if (!folder) return fail(folder.error());
    const Result<std::string> why = obstacle(*folder, name);
    if (!why) return fail(why.error());
    if (!why->empty()) return bad(*why);
    return directory + "/" + name;
}

Result<std::vector<std::string>> plugin_names(const std::string& directory) {
    const Result<system::Fd> folder = open_directory(directory);
    if (!folder) return fail(folder.error());
    const auto close = [](DIR* open) { ::closedir(open); };
    const std::unique_ptr<DIR, decltype(close)> entries(::opendir(directory.c_str()), close);
    if (!entries) return refuse(VMMI_E_PLUGIN, "bad plugin directory", quote(directory) + ": " + system_error());
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(entries.get())) {
        if (is_name(entry->d_name) && obstacle(*folder, entry->d_name) == "") names.emplace_back(entry->d_name);
    }
    std::ranges::sort(names);
    return names;
}

Result<Answer> ask(const std::string& path, const std::vector<std::string>& arguments,
                   const std::vector<std::string>& environment, int input, std::chrono::milliseconds patience,
                   std::size_t longest) {
    std::array<std::array<int, 2>, 2> pipes{};
    std::array<system::Fd, 4> ends;
    for (std::size_t i = 0; i < pipes.size(); ++i) {
        if (::pipe2(pipes[i].data(), O_CLOEXEC) != 0)
            return refuse(VMMI_E_SYSTEM, "no descriptor", "a pipe could not be made: " + system_error());
        ends[2 * i] = system::Fd(pipes[i][0]);
        ends[2 * i + 1] = system::Fd(pipes[i][1]);
        ::fcntl(pipes[i][0], F_SETFL, O_NONBLOCK);
    }
    const system::Fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const Result<Child> child = spawn({.path = path,
                                       .arguments = arguments,
                                       .environment = environment,
                                       .input = input >= 0 ? input : nothing.get(),
                                       .output = ends[1].get(),
                                       .error = ends[3].get()});
    if (!child) return fail(child.error());
    ends[1].reset();
    ends[3].reset();
    Answer answer;
    const std::string why = Collector(*child, longest).run(ends[0].get(), ends[2].get(), patience, answer);
    if (!why.empty()) ::syscall(SYS_pidfd_send_signal, child->pidfd.get(), SIGKILL, nullptr, 0);
    pollfd end{child->pidfd.get(), POLLIN, 0};
    while (::poll(&end, 1, -1) < 0 && errno == EINTR) {
    }
    answer.ending = ending_of(child->pidfd.get());
    if (why.empty()) return answer;
    const bool flood = answer.output.size() > longest || answer.error.size() > longest;
    return refuse(flood ? VMMI_E_FLOOD : VMMI_E_NO_ANSWER, "no answer",
                  fmt::format("{}: {}; it was killed", quote(path), why));
}

}  // namespace vmmi::supervisor
