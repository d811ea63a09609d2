// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <latch>
#include <semaphore>
#include <thread>

namespace vmmi::hypervisor {

/// libvirt's own event loop on a thread of its own. It exists before the first connection and outlives the last one:
/// keepalive, close callbacks and events all come from it, on this thread, where callbacks only leave a note in the
/// inbox.
///
/// It prepares libvirt's client library as well, while whoever made it reads its configuration.
class EventThread {
  public:
    EventThread();
    ~EventThread();
    EventThread(const EventThread&) = delete;
    EventThread& operator=(const EventThread&) = delete;

    /// To be called before the first connection is opened.
    void wait_until_ready() const { ready_.wait(); }

  private:
    std::binary_semaphore stop_{0};
    std::latch ready_{1};
    std::thread thread_;
};

}  // namespace vmmi::hypervisor
