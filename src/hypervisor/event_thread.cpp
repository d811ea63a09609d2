// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/event_thread.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

namespace vmmi::hypervisor {

EventThread::EventThread() {
    thread_ = std::thread([this] {
        // libvirt prints errors to standard error unless somebody else takes them.
        virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
        virInitialize();
        virEventRegisterDefaultImpl();
        ready_.count_down();
        while (!stopping_) virEventRunDefaultImpl();
    });
}

EventThread::~EventThread() {
    wait_until_ready();
    stopping_ = true;
    // Anything that changes the set of timers makes the loop turn once.
    virEventAddTimeout(
        0, [](int, void*) {}, nullptr, nullptr);
    thread_.join();
}

}  // namespace vmmi::hypervisor
