// SPDX-License-Identifier: Apache-2.0
#include "system/inbox.h"

#include <sys/eventfd.h>

#include <cstdint>

namespace vmmi::system {

Inbox::Inbox() : wakeup_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

void Inbox::post(Event event) {
    {
        const std::lock_guard lock(mutex_);
        events_.push_back(std::move(event));
    }
    ::eventfd_write(wakeup_.get(), 1);
}

std::vector<Event> Inbox::take() {
    eventfd_t ignored = 0;
    ::eventfd_read(wakeup_.get(), &ignored);
    const std::lock_guard lock(mutex_);
    return std::exchange(events_, {});
}

}  // namespace vmmi::system
