// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/configuration.h"
#include "core/event.h"
#include "hypervisor/event_thread.h"
#include "hypervisor/lane.h"
#include "hypervisor/libvirt_handle.h"

namespace vmmi::hypervisor {

/// The guest at its source host: carries out the session's orders and tells it events.
///
/// `execute` returns at once. Calls that may block run on three lanes: the migrate call, which lasts as long as the
/// migration; looking, which blocks while the guest is paused for the last pass; and steering, on a connection of its
/// own, so that an abort waits for neither of them. Events come to `post` from any of these threads.
class SourceHost {
  public:
    struct Target {
        std::string connection;
        Credentials credentials;
        std::string vm;  ///< UUID or name
        std::string destination_uri;
        std::string migration_uri;
    };
    using Post = std::function<void(Event)>;

    SourceHost(Target target, Post post);
    /// Waits for every call under way: only after `close` returned true.
    ~SourceHost() = default;
    SourceHost(const SourceHost&) = delete;
    SourceHost& operator=(const SourceHost&) = delete;

    void execute(const Order& order);
    /// Closes the connections, after the last order. False: some call did not come back within the time given, because
    /// the migration goes on or because the daemon hangs; then only the end of the process ends it.
    bool close(std::chrono::milliseconds patience);

  private:
    void connect();
    void subscribe();
    void disconnect();
    void start(const MigrationRequest& request);
    void take_sample();
    void inspect();
    void apply(const order::Apply& order);
    void abort();
    void restore(Milliseconds downtime_limit);
    /// The guest on the steering connection, which is opened when it is first needed.
    Domain steered();

    Target target_;
    Post post_;
    EventThread events_;

    // Set by `connect` before anything else uses them, and not changed after.
    Connection connection_;
    Domain domain_;
    std::string uuid_;
    std::vector<int> subscriptions_;

    Connection steering_;  ///< touched on the steering lane only

    // Last, so that the threads end before what they use goes away.
    Lane calling_;
    Lane looking_;
    Lane steering_lane_;
};

}  // namespace vmmi::hypervisor
