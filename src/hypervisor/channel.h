// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "hypervisor/connection.h"
#include "hypervisor/lane.h"

namespace vmmi::hypervisor {

template <typename T>
using NativeResult = tl::expected<T, NativeError>;

/// A lane with a connection of its own, opened when it is first needed.
///
/// Two threads never share a connection: before version 9.9, libvirt's client can lose the wake-up with which a second
/// thread hands its call to the one that reads the socket, and then the call waits until something else arrives there.
class Channel {
  public:
    explicit Channel(Endpoint endpoint) : endpoint_(std::move(endpoint)) {}

    void submit(std::function<void()> task) { lane_.submit(std::move(task)); }
    /// Closes the connection, after all that was submitted before.
    void disconnect();
    bool idle_within(std::chrono::milliseconds patience) { return lane_.idle_within(patience); }

    // For tasks on this lane only.
    /// Whether the connection was opened and is not lost. No call to the daemon.
    bool is_alive() const { return connection_ && virConnectIsAlive(connection_.get()) == 1; }
    /// Whether it was opened and is not alive any more. What the client says then is no answer of the daemon.
    bool is_lost() const { return connection_ && !is_alive(); }
    Result<virConnectPtr> connection();
    NativeResult<virDomainPtr> guest(const std::string& uuid);
    /// Makes a guest of this channel's connection the one that `guest` gives.
    void keep(Domain guest) { guest_ = std::move(guest); }
    void forget_guest() { guest_.reset(); }

  private:
    Endpoint endpoint_;
    Connection connection_;
    Domain guest_;
    Lane lane_;  // last: its thread ends before what it uses goes away
};

}  // namespace vmmi::hypervisor
