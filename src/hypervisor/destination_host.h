// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "core/event.h"
#include "hypervisor/channel.h"

namespace vmmi::hypervisor {

/// A witness at the destination. The source's daemon talks to the destination; the plugin itself often cannot, for want
/// of a way or of credentials. So this only looks, and what it cannot see it calls unknown.
class DestinationHost {
  public:
    using Post = std::function<void(Event)>;

    DestinationHost(Endpoint endpoint, Post post) : post_(std::move(post)), channel_(std::move(endpoint)) {}

    /// Posts DestinationInspected.
    void execute(const order::InspectDestination& order);
    /// As that of SourceHost.
    bool close(std::chrono::milliseconds patience);

  private:
    Post post_;
    Channel channel_;
};

}  // namespace vmmi::hypervisor
