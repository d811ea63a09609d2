// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <vector>

#include "core/event.h"
#include "system/fd.h"

namespace vmmi::system {

/// Where the threads that talk to libvirt leave events for the one that decides. Any thread may post; posting never
/// blocks for longer than it takes to append.
class Inbox {
  public:
    Inbox();

    void post(Event event);
    /// Everything posted so far, in order.
    std::vector<Event> take();
    /// Readable while there is something to take.
    int fd() const { return wakeup_.get(); }

  private:
    std::mutex mutex_;
    std::vector<Event> events_;
    Fd wakeup_;
};

}  // namespace vmmi::system
