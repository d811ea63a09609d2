// SPDX-License-Identifier: Apache-2.0
#include "system/channels.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
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

/// A pipe that can be written to takes PIPE_BUF bytes at once without blocking; files always can.
bool takes(int fd, std::size_t size) {
    pollfd ready{fd, POLLOUT, 0};
    return size <= PIPE_BUF && ::poll(&ready, 1, 0) == 1;
}

}  // namespace

bool Channels::offer_output(std::string_view text) {
    return takes(output_.get(), text.size()) && write_all(output_.get(), text);
}

bool Channels::write_error(std::string_view text) {
    if (takes(error_.get(), text.size())) return write_all(error_.get(), text);
    // On a thread of its own, since nothing else bounds the time of one blocking write. It shares nothing with this
    // object: it may be left behind.
    constexpr std::chrono::seconds patience{10};
    std::promise<bool> written;
    std::future<bool> answer = written.get_future();
    try {
        std::thread([fd = error_.get(), copy = std::string(text), promise = std::move(written)]() mutable {
            promise.set_value(write_all(fd, copy));
        }).detach();
    } catch (const std::system_error&) {
        return write_all(error_.get(), text);
    }
    return answer.wait_for(patience) == std::future_status::ready && answer.get();
}

Channels::Channels() : output_(move_away(STDOUT_FILENO)), error_(move_away(STDERR_FILENO)) {
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return;
    // dup2 leaves a descriptor alone that is the target itself, as happens when 0, 1 or 2 came closed.
    ::dup2(null, STDOUT_FILENO);
    ::dup2(null, STDERR_FILENO);
    if (::fcntl(STDIN_FILENO, F_GETFD) < 0) ::dup2(null, STDIN_FILENO);
    if (null > STDERR_FILENO) ::close(null);
}

}  // namespace vmmi::system
