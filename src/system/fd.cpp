// SPDX-License-Identifier: Apache-2.0
#include "system/fd.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace vmmi::system {

Fd& Fd::operator=(Fd&& other) noexcept {
    if (this != &other) {
        reset();
        fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
}

void Fd::reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool write_all(int fd, std::string_view text, WhenFull when_full) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written < 0) {
            if (errno == EINTR) continue;
            pollfd ready{fd, POLLOUT, 0};
            if (errno == EAGAIN && when_full == WhenFull::wait && ::poll(&ready, 1, -1) == 1) continue;
            return false;
        }
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

}  // namespace vmmi::system
