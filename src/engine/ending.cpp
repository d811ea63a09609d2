// SPDX-License-Identifier: Apache-2.0
// The part of the session that begins when the migration seems to be over: what ended it, and what is where.
#include <fmt/format.h>

#include <utility>

#include "core/describe.h"
#include "core/redact.h"
#include "engine/session.h"

namespace vmmi::engine {
namespace {

using Level = order::Note::Level;

/// libvirt clears a failed job within about two seconds of its end, and tells completed statistics right after it.
constexpr Milliseconds patience_for_verdict{10'000};
constexpr Milliseconds patience_for_statistics{2'000};
constexpr Milliseconds patience_for_destination{3'000};
/// A migration that takes the definition away does so after it has told its end, and no event tells it: only the call's
/// return does, which who took the migration over does not have.
constexpr Milliseconds patience_for_definition{500};

bool alive(GuestState there) {
    return there == GuestState::running || there == GuestState::paused;
}

bool stopped(GuestState here) {
    return here == GuestState::shut_off || here == GuestState::shut_off_migrated;
}

}  // namespace

/// Whether both hosts have what the verdict says, or the destination cannot be seen. After an abort, QEMU takes its
/// time to go, and what becomes of the definition at the source, only a look tells.
bool Session::settled(Verdict verdict) const {
    if (!evidence_.source || !evidence_.destination || !evidence_.asked) return false;
    const GuestState here = evidence_.source->state;
    if (stopped(here) && !guest_.persistent) return false;  // a moment on its way out
    if (verdict == Verdict::completed && (alive(here) || here == GuestState::paused_for_migration)) return false;
    const GuestState there = *evidence_.destination;
    if (there == GuestState::unknown) return true;
    return verdict == Verdict::completed ? alive(there) : is_gone(there);
}

/// Whether the guest's definition, still at the source, may be on its way out.
bool Session::definition_may_go(Verdict verdict) const {
    return verdict == Verdict::completed && evidence_.taken_over && !evidence_.call && evidence_.source &&
           stopped(evidence_.source->state);
}

/// Whether this run or what another one left tells where the migration goes. Else what is seen at the destination that
/// the caller named may be of another host.
bool Session::destination_known() const {
    return record_ && record_->destination_uri;
}

void Session::conclude() {
    if (stage_ != Stage::ending) return;
    const Milliseconds waited = between(*ended_, now_);
    const Verdict verdict = decide(evidence_);
    if (verdict == Verdict::undecided) return wait_for_a_verdict(waited);
    if (!settled(verdict) && waited < patience_for_destination) return;
    if (definition_may_go(verdict) && waited < patience_for_definition) return;
    if (resume_what_was_paused(verdict) && waited < patience_for_verdict) return;
    switch (verdict) {
        case Verdict::completed:
            // The real downtime comes with the completed statistics; a success is not held up for it for long.
            if (!evidence_.completed && waited < patience_for_statistics) return;
            return finish_completed();
        case Verdict::aborted:
            return finish_failed(evidence_.abort_requested ? abort_cause_ : Cause::aborted_by_other,
                                 ErrorCode::migration_aborted, "migration aborted",
                                 fmt::format("{}; {}", evidence_.abort_requested ? abort_reason_ : what_the_call_said(),
                                             where_the_guest_is()));
        case Verdict::failed:
            return finish_failed(Cause::migration_failed, ErrorCode::migration_failed, "migration failed",
                                 fmt::format("{}; {}", what_the_call_said(), where_the_guest_is()));
        default:
            return finish_failed(why_it_stopped(), ErrorCode::vm_disappeared, "vm disappeared",
                                 fmt::format("guest {} {} at the source while it was being migrated; {}", guest_.name,
                                             how_it_stopped(), what_the_call_said()));
    }
}

/// libvirt says that it was completed. A success is it where the guest is at the destination that the caller named, as
/// far as that can be seen, and does not run at the source.
void Session::finish_completed() {
    if (evidence_.source && alive(evidence_.source->state))
        return finish_failed(Cause::migration_failed, ErrorCode::migration_failed, "migration failed",
                             fmt::format("it was reported as completed, but {}; {}; look at both hosts",
                                         where_the_guest_is(), what_the_call_said()));
    // Two names may be of one host: then the guest is seen under both.
    if (evidence_.asked && alive(*evidence_.asked)) return finish(Cause::completed);
    const GuestState there = evidence_.destination.value_or(GuestState::unknown);
    if (is_gone(there) && destination_known())
        return finish_failed(
            Cause::guest_gone, ErrorCode::vm_disappeared, "vm disappeared",
            fmt::format(
                "guest {} was migrated to {}, where it is {} now: it powered itself off or its QEMU ended after "
                "it arrived; look there for what ended it",
                guest_.name, redact_uri(destination_uri_), to_string(there)));
    const bool elsewhere = destination_uri_ != options_.destination_uri;
    if (!elsewhere && !is_gone(there)) return finish(Cause::completed);
    const std::string where =
        elsewhere ? fmt::format("it went to {}, where the guest is now, and not to {}; migrate it again from there",
                                redact_uri(destination_uri_), redact_uri(options_.destination_uri))
                  : fmt::format("it was completed, but the guest is {} at {}; whoever started it knows where it went",
                                to_string(there), redact_uri(options_.destination_uri));
    finish_failed(Cause::completed_elsewhere, ErrorCode::operation_failed, "migrated elsewhere",
                  fmt::format("a migration of {} was in progress already; {}", guest_.name, where));
}

void Session::wait_for_a_verdict(Milliseconds waited) {
    const auto there = destination_known() ? evidence_.destination : GuestState::unknown;
    // Of a guest that the policy paused it is known why it stands still, and the abort was accepted.
    const bool nowhere_else =
        there == GuestState::absent || (there == GuestState::unknown && pause_ends_ && evidence_.abort_requested);
    const bool stranded = evidence_.source && evidence_.source->state == GuestState::paused_for_migration &&
                          !evidence_.source->job_active && nowhere_else;
    if (stranded) resume_guest();
    if (waited < patience_for_verdict) return;
    if (evidence_.call && !evidence_.call->error) return finish_completed();
    finish_failed(Cause::migration_failed, ErrorCode::migration_failed, "migration failed",
                  what_the_call_said() + "; libvirt did not tell in time where the guest is: look at both hosts");
}

/// A pause by the policy ends with the migration, even where libvirt takes it for a user's. True: wait for it.
bool Session::resume_what_was_paused(Verdict verdict) {
    const bool stays = verdict == Verdict::aborted || verdict == Verdict::failed;
    if (!pause_ends_ || !stays || evidence_.source->state != GuestState::paused) return false;
    resume_guest();
    return true;
}

void Session::resume_guest() {
    if (std::exchange(resumed_, true)) return;
    note(Level::warning, "the migration left the guest paused at the source: resuming it");
    orders_.push_back(order::Resume{});
}

Cause Session::why_it_stopped() const {
    using Kind = event::Lifecycle::Kind;
    if (evidence_.stopped == Kind::powered_off) return Cause::guest_powered_off;
    if (evidence_.stopped == Kind::destroyed) return Cause::guest_destroyed;
    if (evidence_.stopped == Kind::crashed) return Cause::guest_crashed;
    return Cause::guest_gone;
}

std::string Session::where_the_guest_is() const {
    std::string text = fmt::format("guest {} is {} at the source", guest_.name, to_string(evidence_.source->state));
    const GuestState there = evidence_.destination.value_or(GuestState::unknown);
    if (there != GuestState::absent && there != GuestState::unknown)
        text += fmt::format(", and {} at the destination: look there", to_string(there));
    return text;
}

std::vector<std::string> Session::observations() const {
    std::vector<std::string> seen;
    if (evidence_.call) seen.push_back(what_the_call_said());
    if (evidence_.taken_over && !evidence_.call) seen.emplace_back("started by somebody else");
    if (evidence_.abort_requested) seen.push_back("abort: " + abort_reason_);
    if (evidence_.completed) seen.emplace_back("completed statistics");
    if (evidence_.stopped == event::Lifecycle::Kind::migrated)
        seen.emplace_back("event: stopped at the source, migrated");
    else if (evidence_.stopped)
        seen.push_back(fmt::format("event: the guest {} at the source", how_it_stopped()));
    if (evidence_.source) {
        seen.push_back(fmt::format("source: {}{}", to_string(evidence_.source->state),
                                   evidence_.source->job_active ? ", a job is active" : ""));
    }
    if (evidence_.destination) seen.push_back(fmt::format("destination: {}", to_string(*evidence_.destination)));
    if (destination_uri_ != options_.destination_uri)
        seen.push_back("destination of the migration: " + redact_uri(destination_uri_));
    return seen;
}

void Session::finish(Cause cause, std::optional<Error> error) {
    const bool stays = stage_ == Stage::ending && error && cause != Cause::completed_elsewhere;
    const bool goes_on = cause == Cause::connection_lost || cause == Cause::detached || cause == Cause::postcopy_failed;
    if (record_ && !goes_on) orders_.push_back(order::Forget{});
    if (stays && original_downtime_limit_ && limit_touched_)
        orders_.push_back(order::Restore{*original_downtime_limit_});
    if (!error) progress_.complete();
    count_lost_work();

    const JobStats& last = evidence_.completed ? *evidence_.completed : stats_;
    Outcome outcome;
    outcome.error = std::move(error);
    outcome.policy = options_.policy_name;
    outcome.cause = cause;
    if (evidence_.source)
        outcome.source = evidence_.source->state;
    else if (evidence_.stopped && !guest_.persistent)
        outcome.source = GuestState::absent;
    else if (evidence_.stopped == event::Lifecycle::Kind::migrated)
        outcome.source = GuestState::shut_off_migrated;
    else if (evidence_.stopped)
        outcome.source = GuestState::shut_off;
    outcome.destination = evidence_.destination.value_or(GuestState::unknown);
    outcome.evidence = observations();
    outcome.total_time = elapsed();
    if (evidence_.completed) outcome.downtime = evidence_.completed->downtime;
    outcome.work_lost = work_lost();
    outcome.setup_time = last.setup_time;
    outcome.iterations = passes_.looks_are_passes() ? std::max(last.iteration, stats_.iteration) : stats_.iteration;
    outcome.total = last.memory_total;
    outcome.transferred = last.data_transferred;
    outcome.actions = actions_;
    outcome.actions_omitted = actions_omitted_;
    outcome_ = std::move(outcome);
    stage_ = Stage::finished;
    phase_ = Phase::ended;
    deadline_.reset();
}

void Session::finish_failed(Cause cause, ErrorCode code, std::string message, std::string details) {
    finish(cause, Error{code, std::move(message), std::move(details)});
}

std::string Session::what_the_call_said() const {
    if (!evidence_.call) return "the migration was started by somebody else, and libvirt gives no reason for its end";
    if (!evidence_.call->error) return "the migrate call reported success";
    return "libvirt said: " + describe(*evidence_.call->error);
}

const char* Session::how_it_stopped() const {
    using Kind = event::Lifecycle::Kind;
    if (evidence_.stopped == Kind::powered_off) return "powered off";
    if (evidence_.stopped == Kind::destroyed) return "was destroyed";
    if (evidence_.stopped == Kind::crashed) return "crashed";
    return "stopped";
}

}  // namespace vmmi::engine
