// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "scenario.h"
#include "timeline.h"
#include "world.h"

// What libvirt's headers leave undefined.
struct _virConnect {
    int id;
    fake::Host host;
    fake::Time opened;
    std::atomic<int> references{1};
};
struct _virDomain {
    virConnectPtr connection;
    std::size_t guest;
    std::atomic<int> references{1};
};

namespace fake {

void set_error(const Error& error);
void reset_error();
virErrorPtr current_error();
/// Writes to standard output and standard error, if the scenario wants noise.
void make_noise(const char* about);

/// A call that goes to a daemon: traced at its beginning and end, subject to the rules and to losses of the connection.
class Call {
  public:
    /// No connection: it is the one that opens one. No guest: rules go by the phase of the first one.
    Call(const char* name, Host host, virConnectPtr connection, std::size_t guest, nlohmann::json arguments = {});
    Call(const char* name, virConnectPtr connection, nlohmann::json arguments = {})
        : Call(name, connection->host, connection, 0, std::move(arguments)) {}
    Call(const char* name, virDomainPtr domain, nlohmann::json arguments = {})
        : Call(name, domain->connection->host, domain->connection, domain->guest, std::move(arguments)) {}
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    /// Waits as long as a rule says. False: it failed, the error is set.
    bool admitted();
    /// Waits until the condition holds. False: it failed, the connection is lost.
    bool wait(const std::function<bool(World&)>& done);
    /// QEMU answers nobody during the last pass.
    bool wait_out_switchover();
    /// Sets the error; the answer of most calls that fail.
    int fail(const Error& error);
    int fail_no_domain();
    /// Shown in the trace.
    void answer(nlohmann::json answer) { answer_ = std::move(answer); }
    std::size_t guest() const { return guest_; }
    Host host() const { return host_; }

  private:
    const Rule* rule();
    bool fits(const Rule& rule, World& world) const;
    bool fail_lost(World& world, bool under_way);

    const char* name_;
    Host host_;
    virConnectPtr connection_;
    std::size_t guest_;
    int number_;
    int connection_id_;
    nlohmann::json answer_;
    std::optional<Error> error_;
};

}  // namespace fake
