// SPDX-License-Identifier: Apache-2.0
#include "system/limits.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include "system/fd.h"

namespace vmmi::system {

void settle_limits() {
    constexpr rlim_t enough = 256;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < enough) {
        limit.rlim_cur = std::min(enough, limit.rlim_max);
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    // As large as the limit for the first thread's stack, which may be tiny or without end, if nobody says otherwise.
    constexpr std::size_t stack = 1 << 20;
    pthread_attr_t attributes;
    if (::pthread_attr_init(&attributes) != 0) return;
    if (::pthread_attr_setstacksize(&attributes, stack) == 0) ::pthread_setattr_default_np(&attributes);
    ::pthread_attr_destroy(&attributes);
}

namespace {

/// How many of them there are, and why no more.
struct Descriptors {
    std::size_t count;
    std::string obstacle;
};

Descriptors count_descriptors(std::size_t most) {
    // By taking them: the limit of this process and what it inherited both count. The first one is a file of its own,
    // since the table of the whole system counts, too; copies of it cost a fraction, before every start.
    std::vector<Fd> taken;
    taken.reserve(most);
    while (taken.size() < most) {
        Fd one(taken.empty() ? ::open("/dev/null", O_WRONLY | O_CLOEXEC)
                             : ::fcntl(taken.front().get(), F_DUPFD_CLOEXEC, 0));
        if (!one) return {taken.size(), std::generic_category().message(errno)};
        taken.push_back(std::move(one));
    }
    return {most, {}};
}

constexpr const char* remedy = "raise the limit of open files (ulimit -n, LimitNOFILE=)";

}  // namespace

std::optional<Error> too_little_to_start() {
    // For libvirt, its transports and this plugin, with some to spare; memory for the stacks of its threads above all.
    constexpr std::size_t needed = 64;
    constexpr std::size_t mebibytes = 16;
    void* memory = ::mmap(nullptr, mebibytes << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return Error{ErrorCode::operation_failed, "too little memory",
                     fmt::format("the system gives no more memory, and a migration may need {} MiB: {}; nothing was "
                                 "started; raise the limit of this process (ulimit -d, ulimit -v)",
                                 mebibytes, std::generic_category().message(errno))};
    }
    ::munmap(memory, mebibytes << 20);
    const Descriptors free = count_descriptors(needed);
    if (free.count == needed) return std::nullopt;
    return Error{ErrorCode::operation_failed, "too few file descriptors",
                 fmt::format("only {} of {} that a migration may need are free: {}; nothing was started; {}",
                             free.count, needed, free.obstacle, remedy)};
}

std::optional<Error> no_room_for_a_connection() {
    constexpr std::size_t needed = 16;
    const Descriptors free = count_descriptors(needed);
    if (free.count == needed) return std::nullopt;
    return Error{ErrorCode::libvirt_disconnected, "too few file descriptors",
                 fmt::format("only {} of {} that a connection may need are free: {}; {}", free.count, needed,
                             free.obstacle, remedy)};
}

MemoryReserve::MemoryReserve() {
    // Large enough to be mapped apart: what is given back can be had again. It is not touched, so it costs nothing.
    constexpr std::size_t size = 256 << 10;
    block_.reset(new (std::nothrow) std::byte[size]);
}

}  // namespace vmmi::system
