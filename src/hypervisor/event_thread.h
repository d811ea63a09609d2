// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <thread>

namespace vmmi::hypervisor {

/// libvirt's own event loop on a thread of its own. It exists before the first connection and outlives the last one:
/// keepalive, close callbacks and events all come from it, on this thread, where callbacks only leave a note in the
/// inbox.
class EventThread {
  public:
    EventThread();
    ~EventThread();
    EventThread(const EventThread&) = delete;
    EventThread& operator=(const EventThread&) = delete;

  private:
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace vmmi::hypervisor
