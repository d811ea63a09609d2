// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "supervisor/errors.h"

namespace vmmi::supervisor {
namespace {

/// Nothing, and errno, where it cannot be read.
std::optional<std::string> first_bytes(const std::string& path) {
    const system::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text(1024, '\0');
    const ssize_t length = file ? ::read(file.get(), text.data(), text.size()) : -1;
    if (length < 0) return std::nullopt;
    text.resize(static_cast<std::size_t>(length));
    return text;
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// The n-th word, counted from 0.
std::string_view word(std::string_view text, int n) {
    for (; n > 0; --n) {
        const std::size_t space = text.find(' ');
        if (space == std::string_view::npos) return {};
        text.remove_prefix(space + 1);
    }
    return text.substr(0, text.find(' '));
}

}  // namespace

std::optional<Identity> identity_of(std::string_view stat) {
    // "PID (NAME) STATE …": a name may hold anything, parentheses too, so what follows begins behind the last one.
    const std::size_t open = stat.find(" (");
    const std::size_t close = stat.rfind(") ");
    if (open == std::string_view::npos || close == std::string_view::npos || close < open) return std::nullopt;
    const std::optional<pid_t> pid = number<pid_t>(stat.substr(0, open));
    const std::string_view rest = stat.substr(close + 2);
    constexpr int after_state_to_start = 19;  // fields 3 and 22 of proc(5)
    const std::optional<std::uint64_t> started = number<std::uint64_t>(word(rest, after_state_to_start));
    if (!pid || *pid <= 0 || !started || rest.starts_with('Z') || rest.starts_with('X')) return std::nullopt;
    return Identity{*pid, *started};
}

Result<Place> this_place() {
    Place place;
    const std::optional<std::string> boot = first_bytes("/proc/sys/kernel/random/boot_id");
    if (!boot && is_shortage()) return not_looked_at("this boot");
    place.boot = boot.value_or("");
    while (place.boot.ends_with('\n')) place.boot.pop_back();
    struct stat info {};
    if (::stat("/proc/self/ns/pid", &info) == 0) place.pid_namespace = info.st_ino;
    return place;
}

Result<system::Fd> open_process(const Identity& identity) {
    const auto has_ended = [] { return errno == ESRCH || errno == ENOENT; };
    const std::string path = fmt::format("/proc/{}/stat", identity.pid);
    system::Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, identity.pid, 0)));
    if (!pidfd && !has_ended()) return not_looked_at(fmt::format("process {}", identity.pid));
    if (!pidfd) return pidfd;
    // Looked at after it was opened: if it is the right one now, it was the right one then.
    const std::optional<std::string> line = first_bytes(path);
    if (!line && !has_ended()) return not_looked_at(path);
    if (!line || identity_of(*line) != identity) return system::Fd();
    return pidfd;
}

}  // namespace vmmi::supervisor
