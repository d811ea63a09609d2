// SPDX-License-Identifier: Apache-2.0
#include "system/channels.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <future>
#include <string>
#include <system_error>
#include <thread>

namespace vmmi::system {
namespace {

Fd move_away(int fd) {
    constexpr int above_the_standard_ones = 3;
    return Fd(::fcntl(fd, F_DUPFD_CLOEXEC, above_the_standard_ones));
}

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

/// Files always take everything, and a pipe that can be written to takes PIPE_BUF bytes at once. Terminals and sockets
/// promise nothing.
bool takes_at_once(int fd, std::size_t size) {
    struct stat info {};
    if (::fstat(fd, &info) != 0 || S_ISREG(info.st_mode)) return true;
    pollfd ready{fd, POLLOUT, 0};
    return S_ISFIFO(info.st_mode) && size <= PIPE_BUF && ::poll(&ready, 1, 0) == 1;
}

}  // namespace

bool Channels::write_within(const Stream& stream, std::string_view text, std::chrono::milliseconds patience) {
    if (*stream.stuck) return false;
    if (takes_at_once(stream.fd.get(), text.size())) return write_all(stream.fd.get(), text);
    // On a thread of its own, since nothing else bounds the time of one blocking write. It shares nothing with this
    // object but the mark: it may be left behind.
    std::promise<bool> written;
    std::future<bool> answer = written.get_future();
    try {
        *stream.stuck = true;
        std::thread([fd = stream.fd.get(), copy = std::string(text), stuck = stream.stuck,
                     promise = std::move(written)]() mutable {
            const bool all = write_all(fd, copy, WhenFull::wait);
            *stuck = false;
            promise.set_value(all);
        }).detach();
    } catch (const std::system_error&) {
        *stream.stuck = false;
        // Without a thread only what can be written at once is safe.
        pollfd ready{stream.fd.get(), POLLOUT, 0};
        return ::poll(&ready, 1, static_cast<int>(patience.count())) == 1 && write_all(stream.fd.get(), text);
    }
    return answer.wait_for(patience) == std::future_status::ready && answer.get();
}

bool Channels::offer_output(std::string_view text) {
    return write_within(output_, text, std::chrono::milliseconds(100));
}

bool Channels::write_error(std::string_view text) {
    return write_within(error_, text, std::chrono::seconds(10));
}

Channels::Channels() {
    const bool has_output = is_open(STDOUT_FILENO);
    const bool has_error = is_open(STDERR_FILENO);
    output_.fd = move_away(STDOUT_FILENO);
    error_.fd = move_away(STDERR_FILENO);
    // A full table of descriptors: they stay where they are, and no library is called that could write to them.
    const bool full = (has_output && !output_.fd) || (has_error && !error_.fd);
    if (has_output && !output_.fd) output_.fd = Fd(STDOUT_FILENO);
    if (has_error && !error_.fd) error_.fd = Fd(STDERR_FILENO);
    if (full) return;
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0) return;
    // dup2 leaves a descriptor alone that is the target itself, as happens when 0, 1 or 2 came closed.
    ::dup2(null, STDOUT_FILENO);
    ::dup2(null, STDERR_FILENO);
    if (!is_open(STDIN_FILENO)) ::dup2(null, STDIN_FILENO);
    if (null > STDERR_FILENO) ::close(null);
}

}  // namespace vmmi::system
