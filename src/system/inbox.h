// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/eventfd.h>

#include <mutex>
#include <utility>
#include <vector>

#include "core/event.h"
#include "system/fd.h"

namespace vmmi::system {

/// Where the threads that talk to libvirt leave items for the one that decides. Any thread may post; posting never
/// blocks for longer than it takes to append.
template <typename Item>
class InboxOf {
  public:
    InboxOf() : wakeup_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

    void post(Item item) {
        {
            const std::lock_guard lock(mutex_);
            items_.push_back(std::move(item));
        }
        ::eventfd_write(wakeup_.get(), 1);
    }
    /// Everything posted so far, in order.
    std::vector<Item> take() {
        eventfd_t ignored = 0;
        ::eventfd_read(wakeup_.get(), &ignored);
        const std::lock_guard lock(mutex_);
        return std::exchange(items_, {});
    }
    /// Readable while there is something to take.
    int fd() const { return wakeup_.get(); }

  private:
    std::mutex mutex_;
    std::vector<Item> items_;
    Fd wakeup_;
};

using Inbox = InboxOf<Event>;

}  // namespace vmmi::system
