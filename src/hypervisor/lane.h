// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace vmmi::hypervisor {

/// A thread for libvirt calls that may block, one after the other. What must not wait for another goes to another lane.
class Lane {
  public:
    Lane();
    /// Waits for the call under way: only for a lane that `idle_within` found idle.
    ~Lane();
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    void submit(std::function<void()> task);
    /// Whether everything submitted is done, or gets done within the time given.
    bool idle_within(std::chrono::milliseconds patience);

  private:
    void run();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> tasks_;
    bool busy_ = false;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace vmmi::hypervisor
