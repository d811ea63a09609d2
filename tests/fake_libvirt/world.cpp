// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <thread>

namespace fake {
namespace {

/// The mapping, and the lock of this process; flock() is that between processes, which a kill cannot leave locked.
struct Memory {
    std::mutex mutex;
    int fd = -1;
    Shared* shared = nullptr;
    int process = 0;

    Memory() {
        fd = ::open(scenario().state_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || ::flock(fd, LOCK_EX) != 0) std::_Exit(71);
        const bool fresh = ::lseek(fd, 0, SEEK_END) == 0;
        if (fresh && ::ftruncate(fd, sizeof(Shared)) != 0) std::_Exit(71);
        void* mapped = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapped == MAP_FAILED) std::_Exit(71);
        shared = static_cast<Shared*>(mapped);
        if (fresh) {
            *shared = Shared{};
            for (std::size_t i = 0; i < scenario().guests.size(); ++i)
                shared->guests.at(i).downtime_ms = scenario().guests[i].downtime_ms;
        }
        process = ++shared->processes;
        ::flock(fd, LOCK_UN);
    }
};

Memory& memory() {
    static auto* memory = new Memory;  // outlives threads that are left in a call
    return *memory;
}

}  // namespace

Time clock_now() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return Time{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int moment_ms() {
    // Hundreds of processes that look each millisecond leave no processor to what is measured.
    static const char* const milliseconds = std::getenv("VMMI_FAKE_MOMENT_MS");
    static const int moment = milliseconds != nullptr ? std::max(1, std::atoi(milliseconds)) : 1;
    return moment;
}

void sleep_a_moment() {
    std::this_thread::sleep_for(std::chrono::milliseconds(moment_ms()));
}

World::World() : lock_(memory().mutex), shared_(*memory().shared), now_(0) {
    ::flock(memory().fd, LOCK_EX);
    now_ = clock_now();
    fire_outages();
    settle();
}

World::~World() {
    ::flock(memory().fd, LOCK_UN);
}

int World::process() const {
    return memory().process;
}

Timeline World::timeline(std::size_t guest) {
    return {scenario().guests.at(guest), facts(guest), now_};
}

void World::begin() {
    if (shared_.epoch != 0) return;
    shared_.epoch = now_;
    for (std::size_t i = 0; i < scenario().guests.size(); ++i)
        if (const auto since = scenario().guests[i].migration.running_since_ms)
            facts(i).started = now_ - milliseconds(*since);
    fire_outages();
}

void World::lose(const Outage& outage, Time at) {
    shared_.outage_began = at;
    shared_.outage_until = outage.for_ms ? at + milliseconds(*outage.for_ms) : never;
    shared_.outage_callback = at + milliseconds(outage.callback_ms);
    shared_.outage_keepalive = outage.reason == "keepalive";
}

void World::fire_outages() {
    if (shared_.epoch == 0) return;
    for (std::size_t i = 0; i < scenario().outages.size(); ++i) {
        const Outage& outage = scenario().outages[i];
        bool& fired = shared_.outage_fired.at(i);
        if (fired) continue;
        std::optional<Time> at = shared_.epoch + milliseconds(outage.at.plus_ms);
        if (outage.at.phase != "begin") at = timeline(0).time_of(outage.at);
        if (!at || now_ < *at) continue;
        fired = true;
        lose(outage, *at);
    }
}

/// libvirt forgets what was set during a migration that failed.
void World::settle() {
    for (std::size_t i = 0; i < scenario().guests.size(); ++i) {
        Facts& guest = facts(i);
        if (guest.started == 0 || guest.settled) continue;
        const Timeline timeline = this->timeline(i);
        if (now_ < timeline.over()) continue;
        guest.settled = true;
        if (timeline.ended_well()) continue;
        guest.downtime_ms = guest.downtime_ms_before;
        guest.speed = guest.speed_before;
    }
}

}  // namespace fake
