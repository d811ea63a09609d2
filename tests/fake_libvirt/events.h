// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>

namespace fake {

/// Subscriptions to events and to the end of connections. Everything is delivered by a timer of libvirt's own event
/// loop, on the thread that runs it: without one, nothing comes.
int subscribe(virConnectPtr connection, virDomainPtr domain, int event, virConnectDomainEventGenericCallback callback,
              void* opaque, virFreeCallback free);
/// Waits for a delivery that is under way. False: there was no such subscription.
bool unsubscribe(virConnectPtr connection, int id);
bool watch(virConnectPtr connection, virConnectCloseFunc callback, void* opaque, virFreeCallback free);
bool unwatch(virConnectPtr connection);

}  // namespace fake
