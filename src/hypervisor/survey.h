// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "core/check.h"
#include "hypervisor/connection.h"
#include "hypervisor/lane.h"

namespace vmmi::hypervisor {

/// Reads the facts of one host, and changes nothing there. Each question is answered by one call of its function on
/// this object's thread, at any time later or never: a call may hang in the daemon. Questions wait for each other.
class Survey {
  public:
    using HostAnswer = std::function<void(tl::expected<HostFacts, Unreachable>)>;
    using GuestAnswer = std::function<void(Result<GuestFacts>)>;
    using DevicesAnswer = std::function<void(std::optional<GuestDevices>)>;
    using NamesakesAnswer = std::function<void(Namesakes)>;

    explicit Survey(Endpoint endpoint) : endpoint_(std::move(endpoint)) {}

    /// Connects. To be asked first.
    void ask_host(HostAnswer answer);
    /// The guest by UUID or name. No answer without a connection.
    void ask_guest(std::string vm, GuestAnswer answer);
    /// The devices of the guest with that UUID; nothing where they cannot be read. No answer without a connection.
    void ask_devices(std::string uuid, DevicesAnswer answer);
    /// What has this guest's UUID or name. No answer without a connection.
    void ask_namesakes(Guest guest, NamesakesAnswer answer);
    /// As that of SourceHost.
    bool close(std::chrono::milliseconds patience);

  private:
    Result<GuestFacts> find(const std::string& vm) const;

    Endpoint endpoint_;
    Connection connection_;  ///< the lane's
    Lane lane_;              // last: its thread ends before what it uses goes away
};

/// The version of libvirt's library in this process.
std::string client_version();

}  // namespace vmmi::hypervisor
