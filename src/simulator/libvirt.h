// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "core/event.h"
#include "simulator/qemu.h"

namespace vmmi::simulator {

/// Both hosts of a migration, as the session sees them: takes its orders, and answers with events. What the channels of
/// `hypervisor::SourceHost` do, here with a virtual clock: calls take their time, and those that QEMU has to answer
/// wait while it moves the last of the memory.
class Libvirt {
  public:
    /// The scenario outlives it.
    explicit Libvirt(const Scenario& scenario) : scenario_(scenario) {}

    void execute(const Order& order);
    /// Lets time pass, up to `until` or to the next event for the session, whichever is first.
    std::optional<Event> advance(Instant until);
    Instant now() const { return now_; }

    /// Somebody else makes the migrate call.
    void start(const MigrationRequest& request);

    /// Null until the migration was started.
    const Qemu* qemu() const { return qemu_ ? &*qemu_ : nullptr; }
    const std::vector<Pass>& passes() const { return passes_; }

  private:
    /// What comes at some time: a call that takes effect, or an event that reaches the session.
    using Step = std::function<std::optional<Event>()>;
    using Call = std::function<Event()>;
    using Answer = std::function<Event(std::optional<NativeError>)>;

    void later(Instant delay, Step step);
    void tell(Instant delay, Event event);
    /// `blocks`: QEMU has to answer.
    void call(bool blocks, Call call);
    /// A call that changes the migration.
    void steer(Answer answer, std::function<std::optional<NativeError>()> change);
    bool calls_fail() const;
    void strike(const Fault& fault);
    void recover(const order::Recover& order);
    void on(Happening happening);
    void call_returns(Instant delay, std::optional<NativeError> error);
    void end(GuestState source, GuestState destination, std::optional<NativeError> error);
    void stop(event::Lifecycle::Kind kind);

    bool job_runs() const;
    std::optional<NativeError> apply(const Action& action);
    std::optional<NativeError> abort();
    GuestState source() const;
    GuestState destination() const;
    JobStats job() const;
    event::Connected connected() const;
    event::Inspected inspected() const;

    const Scenario& scenario_;
    Instant now_{0};
    Instant began_{0};    ///< the migrate call
    Scenario started_{};  ///< as the request has it
    std::optional<Qemu> qemu_;
    /// By time; of the same time, in the order in which they were made.
    std::multimap<Instant, Step> steps_;
    std::vector<Call> blocked_;
    std::vector<Pass> passes_;
    bool supervised_ = false;                ///< the session is connected: events go to it
    bool called_here_ = false;               ///< the session made the migrate call, which has not come back
    std::optional<std::size_t> recovering_;  ///< the same for the call that resumed post-copy
    /// Once the job is over.
    std::optional<GuestState> source_after_;
    std::optional<GuestState> destination_after_;
    std::optional<JobStats> completed_;
    bool paused_ = false;  ///< the guest, by the migration
    bool lost_at_destination_ = false;
};

}  // namespace vmmi::simulator
