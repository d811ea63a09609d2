// SPDX-License-Identifier: Apache-2.0
#include "engine/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/conflicts.h"
#include "core/describe.h"
#include "core/uri.h"

namespace vmmi::engine {
namespace {

using Level = order::Note::Level;

/// Whether the statistics of a migration that was completed, read with the guest in that state, are of this one. Those
/// of an earlier one stay until this one is far advanced, and where this one was completed, the guest goes from the
/// source.
bool of_this_migration(const event::Inspected& seen) {
    switch (seen.state) {
        case GuestState::absent:
        case GuestState::shut_off_migrated:
            return true;
        case GuestState::running:
        case GuestState::paused:
        case GuestState::shut_off:
            return false;
        default:
            return seen.job_active;
    }
}

}  // namespace

Orders Session::begin(TimePoint now) {
    now_ = now;
    orders_.clear();
    orders_.push_back(order::Connect{});
    deadline_ = now + options_.connection_timeout;
    return std::move(orders_);
}

Orders Session::handle(const Event& event, TimePoint now) {
    now_ = now;
    orders_.clear();
    if (stage_ != Stage::finished) std::visit([this](const auto& e) { on(e); }, event);
    // Where the migration is ending, so does the pause.
    if (stage_ == Stage::migrating && pause_ends_ && deadline_ && !evidence_.abort_requested)
        deadline_ = std::min(*deadline_, std::max(*pause_ends_, now_));
    return std::move(orders_);
}

void Session::on(const event::Connected& event) {
    guest_ = event.guest;
    source_ = event.source;
    progress_.expect(guest_.memory);
    original_downtime_limit_ = downtime_limit_ = event.downtime_limit;
    if (event.job.migrating()) return take_over(event.job, event.state, event.record);
    if (std::optional<Error> error = refusal(guest_, event.state, event.job))
        return finish(Cause::not_started, std::move(error));
    request_ = suited_to(policy_.plan(guest_), parse_uri(options_.migration_uri).scheme);
    if (const Subjects unknown = subjects(request_); unknown.any())
        orders_.push_back(order::LookCloser{unknown});
    else
        start();
}

void Session::on(const event::LookedCloser& event) {
    if (stage_ != Stage::connecting) return;
    guest_.devices = event.devices;
    if (event.source) source_ = *event.source;
    start();
}

void Session::start() {
    const Surroundings around{parse_uri(options_.migration_uri).scheme, source_, std::nullopt};
    const std::vector<Conflict> found = conflicts(request_, guest_, around);
    for (const Conflict& conflict : found) note(Level::warning, conflict.error.details);
    if (std::optional<Error> error = refusal(found)) return finish(Cause::not_started, std::move(error));
    stage_ = Stage::migrating;
    set_phase(Phase::starting);
    limit_pending_ = true;
    started_ = now_;
    deadline_ = now_ + short_interval;
    orders_.push_back(order::Start{request_});
    // If this run is killed, the next one knows what was wanted. Written while the call is on its way.
    remember({.plugin = options_.policy_name,
              .uuid = guest_.uuid,
              .started = now_,
              .destination_uri = options_.destination_uri,
              .migration_uri = options_.migration_uri,
              .request = request_});
}

void Session::on(const event::LimitRead& event) {
    limit_pending_ = false;
    if (stage_ != Stage::migrating || original_downtime_limit_) return;
    downtime_limit_ = event.limit;
    if (evidence_.taken_over) return;  // it may be anybody's
    original_downtime_limit_ = event.limit;
    if (record_ && event.limit) {
        // Before it is changed: if this run is killed, the next one knows what to put back.
        MigrationRecord record = *record_;
        record.original_downtime_limit = event.limit;
        remember(std::move(record));
    }
    const std::optional<Milliseconds> wanted = request_.downtime_limit;
    if (!wanted || wanted == event.limit || evidence_.abort_requested) return;
    limit_touched_ = true;
    limit_downtime();
}

void Session::limit_downtime() {
    limit_pending_ = true;
    limit_again_ = false;
    orders_.push_back(order::LimitDowntime{*request_.downtime_limit});
}

void Session::on(const event::LimitAnswered& event) {
    limit_pending_ = false;
    if (stage_ != Stage::migrating) return;
    if (!event.error) {
        downtime_limit_ = request_.downtime_limit;
        return;
    }
    // For want of a descriptor, say. An abort would not get through either.
    if (event.error->code == native::no_connection) {
        limit_pending_ = limit_again_ = true;
        return;
    }
    // With another limit, the guest might stand still for longer than was allowed.
    request_abort(Cause::aborted_by_policy, fmt::format("a downtime limit of {} ms could not be set: {}",
                                                        request_.downtime_limit->count(), describe(*event.error)));
}

void Session::on(const event::ConnectFailed& event) {
    finish(Cause::not_started, event.error);
}

void Session::on(const event::IterationBegan& event) {
    if (stage_ != Stage::migrating) return;
    note(Level::debug, fmt::format("iteration {} began", event.iteration));
    if (passes_.looks_are_passes()) take_sample();
}

void Session::on(const event::Lifecycle& event) {
    using Kind = event::Lifecycle::Kind;
    if (stage_ == Stage::connecting) return;
    switch (event.kind) {
        case Kind::paused_for_switchover:
            return set_phase(Phase::switchover);
        case Kind::postcopy_began:
            return set_phase(Phase::postcopy);
        case Kind::postcopy_failed:
            set_phase(Phase::postcopy_failed);
            return take_sample();
        case Kind::resumed:
            // Elsewhere it is a user who resumed a paused guest.
            if (phase_ == Phase::switchover) set_phase(Phase::precopy);
            return;
        case Kind::migrated:
        case Kind::powered_off:
        case Kind::destroyed:
        case Kind::crashed:
            evidence_.stopped = event.kind;
            return evidence_.taken_over ? look_for_the_end() : conclude();
    }
}

void Session::on(const event::JobCompleted& event) {
    if (stage_ == Stage::connecting || event.stats.operation != JobStats::Operation::outgoing_migration) return;
    evidence_.completed = event.stats;
    evidence_.taken_over ? look_for_the_end() : conclude();
}

void Session::on(const event::MigrateReturned& event) {
    note(Level::debug,
         event.error ? "the migrate call failed: " + describe(*event.error) : "the migrate call succeeded");
    evidence_.call = event;
    look_for_the_end();
}

void Session::look_for_the_end() {
    if (stage_ == Stage::ending) return conclude();
    stage_ = Stage::ending;
    ended_ = now_;
    conclude();
    if (stage_ == Stage::finished) return;
    deadline_ = now_ + short_interval;
    look();
}

void Session::look() {
    // Where statistics or an earlier look hang in the daemon, this one goes another way.
    orders_.push_back(order::Inspect{.aside = sampling_ || inspecting_});
    inspecting_ = true;
    look_at_the_destination();
}

void Session::look_at_the_destination() {
    orders_.push_back(order::InspectDestination{guest_.uuid, destination_uri_});
    if (destination_uri_ != options_.destination_uri)
        orders_.push_back(order::InspectDestination{guest_.uuid, options_.destination_uri});
}

void Session::on(const event::Inspected& event) {
    inspecting_ = false;
    if (stage_ != Stage::ending) return;
    evidence_.source = event;
    evidence_.cancelled = evidence_.cancelled || event.job.type == JobStats::Type::cancelled;
    if (event.completed && of_this_migration(event)) evidence_.completed = event.completed;
    // The call failed, but a migration runs: another one that won the race, or ours, which outlived its call.
    if (event.job.migrating()) return take_over(event.job, event.state, event.record);
    if (event.state == GuestState::absent && !evidence_.destination) look_at_the_destination();
    conclude();
}

void Session::on(const event::DestinationInspected& event) {
    if (stage_ == Stage::migrating) {
        hear_from_the_destination(event);
        return recover();
    }
    if (stage_ != Stage::ending) return;
    if (event.uri == options_.destination_uri) evidence_.asked = event.state;
    if (event.uri == destination_uri_) evidence_.destination = event.state;
    conclude();
}

void Session::on(const event::ConnectionLost& event) {
    finish_failed(stage_ == Stage::connecting ? Cause::not_started : Cause::connection_lost,
                  ErrorCode::libvirt_disconnected, "connection to libvirt lost",
                  fmt::format("{}; {}", event.reason, what_is_left()));
}

/// By a run that leaves before the end.
std::string Session::what_is_left() const {
    if (stage_ == Stage::connecting) return "nothing was started";
    if (stage_ == Stage::ending)
        return fmt::format(
            "the migration of {} seems to be over, and nobody looked yet how it ended: look at both hosts; {}",
            guest_.name, what_the_call_said());
    if (evidence_.abort_requested && !in_postcopy())
        return fmt::format(
            "the migration of {} ends by the abort that libvirt was asked for ({}), or goes on in the "
            "daemon, without supervision, where that was not heard",
            guest_.name, abort_reason_);
    return fmt::format("the migration of {} goes on in the daemon, without supervision", guest_.name);
}

void Session::on(const event::DetachRequested&) {
    if (stage_ == Stage::connecting)
        return finish_failed(Cause::not_started, ErrorCode::detached, "detached",
                             "told to leave before the migration was started");
    finish_failed(Cause::detached, ErrorCode::detached, "detached",
                  fmt::format("told to leave in phase {}; {}{}", to_string(phase_), what_is_left(),
                              sampled_ || stage_ == Stage::ending
                                  ? ""
                                  : "; it was just being started: look at the source whether it runs"));
}

void Session::on(const event::AbortRequested& event) {
    const std::string reason = fmt::format("told to abort by {}", event.signal);
    if (stage_ == Stage::connecting)
        return finish_failed(Cause::not_started, ErrorCode::migration_aborted, "migration aborted",
                             reason + " before the migration was started");
    note(Level::info, "abort: " + reason);
    request_abort(Cause::aborted_by_signal, reason);
}

void Session::on(const event::Tick&) {
    if (stage_ == Stage::connecting) {
        finish_failed(Cause::not_started, ErrorCode::libvirt_disconnected, "cannot connect to libvirt",
                      fmt::format("the daemon gave no answer within {} s (connectionTimeout); nothing was started",
                                  options_.connection_timeout.count() / 1000));
    } else if (stage_ == Stage::migrating) {
        // In the last pass, an answer takes as long as the pass.
        if (answer_due_ && now_ >= *answer_due_ && phase_ != Phase::switchover)
            return on(event::ConnectionLost{fmt::format("the daemon gave no answer within {} s (connectionTimeout)",
                                                        options_.connection_timeout.count() / 1000)});
        if (abort_again_ && now_ >= *abort_again_) order_abort();
        if (limit_again_ && !evidence_.abort_requested) limit_downtime();
        watch_pause();
        take_sample();
        deadline_ = now_ + interval();
    } else if (stage_ == Stage::ending) {
        conclude();
        if (stage_ == Stage::finished) return;
        look();
        deadline_ = now_ + short_interval;
    }
}

/// Post-copy has no way back: what tells of an earlier phase after it began is late.
void Session::set_phase(Phase phase) {
    if (phase == phase_ || (phase_ >= Phase::postcopy && phase < Phase::postcopy)) return;
    note(Level::info, fmt::format("phase {}", to_string(phase)));
    phase_ = phase;
    if (phase == Phase::postcopy && recovery_ && recovery_->ordered) recovery_->took_effect = true;
    if (phase == Phase::postcopy_failed) moved_ = now_;
    count_lost_work();
}

void Session::note(Level level, std::string text) {
    orders_.push_back(order::Note{level, std::move(text)});
}

Milliseconds Session::elapsed() const {
    return started_ ? between(*started_, now_) : Milliseconds(0);
}

}  // namespace vmmi::engine
