// SPDX-License-Identifier: Apache-2.0
#include "system/channels.h"

#include <fcntl.h>
#include <unistd.h>

namespace vmmi::system {
namespace {

Fd move_away(int fd) {
    constexpr int above_the_standard_ones = 3;
    return Fd(::fcntl(fd, F_DUPFD_CLOEXEC, above_the_standard_ones));
}

}  // namespace

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
