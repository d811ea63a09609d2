// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>

namespace vmmi::supervisor {
namespace {

std::string first_bytes(const std::string& path) {
    const system::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text(1024, '\0');
    const ssize_t length = file ? ::read(file.get(), text.data(), text.size()) : 0;
    text.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
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

Place this_place() {
    Place place;
    place.boot = first_bytes("/proc/sys/kernel/random/boot_id");
    while (place.boot.ends_with('\n')) place.boot.pop_back();
    struct stat info {};
    if (::stat("/proc/self/ns/pid", &info) == 0) place.pid_namespace = info.st_ino;
    return place;
}

system::Fd open_process(const Identity& identity) {
    system::Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, identity.pid, 0)));
    // Looked at after it was opened: if it is the right one now, it was the right one then.
    if (!pidfd || identity_of(first_bytes(fmt::format("/proc/{}/stat", identity.pid))) != identity) return {};
    return pidfd;
}

}  // namespace vmmi::supervisor
