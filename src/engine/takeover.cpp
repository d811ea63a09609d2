// SPDX-License-Identifier: Apache-2.0
// The part of the session that goes on with migrations that are under way, and what is left for whoever does.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/redact.h"
#include "engine/session.h"

namespace vmmi::engine {
namespace {

using Level = order::Note::Level;

/// How far the begin of a job, as libvirt tells its age, may be from what a record says of it.
constexpr Milliseconds same_begin{2'000};

}  // namespace

void Session::remember(MigrationRecord record) {
    record_ = std::move(record);
    orders_.push_back(order::Remember{*record_});
}

/// Somebody else's migration, or ours, which outlived its call, goes on under this policy. Nobody tells its end: it is
/// seen.
void Session::take_over(const JobStats& job, GuestState state, const std::optional<MigrationRecord>& left) {
    // What this run left is about a migration that never began, if another one had begun before.
    const bool lost_the_race = phase_ <= Phase::starting && evidence_.call && evidence_.call->error &&
                               evidence_.call->error->code == native::operation_invalid;
    if (lost_the_race) orders_.push_back(order::Forget{});
    const bool ours = record_ && !lost_the_race;
    note(Level::info, ours ? fmt::format("the migration of {} goes on without its call: watching it", guest_.name)
                           : fmt::format("a migration of {} is in progress: taking it over", guest_.name));
    stage_ = Stage::migrating;
    limit_pending_ = limit_again_ = false;
    ended_.reset();
    Evidence evidence;
    evidence.taken_over = true;
    evidence.abort_requested = evidence_.abort_requested;
    if (ours) evidence.call = evidence_.call;
    evidence_ = std::move(evidence);
    started_ = now_ - job.elapsed;
    if (!ours) recall(left);
    if (phase_ == Phase::connecting) {
        answer_due_ = now_ + options_.connection_timeout;
        set_phase(Phase::starting);
    }
    follow(state, job);
    if (phase_ == Phase::precopy && stats_.memory_total.count > 0) iteration_seen_ = stats_.iteration;
    const bool asked = phase_ <= Phase::precopy || (in_postcopy() && !ours);
    if (asked && !std::exchange(adopted_, true)) {
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
        pause_ends_ = left->pause_ends;
        return remember(*left);
    }
    if (left) note(Level::info, fmt::format("what plugin {} left is about another migration", left->plugin));
    // The limit in force may be anybody's; the guest's own is put back by libvirt, when the job ends.
    original_downtime_limit_.reset();
    remember({.plugin = options_.policy_name, .uuid = guest_.uuid, .started = *started_});
}

}  // namespace vmmi::engine
