// SPDX-License-Identifier: Apache-2.0
#include "supervisor/context.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "supervisor/errors.h"

namespace vmmi::supervisor {
namespace {

/// What epoll says came: the number of the entry, twice, and whether it is its process or its output. 0 is the timer.
constexpr std::uint64_t output_bit = 1;

bool watch(const system::Fd& epoll, int fd, std::uint64_t tag) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = tag;
    return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

Context::Context(Options options, Runs runs)
    : options_(std::move(options)),
      runs_(std::move(runs)),
      process_(::getpid()),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {}

Context::~Context() = default;

Result<std::unique_ptr<Context>> Context::open(Options options) {
    Result<Runs> runs = options.keeps_runs ? Runs::open(options.runtime_directory) : Runs();
    if (!runs) return fail(runs.error());
    runs->sweep_at_times();
    std::unique_ptr<Context> context(new Context(std::move(options), std::move(*runs)));
    if (!context->epoll_ || !context->timer_ || !watch(context->epoll_, context->timer_.get(), 0))
        return refuse(VMMI_E_SYSTEM, "no descriptor", "no epoll or timer descriptor: " + system_error());
    return context;
}

bool Context::is_ours() const {
    return ::getpid() == process_;
}

Result<Context::Entry*> Context::add(Migration migration) {
    const std::uint64_t number = next_number_++;
    auto entry = std::make_unique<Entry>(Entry{this, number, std::move(migration)});
    const bool ended = entry->migration.has_ended();
    if (ended)
        tell(*entry, Migration::News::ended);
    else if (const int process = entry->migration.process(); process >= 0 && !watch(epoll_, process, number * 2))
        return refuse(VMMI_E_SYSTEM, "no watch",
                      "the system gives no more watches: " + system_error() + "; the plugin goes on, as " +
                          entry->migration.id());
    listen(*entry, true);
    Entry* pointer = entry.get();
    entries_.emplace(number, std::move(entry));
    if (ended)
        wake();
    else if (interval_ == Milliseconds{0})
        arm(seldom);
    return pointer;
}

void Context::remove(Entry* entry) {
    forget(*entry);
    std::erase_if(events_, [&](const Event& event) { return event.number == entry->number; });
    entries_.erase(entry->number);
}

/// To be done before they are closed: a child of the host program may have copies of them, and then epoll keeps them.
void Context::forget(const Entry& entry) const {
    for (const int fd : {entry.migration.process(), entry.migration.output()})
        if (fd >= 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Context::listen(Entry& entry, bool on) {
    const int output = entry.migration.output();
    if (output < 0 || on == entry.listening) return;
    entry.listening = on ? watch(epoll_, output, entry.number * 2 + output_bit) : false;
    if (!on) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, output, nullptr);
}

void Context::tell(Entry& entry, Migration::News news) {
    if (news != Migration::News::nothing) events_.push_back({entry.number, news});
}

void Context::dispatch() {
    constexpr std::size_t at_once = 64;
    // Whatever floods, there is an end to it: the caller's loop comes back.
    constexpr int rounds = 16;
    std::array<epoll_event, at_once> ready{};
    for (int round = 0; round < rounds; ++round) {
        const int count = ::epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), 0);
        for (int i = 0; i < count; ++i) handle(ready.at(static_cast<std::size_t>(i)).data.u64);
        if (count < static_cast<int>(at_once)) break;
    }
}

void Context::handle(std::uint64_t tag) {
    if (tag == 0) {
        tick();
        return;
    }
    const auto found = entries_.find(tag / 2);
    if (found == entries_.end()) return;  // closed in this round
    Entry& entry = *found->second;
    if ((tag & output_bit) != 0) {
        bool quiet = false;
        tell(entry, entry.migration.read(quiet));
        if (quiet) listen(entry, false);
    } else {
        finish(entry);
    }
}

void Context::finish(Entry& entry) {
    forget(entry);
    tell(entry, entry.migration.process_ended());
}

void Context::tick() {
    std::uint64_t ignored = 0;
    std::ignore = ::read(timer_.get(), &ignored, sizeof ignored);
    const Clock::time_point now = Clock::now();
    bool running = false;
    bool awaited = false;
    for (auto& [number, entry] : entries_) {
        if (entry->migration.is_gone()) finish(*entry);
        tell(*entry, entry->migration.tick(now));
        listen(*entry, true);
        running |= !entry->migration.has_ended();
        awaited |= entry->migration.is_awaited();
    }
    arm(awaited ? often : running ? seldom : Milliseconds{0});
}

void Context::arm(Milliseconds interval) {
    if (interval == interval_) return;
    interval_ = interval;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(interval);
    const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(interval - seconds);
    const timespec time{seconds.count(), rest.count()};
    const itimerspec period{time, time};
    ::timerfd_settime(timer_.get(), 0, &period, nullptr);
}

/// Something happened outside of `dispatch`: the descriptor is to tell of it.
void Context::wake() {
    interval_ = woken;
    const itimerspec soon{{0, 0}, {0, 1}};
    ::timerfd_settime(timer_.get(), 0, &soon, nullptr);
}

Context::Entry* Context::next_event(int& event) {
    event = VMMI_EVENT_NONE;
    if (events_.empty()) return nullptr;
    const Event first = events_.front();
    events_.pop_front();
    constexpr std::array<int, 5> kinds{VMMI_EVENT_NONE, VMMI_EVENT_STATUS, VMMI_EVENT_NO_STATUS, VMMI_EVENT_STUCK,
                                       VMMI_EVENT_ENDED};
    event = kinds.at(static_cast<std::size_t>(first.news));
    return entries_.at(first.number).get();
}

}  // namespace vmmi::supervisor
