// SPDX-License-Identifier: Apache-2.0
#include "events.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "call.h"
#include "statistics.h"
#include "trace.h"

namespace fake {
namespace {

struct Subscription {
    int id = 0;
    virConnectPtr connection = nullptr;
    std::optional<std::size_t> guest;
    int event = 0;
    virConnectDomainEventGenericCallback callback = nullptr;
    void* opaque = nullptr;
    virFreeCallback free = nullptr;
    Time delivered = 0;  ///< everything up to here
};

struct Watch {
    virConnectPtr connection = nullptr;
    virConnectCloseFunc callback = nullptr;
    void* opaque = nullptr;
    virFreeCallback free = nullptr;
    bool told = false;
};

struct Subscriptions {
    // Held while callbacks run, so that none runs after its end; a callback may subscribe.
    std::recursive_mutex mutex;
    std::vector<Subscription> events;
    std::vector<Watch> watches;
    int last_id = 0;
    bool timer = false;
};

Subscriptions& subscriptions() {
    static auto* all = new Subscriptions;
    return *all;
}

struct Delivery {
    Subscription to;
    std::size_t guest = 0;
    Happening what;
};

int event_of(Happening::Kind kind) {
    switch (kind) {
        case Happening::Kind::lifecycle:
            return VIR_DOMAIN_EVENT_ID_LIFECYCLE;
        case Happening::Kind::iteration:
            return VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION;
        case Happening::Kind::job_completed:
            return VIR_DOMAIN_EVENT_ID_JOB_COMPLETED;
    }
    return -1;
}

std::vector<Delivery> due_events() {
    std::vector<Delivery> due;
    World world;
    for (std::size_t guest = 0; guest < scenario().guests.size(); ++guest) {
        const Timeline timeline = world.timeline(guest);
        for (const Happening& what : timeline.happenings())
            for (const Subscription& to : subscriptions().events)
                if (to.event == event_of(what.kind) && to.connection->host == what.host &&
                    to.guest.value_or(guest) == guest && to.delivered < what.at && what.at <= world.now() &&
                    (what.host == Host::destination || !world.lost(to.connection->opened)))
                    due.push_back({to, guest, what});
    }
    for (Subscription& subscription : subscriptions().events) subscription.delivered = world.now();
    std::stable_sort(due.begin(), due.end(),
                     [](const Delivery& a, const Delivery& b) { return a.what.at < b.what.at; });
    return due;
}

std::vector<Watch> due_watches(int& reason) {
    std::vector<Watch> due;
    World world;
    reason = world.shared().outage_keepalive ? VIR_CONNECT_CLOSE_REASON_KEEPALIVE : VIR_CONNECT_CLOSE_REASON_EOF;
    for (Watch& watch : subscriptions().watches) {
        const bool lost = watch.connection->host == Host::source && world.lost(watch.connection->opened);
        if (watch.told || !lost || world.now() < world.shared().outage_callback) continue;
        watch.told = true;
        due.push_back(watch);
    }
    return due;
}

template <typename Callback>
Callback as(virConnectDomainEventGenericCallback callback) {
    return reinterpret_cast<Callback>(reinterpret_cast<void (*)()>(callback));
}

void call_back(const Delivery& delivery) {
    trace(
        {{"callback", event_of(delivery.what.kind)}, {"first", delivery.what.first}, {"second", delivery.what.second}});
    make_noise("event");
    const Subscription& to = delivery.to;
    _virDomain domain{to.connection, delivery.guest};
    switch (delivery.what.kind) {
        case Happening::Kind::lifecycle:
            as<virConnectDomainEventCallback>(to.callback)(to.connection, &domain, delivery.what.first,
                                                           delivery.what.second, to.opaque);
            return;
        case Happening::Kind::iteration:
            as<virConnectDomainEventMigrationIterationCallback>(to.callback)(to.connection, &domain,
                                                                             delivery.what.first, to.opaque);
            return;
        case Happening::Kind::job_completed: {
            Statistics statistics;
            {
                World world;
                statistics = completed_statistics(scenario().guests[delivery.guest], world.facts(delivery.guest),
                                                  world.timeline(delivery.guest), Host::source);
            }
            as<virConnectDomainEventJobCompletedCallback>(to.callback)(to.connection, &domain, statistics.list,
                                                                       statistics.count, to.opaque);
            virTypedParamsFree(statistics.list, statistics.count);
        }
    }
}

void deliver(int, void*) {
    const std::lock_guard lock(subscriptions().mutex);
    for (const Delivery& delivery : due_events()) call_back(delivery);
    int reason = 0;
    for (const Watch& watch : due_watches(reason)) {
        trace({{"callback", "close"}, {"connection", watch.connection->id}, {"first", reason}});
        watch.callback(watch.connection, reason, watch.opaque);
    }
}

void start_timer(Subscriptions& all) {
    if (!std::exchange(all.timer, true)) virEventAddTimeout(moment_ms(), deliver, nullptr, nullptr);
}

}  // namespace

int subscribe(virConnectPtr connection, virDomainPtr domain, int event, virConnectDomainEventGenericCallback callback,
              void* opaque, virFreeCallback free) {
    Subscriptions& all = subscriptions();
    const std::lock_guard lock(all.mutex);
    std::optional<std::size_t> guest;
    if (domain != nullptr) guest = domain->guest;
    virConnectRef(connection);
    all.events.push_back({++all.last_id, connection, guest, event, callback, opaque, free, clock_now()});
    start_timer(all);
    return all.last_id;
}

bool unsubscribe(virConnectPtr connection, int id) {
    Subscriptions& all = subscriptions();
    const std::lock_guard lock(all.mutex);
    const auto found = std::find_if(all.events.begin(), all.events.end(), [&](const Subscription& subscription) {
        return subscription.connection == connection && subscription.id == id;
    });
    if (found == all.events.end()) return false;
    if (found->free != nullptr) found->free(found->opaque);
    all.events.erase(found);
    return true;
}

bool watch(virConnectPtr connection, virConnectCloseFunc callback, void* opaque, virFreeCallback free) {
    Subscriptions& all = subscriptions();
    const std::lock_guard lock(all.mutex);
    for (const Watch& other : all.watches)
        if (other.connection == connection) return false;
    virConnectRef(connection);
    all.watches.push_back({connection, callback, opaque, free});
    start_timer(all);
    return true;
}

bool unwatch(virConnectPtr connection) {
    Subscriptions& all = subscriptions();
    const std::lock_guard lock(all.mutex);
    const auto found = std::find_if(all.watches.begin(), all.watches.end(),
                                    [&](const Watch& one) { return one.connection == connection; });
    if (found == all.watches.end()) return false;
    if (found->free != nullptr) found->free(found->opaque);
    all.watches.erase(found);
    return true;
}

}  // namespace fake
