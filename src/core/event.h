// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <variant>

#include "core/conflicts.h"
#include "core/host.h"
#include "core/job.h"
#include "core/record.h"
#include "vmmi/migration.h"
#include "vmmi/result.h"

namespace vmmi {

/// Steady time: durations and deadlines never jump with the wall clock.
using TimePoint = std::chrono::steady_clock::time_point;
/// Never negative.
inline Milliseconds between(TimePoint from, TimePoint to) {
    return std::max(Milliseconds(0), std::chrono::duration_cast<Milliseconds>(to - from));
}

/// What the session learns from outside. Events carry facts; what they mean is decided in the session alone.
namespace event {

struct Connected : GuestFacts {
    /// Of a migration under way; of others LimitRead tells it.
    std::optional<Milliseconds> downtime_limit;
    /// The same: the version of libvirt.
    HostFacts source{};
    /// What another run left about a migration of this guest; it may be one of long ago.
    std::optional<MigrationRecord> record{};
};
/// What was asked for in order::LookCloser. Absent: it could not be told.
struct LookedCloser {
    std::optional<GuestDevices> devices;
    std::optional<HostFacts> source;
};
struct ConnectFailed {
    Error error;
};
/// The guest's own downtime limit, read while the daemons prepare the migration. Absent: it could not be told.
struct LimitRead {
    std::optional<Milliseconds> limit;
};
struct LimitAnswered {
    std::optional<NativeError> error;
};
/// libvirt's MIGRATION_ITERATION event: the moment to look.
struct IterationBegan {
    int iteration = 0;
};
/// libvirt's lifecycle events, in the words of a migration at its source.
struct Lifecycle {
    enum class Kind {
        paused_for_switchover,
        postcopy_began,
        postcopy_failed,
        resumed,   ///< at the source: the migration failed
        migrated,  ///< stopped because it runs at the destination now
        powered_off,
        destroyed,
        crashed,
    };
    Kind kind;
};
/// libvirt's JOB_COMPLETED event; emitted on success only.
struct JobCompleted {
    JobStats stats;
};
struct Sampled {
    GuestState state = GuestState::unknown;
    JobStats stats;
};
/// Statistics are no verdict: they fail in the last moments of a good migration, too.
struct SampleFailed {
    NativeError error;
};
/// The blocking migrate call is back. Its error is evidence, not the outcome.
struct MigrateReturned {
    std::optional<NativeError> error;
};
struct ActionAnswered {
    std::size_t index = 0;  ///< as given in order::Apply
    std::optional<NativeError> error;
};
struct AbortAnswered {
    std::optional<NativeError> error;
};
/// The call that took a broken post-copy up again is back: at once where libvirt refused, else when it broke again or
/// was done.
struct RecoveryReturned {
    std::size_t index = 0;  ///< as given in order::Recover
    std::optional<NativeError> error;
};
/// The source as it is after the migrate call came back.
struct Inspected {
    GuestState state = GuestState::unknown;
    bool job_active = false;
    std::optional<JobStats> completed{};
    /// The job that is under way, if any.
    JobStats job{};
    std::string uuid{};
    /// As in Connected.
    std::optional<MigrationRecord> record{};
};
/// The guest at its destination, as far as the plugin can look there: often it cannot.
struct DestinationInspected {
    GuestState state = GuestState::unknown;
    std::string uri{};  ///< as given in order::InspectDestination
    Version libvirt{};
};
struct ConnectionLost {
    std::string reason;
};
/// SIGTERM: leave, the migration goes on.
struct DetachRequested {};
/// SIGINT or SIGSTOP: abort the migration, then leave.
struct AbortRequested {
    const char* signal = "SIGINT";
};
/// The session's own deadline has come.
struct Tick {};

}  // namespace event

using Event = std::variant<event::Connected, event::LookedCloser, event::ConnectFailed, event::LimitRead,
                           event::LimitAnswered, event::IterationBegan, event::Lifecycle, event::JobCompleted,
                           event::Sampled, event::SampleFailed, event::MigrateReturned, event::ActionAnswered,
                           event::AbortAnswered, event::RecoveryReturned, event::Inspected, event::DestinationInspected,
                           event::ConnectionLost, event::DetachRequested, event::AbortRequested, event::Tick>;

/// What the session wants done. Each order to libvirt is answered by one event, at any time later or never: a call may
/// hang in the daemon.
namespace order {

struct Connect {};  ///< Connected or ConnectFailed
/// Asks what Connected leaves out, since few requests depend on it and the daemon takes time for it.
struct LookCloser {  ///< LookedCloser, or ConnectFailed
    Subjects subjects;
};
/// Leaves the downtime limit to LimitDowntime: QEMU takes milliseconds for it, and the daemons prepare for longer.
struct Start {  ///< LimitRead early on, and MigrateReturned when it is over
    MigrationRequest request;
};
/// The limit to begin with, before memory moves.
struct LimitDowntime {  ///< LimitAnswered
    Milliseconds limit{0};
};
struct TakeSample {};    ///< Sampled or SampleFailed
struct OpenSteering {};  ///< The connection for what changes the migration, before it is needed. No answer.
struct Apply {           ///< ActionAnswered; never an AbortMigration, a ResumePostCopy or a Wait
    std::size_t index = 0;
    Action action;
    bool in_postcopy = false;
};
/// Takes a broken post-copy up again: the migrate call made anew, which lasts as long as what is left of the migration.
struct Recover {  ///< RecoveryReturned
    std::size_t index = 0;
    MigrationRequest request;  ///< as the migration was started
    std::string destination_uri;
    std::string migration_uri;
};
struct Abort {};  ///< AbortAnswered
struct Inspect {  ///< Inspected or ConnectionLost
    /// Not on the way on which a question is still unanswered.
    bool aside = false;
};
/// Lets a guest go on that the migration left paused at the source. No answer: the next Inspect tells.
struct Resume {};
struct InspectDestination {  ///< DestinationInspected
    std::string uuid;
    std::string uri;
};
/// Puts back what the migration changed at a guest that stays at the source. No answer.
struct Restore {
    Milliseconds downtime_limit{0};
};
/// Leaves the record for whoever takes over, unless another run at work has left its own. No answer.
struct Remember {
    MigrationRecord record;
};
/// Takes it away again: the migration is over, or was not ours. No answer.
struct Forget {};
struct Note {
    enum class Level { error, warning, info, debug, trace };
    Level level = Level::info;
    std::string text;
};

}  // namespace order

using Order =
    std::variant<order::Connect, order::LookCloser, order::Start, order::LimitDowntime, order::OpenSteering,
                 order::TakeSample, order::Apply, order::Recover, order::Abort, order::Inspect,
                 order::InspectDestination, order::Resume, order::Restore, order::Remember, order::Forget, order::Note>;

}  // namespace vmmi
