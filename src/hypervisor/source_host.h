// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "core/configuration.h"
#include "core/event.h"
#include "hypervisor/channel.h"
#include "hypervisor/event_thread.h"

namespace vmmi::hypervisor {

/// The guest at its source host: carries out the session's orders and tells it events.
///
/// `execute` returns at once. Calls that may block run on four channels: the migrate call, which lasts as long as the
/// migration; looking, which blocks while the guest is paused for the last pass; steering, so that an abort waits for
/// neither of them; and recovering, a second migrate call, which the first one may outlive. An abort that would wait
/// for what else is steered goes over that last one. Events come to `post` from any of these threads.
///
/// Before the start, only what the start needs is asked of the daemon. Looking gets its connection when the migration
/// is on its way, steering when it is told to, which is before it is needed: a daemon in trouble lets nobody in.
class SourceHost {
  public:
    struct Target {
        Endpoint source;
        std::string vm;  ///< UUID or name
        std::string destination_uri;
        std::string migration_uri;
    };
    using Post = std::function<void(Event)>;

    SourceHost(Target target, Post post, const EventThread& events);
    /// Waits for every call under way: only after `close` returned true.
    ~SourceHost() = default;
    SourceHost(const SourceHost&) = delete;
    SourceHost& operator=(const SourceHost&) = delete;

    void execute(const Order& order);
    /// Gives what was ordered last, such as an abort, that long to reach the daemon: for who leaves the migration to
    /// it.
    void let_orders_out(std::chrono::milliseconds patience);
    /// Closes the connections, after the last order. False: some call did not come back within the time given, because
    /// the migration goes on or because the daemon hangs; then only the end of the process ends it.
    bool close(std::chrono::milliseconds patience);

  private:
    void connect();
    void look_closer(Subjects subjects);
    void subscribe();
    void unsubscribe();
    void start(const MigrationRequest& request);
    void read_limit();
    void limit_downtime(Milliseconds limit);
    void take_sample(Channel& channel);
    void inspect(Channel& channel);
    void recover(const order::Recover& order);
    /// On that channel. Where it cannot be opened, for want of a descriptor say, on the calling one if its call is
    /// back, else on the looking one.
    void submit(Channel& channel, std::function<void(Channel&)> task);
    void apply(Channel& channel, const order::Apply& order);
    void abort(Channel& channel);
    void resume(Channel& channel);
    void restore(Channel& channel, Milliseconds downtime_limit);

    Target target_;
    Post post_;

    // Set by `connect`, before any other order is given.
    std::string uuid_;
    bool taken_over_ = false;
    // Of the looking channel.
    std::vector<int> subscriptions_;

    // Last, so that the threads end before what they use goes away.
    Channel calling_;
    Channel looking_;
    Channel steering_;
    Channel recovering_;
};

}  // namespace vmmi::hypervisor
