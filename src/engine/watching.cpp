// SPDX-License-Identifier: Apache-2.0
// The part of the session that looks at a running migration, asks the policy, and tells how it stands.
#include <fmt/format.h>

#include <algorithm>

#include "core/describe.h"
#include "engine/session.h"

namespace vmmi::engine {
namespace {

using Level = order::Note::Level;

/// After the start, before the connections are opened that are for trouble.
constexpr Milliseconds time_to_prepare{1'000};
/// So long, a broken post-copy is looked at often.
constexpr Milliseconds freshly_broken{3'000};

/// Before any memory.
bool copying_disks(const JobStats& stats) {
    return stats.memory_total.count == 0 && stats.disk_total.count > 0;
}

std::string sample_line(const JobStats& stats, std::optional<Bytes> dirty) {
    if (copying_disks(stats))
        return fmt::format("sample: {} of {} bytes of disks left", stats.disk_remaining.count, stats.disk_total.count);
    return fmt::format("sample: pass {}, {} of {} bytes left, {} sent, {} B/s, dirtied at {} B/s{}", stats.iteration,
                       stats.memory_remaining.count, stats.memory_total.count, stats.memory_transferred.count,
                       stats.bandwidth.count, stats.dirty_rate.count,
                       dirty ? fmt::format(", {} dirty", dirty->count) : std::string());
}

}  // namespace

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
        default: {
            // The way back from the last pass is told by a lifecycle event alone: state and statistics are read one
            // after the other and need not belong together.
            if (!stats.migrating() || phase_ > Phase::precopy) break;
            const Phase phase = copying_disks(stats) ? Phase::storage : Phase::precopy;
            set_phase(phase);
        }
    }
    if (!stats.migrating()) return;
    // While there is time. A migration that is over sooner needs them seldom, and to open them slows it down.
    if (!prepared_ && elapsed() >= time_to_prepare) {
        prepared_ = true;
        orders_.push_back(order::OpenSteering{});
        look_at_the_destination();
    }
    // The migrate call takes its time to become a job, and it is the job's begin that libvirt tells.
    if (!sampled_ && record_ && !evidence_.taken_over) {
        MigrationRecord record = *record_;
        record.started = now_ - stats.elapsed;
        remember(std::move(record));
    }
    if (!sampled_ || stats.memory_transferred != stats_.memory_transferred) moved_ = now_;
    const JobStats counted = passes_.of(stats);
    const bool pass_began = counted.iteration > stats_.iteration;
    stats_ = counted;
    looks_ = stats.iteration;
    dirty_ = passes_.looks_are_passes() ? std::nullopt : std::optional(stats.memory_remaining);
    // What a pass is like shows early in it, and when it ends, by what is left.
    if (deadline_) deadline_ = std::min(*deadline_, now_ + (pass_began ? short_interval : interval()));
    note(Level::trace, sample_line(stats_, dirty_));
    sampled_ = now_;
    progress_.update(sample());
    count_lost_work();
}

void Session::on(const event::Sampled& event) {
    sampling_ = false;
    answer_due_.reset();
    if (stage_ != Stage::migrating) return;
    follow(event.state, event.stats);
    evidence_.cancelled = evidence_.cancelled || event.stats.type == JobStats::Type::cancelled;
    if (event.stats.migrating() && (stats_.memory_total.count > 0 || phase_ == Phase::storage)) ask_policy();
    if (stage_ != Stage::migrating) return;
    recover();
    if (phase_ == Phase::postcopy_failed) watch_the_destination();
    if (evidence_.taken_over && !event.stats.migrating()) return look_for_the_end();
    if (std::exchange(look_again_, false)) take_sample();
}

void Session::on(const event::SampleFailed& event) {
    sampling_ = false;
    answer_due_.reset();
    note(Level::debug, "no statistics: " + describe(event.error));
    if (stage_ != Stage::migrating) return;
    if (evidence_.taken_over) return look_for_the_end();
    if (std::exchange(look_again_, false)) take_sample();
}

Milliseconds Session::interval() const {
    const bool freshly = phase_ == Phase::postcopy_failed && standing_for() < freshly_broken;
    const bool quick = evidence_.abort_requested || stats_.memory_total.count == 0 || freshly;
    // Nobody tells the end of a migration that was taken over, and libvirt shows for a quarter of a second only that a
    // job was cancelled.
    const bool may_be_cancelled = evidence_.taken_over && !in_postcopy();
    if (quick || may_be_cancelled) return std::min(short_interval, options_.sample_interval);
    if (!passes_.looks_are_passes() && stats_.bandwidth.count > 0) {
        // Nobody tells where the next pass begins, and what is waited for then should not wait.
        const double left =
            1000.0 * static_cast<double>(stats_.memory_remaining.count) / static_cast<double>(stats_.bandwidth.count);
        const Milliseconds until(static_cast<std::int64_t>(std::min(left, 1e6)));
        return std::clamp(until, std::min(shortest_interval, options_.sample_interval), options_.sample_interval);
    }
    return options_.sample_interval;
}

Milliseconds Session::standing_for() const {
    return moved_ ? between(*moved_, now_) : Milliseconds(0);
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
    // In the last pass nothing helps any more, and an abort leaves nothing to decide, unless post-copy forbids it.
    if (!in_postcopy() && (evidence_.abort_requested || (phase_ != Phase::storage && phase_ != Phase::precopy))) return;
    // It would be overtaken, on a channel of its own.
    if (limit_pending_) return;
    Sample now = sample();
    // The first sample of a pass is its boundary, whether the event or the interval asked for it.
    if (now.iteration > iteration_seen_) now.trigger = Sample::Trigger::iteration;
    iteration_seen_ = std::max(iteration_seen_, now.iteration);
    for (Action& action : policy_.decide(now)) {
        if (evidence_.abort_requested && !in_postcopy()) break;
        carry_out(std::move(action));
    }
    if (const std::optional<Milliseconds> within = policy_.next_sample_within(); within && deadline_)
        deadline_ =
            std::min(*deadline_, now_ + std::min(std::max(*within, shortest_interval), options_.sample_interval));
    stay_or_let_go(now);
}

Sample Session::sample() const {
    Sample sample;
    sample.phase = phase_;
    sample.elapsed = stats_.elapsed;
    sample.iteration = stats_.iteration;
    sample.looks = looks_;
    sample.total = stats_.memory_total;
    sample.remaining = stats_.memory_remaining;
    sample.dirty = dirty_;
    sample.transferred = stats_.memory_transferred;
    sample.bandwidth = stats_.bandwidth;
    sample.dirty_rate = stats_.dirty_rate;
    sample.expected_downtime = stats_.downtime.value_or(Milliseconds(0));
    sample.downtime_limit = downtime_limit_.value_or(Milliseconds(0));
    sample.throttle_percent = stats_.throttle_percent;
    sample.postcopy_requests = stats_.postcopy_requests;
    sample.standing_for = standing_for();
    sample.resuming = recovery_.has_value();
    sample.postcopy_excluded = started_without_postcopy();
    sample.disk_total = stats_.disk_total;
    sample.disk_remaining = stats_.disk_remaining;
    sample.disk_transferred = stats_.disk_transferred;
    return sample;
}

/// What happened since it was last called counts as what held then. A guest that a user has paused loses nothing, and
/// QEMU lets a guest go where it is told to abort, or at the end, not when that is known for certain.
void Session::count_lost_work() {
    if (guest_.paused || !started_) return;
    Sample now = sample();
    now.elapsed = between(*started_, ended_.value_or(now_));
    if (evidence_.abort_requested) now.throttle_percent.reset();
    lost_work_.add(now);
}

WorkLost Session::work_lost() const {
    WorkLost lost{lost_work_.throttle(), lost_work_.pause(), lost_work_.postcopy()};
    // While the source lingers on, the guest runs at the destination: what was measured there is better.
    if (evidence_.completed && evidence_.completed->downtime && !guest_.paused)
        lost.pause = *evidence_.completed->downtime;
    return lost;
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
    status.disk_total = stats_.disk_total;
    status.disk_remaining = stats_.disk_remaining;
    status.disk_transferred = stats_.disk_transferred;
    status.bandwidth = stats_.bandwidth;
    status.dirty_rate = stats_.dirty_rate;
    status.downtime_limit = downtime_limit_;
    status.throttle_percent = stats_.throttle_percent;
    status.work_lost = work_lost();
    status.eta = progress_.eta();
    if (!actions_.empty()) status.last_action = actions_.back();
    return status;
}

}  // namespace vmmi::engine
