// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/event_thread.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <chrono>

namespace vmmi::hypervisor {
namespace {

/// Of the first connection, before the loop runs: a call does without it, but wakes it several times if it runs, and
/// there is nothing yet for it to tell.
constexpr std::chrono::milliseconds quiet{30};

/// Anything that changes the set of timers makes the loop turn once.
int make_it_turn() {
    constexpr int at_once = 0;
    return virEventAddTimeout(
        at_once, [](int, void*) {}, nullptr, nullptr);
}

}  // namespace

EventThread::EventThread() {
    thread_ = std::thread([this] {
        // libvirt prints errors to standard error unless somebody else takes them.
        virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
        virInitialize();
        virEventRegisterDefaultImpl();
        // The first turn takes a file descriptor, without which GLib ends the process: while there are some.
        const int timer = make_it_turn();
        virEventRunDefaultImpl();
        virEventRemoveTimeout(timer);
        ready_.count_down();
        for (bool stop = stop_.try_acquire_for(quiet); !stop; stop = stop_.try_acquire()) virEventRunDefaultImpl();
    });
}

EventThread::~EventThread() {
    wait_until_ready();
    stop_.release();
    make_it_turn();
    thread_.join();
}

}  // namespace vmmi::hypervisor
