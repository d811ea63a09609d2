// SPDX-License-Identifier: Apache-2.0
#include "engine/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/describe.h"
#include "core/redact.h"

namespace vmmi::engine {
namespace {

using Level = order::Note::Level;

/// Until QEMU sends memory, and after the call came back, the next change is a fraction of a second away.
constexpr Milliseconds short_interval{200};
constexpr Milliseconds patience_for_abort{3'000};
constexpr std::ptrdiff_t most_actions = 1000;
/// How far the begin of a job, as libvirt tells its age, may be from what a record says of it.
constexpr Milliseconds same_begin{2'000};

std::string sample_line(const JobStats& stats) {
    return fmt::format("sample: pass {}, {} of {} bytes left, {} sent, {} B/s, dirtied at {} B/s", stats.iteration,
                       stats.memory_remaining.count, stats.memory_total.count, stats.memory_transferred.count,
                       stats.bandwidth.count, stats.dirty_rate.count);
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
    return std::move(orders_);
}

void Session::on(const event::Connected& event) {
    guest_ = event.guest;
    original_downtime_limit_ = downtime_limit_ = event.downtime_limit;
    if (event.job.migrating()) return take_over(event.job, event.state, event.record);
    if (event.job.type == JobStats::Type::active) {
        return finish_failed(
            Cause::not_started, ErrorCode::operation_failed, "another job is running",
            fmt::format("guest {} has a job in progress that is no migration, such as a save or a backup; "
                        "wait for its end, or abort it, and try again",
                        guest_.name));
    }
    if (event.state != GuestState::running && event.state != GuestState::paused) {
        return finish_failed(Cause::not_started, ErrorCode::operation_failed, "guest is not running",
                             fmt::format("guest {} is {}; only a running or paused guest can be migrated", guest_.name,
                                         to_string(event.state)));
    }
    const MigrationRequest request = policy_.plan(guest_);
    if (request.downtime_limit) {
        downtime_limit_ = request.downtime_limit;
        limit_touched_ = downtime_limit_ != original_downtime_limit_;
    }
    stage_ = Stage::migrating;
    set_phase(Phase::starting);
    started_ = now_;
    deadline_ = now_ + short_interval;
    // Before anything is changed: if this run is killed, the next one knows what to put back.
    remember({.plugin = options_.policy_name,
              .uuid = guest_.uuid,
              .started = now_,
              .destination_uri = options_.destination_uri,
              .migration_uri = options_.migration_uri,
              .request = request,
              .original_downtime_limit = original_downtime_limit_});
    orders_.push_back(order::Start{request});
}

void Session::remember(MigrationRecord record) {
    record_ = std::move(record);
    orders_.push_back(order::Remember{*record_});
}

/// Somebody else's migration, or one whose call we lost, goes on under this policy. Nobody tells its end: it is seen.
void Session::take_over(const JobStats& job, GuestState state, const std::optional<MigrationRecord>& left) {
    note(Level::info, fmt::format("a migration of {} is in progress: taking it over", guest_.name));
    // What this run left is about a migration that never began, if another one had begun before.
    const bool lost_the_race =
        evidence_.call && evidence_.call->error && evidence_.call->error->code == native::operation_invalid;
    if (lost_the_race) orders_.push_back(order::Forget{});
    const bool ours = record_ && !lost_the_race;
    stage_ = Stage::migrating;
    ended_.reset();
    const bool abort_requested = evidence_.abort_requested;
    evidence_ = {};
    evidence_.taken_over = true;
    evidence_.abort_requested = abort_requested;
    started_ = now_ - job.elapsed;
    if (!ours) recall(left);
    if (phase_ == Phase::connecting) set_phase(Phase::starting);
    follow(state, job);
    if (phase_ == Phase::precopy && stats_.memory_total.count > 0) iteration_seen_ = stats_.iteration;
    if (phase_ <= Phase::precopy) {
        for (Action& action : policy_.adopt(guest_, sample())) carry_out(std::move(action));
    }
    deadline_ = now_ + short_interval;
    if (evidence_.abort_requested) order_abort();
}

/// What another run left counts as far as it agrees with libvirt. Without it, libvirt's word is all there is.
void Session::recall(const std::optional<MigrationRecord>& left) {
    if (left && left->uuid == guest_.uuid &&
        std::max(left->started, *started_) - std::min(left->started, *started_) <= same_begin) {
        note(Level::info, fmt::format("it was left by plugin {}, with destination {}", left->plugin,
                                      redact_uri(left->destination_uri.value_or("unknown"))));
        if (left->original_downtime_limit) {
            original_downtime_limit_ = left->original_downtime_limit;
            limit_touched_ = true;
        }
        destination_uri_ = left->destination_uri.value_or(options_.destination_uri);
        return remember(*left);
    }
    if (left) note(Level::info, fmt::format("what plugin {} left is about another migration", left->plugin));
    remember({.plugin = options_.policy_name,
              .uuid = guest_.uuid,
              .started = *started_,
              .original_downtime_limit = original_downtime_limit_});
}

void Session::on(const event::ConnectFailed& event) {
    finish(Cause::not_started, event.error);
}

void Session::on(const event::IterationBegan& event) {
    if (stage_ != Stage::migrating) return;
    note(Level::debug, fmt::format("iteration {} began", event.iteration));
    take_sample();
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
            return set_phase(Phase::postcopy_failed);
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

/// Takes in where a running migration stands.
void Session::follow(GuestState state, const JobStats& stats) {
    switch (state) {
        case GuestState::postcopy:
            set_phase(Phase::postcopy);
            break;
        case GuestState::postcopy_failed:
            set_phase(Phase::postcopy_failed);
            break;
        case GuestState::paused_for_migration:
            set_phase(Phase::switchover);
            break;
        default:
            // The way back from the last pass is told by a lifecycle event alone: state and statistics are read one
            // after the other and need not belong together.
            if (!stats.migrating() || phase_ != Phase::starting) break;
            set_phase(Phase::precopy);
            // The way to the destination is opened while there is time.
            look_at_the_destination();
    }
    if (!stats.migrating()) return;
    note(Level::trace, sample_line(stats));
    // The migrate call takes its time to become a job, and it is the job's begin that libvirt tells.
    if (!sampled_ && record_ && !evidence_.taken_over) {
        MigrationRecord record = *record_;
        record.started = now_ - stats.elapsed;
        remember(std::move(record));
    }
    stats_ = stats;
    sampled_ = now_;
    progress_.update(stats_);
}

void Session::on(const event::Sampled& event) {
    sampling_ = false;
    if (stage_ != Stage::migrating) return;
    follow(event.state, event.stats);
    evidence_.cancelled = evidence_.cancelled || event.stats.type == JobStats::Type::cancelled;
    if (event.stats.migrating() && stats_.memory_total.count > 0) ask_policy();
    if (evidence_.taken_over && !event.stats.migrating()) return look_for_the_end();
    if (std::exchange(look_again_, false)) take_sample();
}

void Session::on(const event::SampleFailed& event) {
    sampling_ = false;
    note(Level::debug, "no statistics: " + describe(event.error));
    if (stage_ != Stage::migrating) return;
    if (evidence_.taken_over) return look_for_the_end();
    if (std::exchange(look_again_, false)) take_sample();
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

void Session::on(const event::ActionAnswered& event) {
    const auto found = std::ranges::find(actions_, event.index, &ActionRecord::number);
    if (found == actions_.end()) return;
    ActionRecord& record = *found;
    if (!event.error) {
        if (const auto* set = std::get_if<SetDowntimeLimit>(&record.action.what)) downtime_limit_ = set->limit;
        return;
    }
    record.refused = describe(*event.error);
    note(Level::warning, fmt::format("libvirt refused {}: {}", describe(record.action), *record.refused));
}

void Session::on(const event::AbortAnswered& event) {
    abort_pending_ = false;
    // Before the job began there is nothing to abort yet, and an abort that libvirt accepted may still come too early
    // for QEMU: as long as the migrate call has not come back, it is tried again.
    abort_again_ = now_ + (event.error ? short_interval : patience_for_abort);
    deadline_ = std::min(deadline_.value_or(*abort_again_), *abort_again_);
    if (event.error)
        note(Level::debug, "libvirt refused the abort: " + describe(*event.error));
    else
        note(Level::info, "libvirt accepted the abort");
}

void Session::on(const event::Inspected& event) {
    inspecting_ = false;
    if (stage_ != Stage::ending) return;
    evidence_.source = event;
    if (event.completed) evidence_.completed = event.completed;
    // The call failed, but a migration runs: another one that won the race, or ours, which outlived its call.
    if (event.job.migrating()) return take_over(event.job, event.state, event.record);
    if (event.state == GuestState::absent && !evidence_.destination) look_at_the_destination();
    conclude();
}

void Session::on(const event::DestinationInspected& event) {
    if (stage_ != Stage::ending) return;  // the connection is open now: that was the purpose
    if (event.uri == options_.destination_uri) evidence_.asked = event.state;
    if (event.uri == destination_uri_) evidence_.destination = event.state;
    conclude();
}

void Session::on(const event::ConnectionLost& event) {
    const char* guest = stage_ == Stage::connecting
                            ? "nothing was started"
                            : "a migration that had begun goes on in the daemon, without supervision";
    finish_failed(stage_ == Stage::connecting ? Cause::not_started : Cause::connection_lost,
                  ErrorCode::libvirt_disconnected, "connection to libvirt lost",
                  fmt::format("{}; {}", event.reason, guest));
}

void Session::on(const event::DetachRequested&) {
    if (stage_ == Stage::connecting)
        return finish_failed(Cause::not_started, ErrorCode::detached, "detached",
                             "told to leave before the migration was started");
    finish_failed(
        Cause::detached, ErrorCode::detached, "detached",
        fmt::format("told to leave in phase {}; the migration of {} goes on in libvirt, without supervision{}",
                    to_string(phase_), guest_.name,
                    sampled_ ? "" : "; it was just being started: look at the source whether it runs"));
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
        if (abort_again_ && now_ >= *abort_again_) order_abort();
        take_sample();
        const bool quick = evidence_.abort_requested || stats_.memory_total.count == 0;
        deadline_ = now_ + (quick ? std::min(short_interval, options_.sample_interval) : options_.sample_interval);
    } else if (stage_ == Stage::ending) {
        conclude();
        if (stage_ == Stage::finished) return;
        look();
        deadline_ = now_ + short_interval;
    }
}

/// At most one question is under way: while the guest is paused for the last pass, the answer takes as long as the
/// pass.
void Session::take_sample() {
    if (sampling_) {
        look_again_ = true;
        return;
    }
    sampling_ = true;
    orders_.push_back(order::TakeSample{});
}

void Session::ask_policy() {
    // After an abort was asked for, or once the last pass or post-copy runs, no pre-copy knob helps any more.
    if (evidence_.abort_requested || phase_ != Phase::precopy) return;
    Sample now = sample();
    // The first sample of a pass is its boundary, whether the event or the interval asked for it.
    if (now.iteration > iteration_seen_) now.trigger = Sample::Trigger::iteration;
    iteration_seen_ = std::max(iteration_seen_, now.iteration);
    for (Action& action : policy_.decide(now)) {
        if (evidence_.abort_requested) break;
        carry_out(std::move(action));
    }
}

Sample Session::sample() const {
    Sample sample;
    sample.phase = phase_;
    sample.elapsed = stats_.elapsed;
    sample.iteration = stats_.iteration;
    sample.total = stats_.memory_total;
    sample.remaining = stats_.memory_remaining;
    sample.transferred = stats_.memory_transferred;
    sample.bandwidth = stats_.bandwidth;
    sample.dirty_rate = stats_.dirty_rate;
    sample.expected_downtime = stats_.downtime.value_or(Milliseconds(0));
    sample.downtime_limit = downtime_limit_.value_or(Milliseconds(0));
    sample.throttle_percent = stats_.throttle_percent;
    return sample;
}

void Session::carry_out(Action action) {
    note(Level::info, fmt::format("{}: {}", describe(action), action.reason));
    const std::size_t index = actions_.empty() ? 0 : actions_.back().number + 1;
    // A policy that acts in every pass of an endless migration: how it began and what came last says most.
    if (std::ssize(actions_) == most_actions) {
        actions_.erase(actions_.begin() + most_actions / 2);
        ++actions_omitted_;
    }
    actions_.push_back({.at = elapsed(), .action = action, .number = index});
    if (std::holds_alternative<Wait>(action.what)) return;
    if (std::holds_alternative<AbortMigration>(action.what))
        return request_abort(Cause::aborted_by_policy, action.reason);
    if (std::holds_alternative<SetDowntimeLimit>(action.what)) limit_touched_ = true;
    orders_.push_back(order::Apply{index, std::move(action)});
}

void Session::request_abort(Cause cause, std::string reason) {
    if (evidence_.abort_requested) return;
    abort_cause_ = cause;
    evidence_.abort_requested = true;
    abort_reason_ = std::move(reason);
    if (stage_ == Stage::migrating) order_abort();
}

void Session::order_abort() {
    if (abort_pending_) return;
    abort_again_.reset();
    // From here on the guest's memory is on both hosts: whoever ends either side loses the guest.
    if (phase_ == Phase::postcopy || phase_ == Phase::postcopy_failed)
        return note(Level::warning, "post-copy began: too late to abort, the migration goes on");
    abort_pending_ = true;
    orders_.push_back(order::Abort{});
}

/// Post-copy has no way back: what tells of an earlier phase after it began is late.
void Session::set_phase(Phase phase) {
    if (phase == phase_ || (phase_ >= Phase::postcopy && phase < Phase::postcopy)) return;
    note(Level::info, fmt::format("phase {}", to_string(phase)));
    phase_ = phase;
}

void Session::note(Level level, std::string text) {
    orders_.push_back(order::Note{level, std::move(text)});
}

Milliseconds Session::elapsed() const {
    return started_ ? between(*started_, now_) : Milliseconds(0);
}

Status Session::status(TimePoint now) const {
    Status status;
    status.policy = options_.policy_name;
    status.phase = phase_;
    if (started_) status.elapsed = between(*started_, now);
    status.progress_percent = progress_.percent();
    if (sampled_) status.sample_age = between(*sampled_, now);
    status.iteration = stats_.iteration;
    status.total = stats_.memory_total;
    status.remaining = stats_.memory_remaining;
    status.transferred = stats_.data_transferred;
    status.bandwidth = stats_.bandwidth;
    status.dirty_rate = stats_.dirty_rate;
    status.downtime_limit = downtime_limit_;
    status.throttle_percent = stats_.throttle_percent;
    status.eta = progress_.eta();
    if (!actions_.empty()) status.last_action = actions_.back();
    return status;
}

}  // namespace vmmi::engine
