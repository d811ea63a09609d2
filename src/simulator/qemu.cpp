// SPDX-License-Identifier: Apache-2.0
#include "simulator/qemu.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace vmmi::simulator {
namespace {

/// How long QEMU sends before it looks again at what is pending (MAX_WAIT in migration/ram.c).
constexpr Instant longest_iterate = std::chrono::milliseconds(50);
constexpr Instant shortest_period = std::chrono::seconds(1);
/// With auto-converge, a pass that lasts so long is ended by a look at the dirty log
/// (CPU_THROTTLE_DIRTY_SYNC_TIMESLICE_MS in migration/cpu-throttle.c, QEMU 9.2 and later).
constexpr Instant timed_sync = std::chrono::seconds(5);
/// Post-copy has no closed form: it goes in steps.
constexpr Instant postcopy_step = std::chrono::milliseconds(10);

}  // namespace

Qemu::Qemu(const Scenario& scenario, const MigrationRequest& request)
    : scenario_(scenario),
      memory_(scenario),
      wire_(scenario),
      throttle_(scenario.features.auto_converge),
      live_(request.live),
      idle_(scenario.guest.paused),
      limit_(request.downtime_limit.value_or(scenario.downtime_limit)),
      highest_limit_(limit_),
      expected_downtime_(seconds(limit_)) {
    set_bandwidth(request.bandwidth);
    postcopy_cap_ = static_cast<double>(request.postcopy_bandwidth.count);
}

std::optional<Happening> Qemu::advance(Instant until) {
    while (happened_.empty() && now_ < until) {
        switch (stage_) {
            case Stage::setup:
                set_up(until);
                break;
            case Stage::precopy:
                send_in_precopy(until);
                break;
            case Stage::switchover:
            case Stage::postcopy_start:
                switch_over(until);
                break;
            case Stage::postcopy:
            case Stage::postcopy_paused:
                run_postcopy(until);
                break;
            default:
                now_ = until;
        }
    }
    if (happened_.empty()) return std::nullopt;
    const Happening first = happened_.front();
    happened_.pop_front();
    return first;
}

void Qemu::enter(Stage stage, std::optional<Happening> happening) {
    stage_ = stage;
    if (happening) happened_.push_back(*happening);
}

void Qemu::set_up(Instant until) {
    const Instant begin = scenario_.delays.preparation;
    pass(std::min(until, begin));
    if (now_ < begin) return;
    enter(Stage::precopy);
    window_began_ = period_began_ = now_;
    if (scenario_.features.auto_converge) next_timed_sync_ = now_ + timed_sync;
    next_look_ = now_;
    sync(true);
    if (!live_) pause();
}

void Qemu::pause() {
    paused_at_ = now_;
    if (!idle_) happened_.push_back(Happening::paused);
}

/// One stretch in which all rates are constant.
void Qemu::send_in_precopy(Instant until) {
    const double link = wire_.bandwidth(now_);
    const bool capped = cap_ > 0 && cap_ < link;
    const double bandwidth = capped ? cap_ : link;
    fill_buffers(capped);
    const Instant change = std::min({wire_.next_change(now_), memory_.next_change(now_), next_timed_sync_});
    if (bandwidth <= 0) {
        // QEMU's thread hangs in a write: no look, no window.
        pass(std::min(until, change));
    } else if (now_ >= next_look_ || sent()) {
        return look_at_pending();
    } else {
        const double rate = sending_rate(bandwidth);
        const Instant dry = now_ + std::max(Instant(1), instant(memory_.unsent() / rate));
        const Instant window_ends = std::max(window_began_ + window, now_ + Instant(1));
        transfer(rate, std::min({until, change, next_look_, window_ends, dry}));
        if (now_ >= window_began_ + window) end_window();
    }
    if (now_ < next_timed_sync_) return;
    // cpu_throttle_dirty_sync_timer_tick: not in the first pass, nor where another sync came since the last tick.
    if (syncs_ > 1 && syncs_ == syncs_at_timer_) sync(false);
    syncs_at_timer_ = syncs_;
    next_timed_sync_ = now_ + timed_sync;
}

/// Who sends faster than the link takes has the sockets' buffers full ahead of it.
void Qemu::fill_buffers(bool capped) {
    const double full = capped ? 0 : static_cast<double>(scenario_.link.buffers.count);
    if (full > backlog_) {
        const double accepted = std::min(memory_.unsent(), (full - backlog_) / travel().wire);
        transferred_ += accepted * travel().wire;
        send(accepted);
    }
    backlog_ = full;
}

/// migration_iteration_run: a pass ends where the estimate of what is pending falls to the threshold, with a look at
/// the dirty log; what that finds decides.
void Qemu::look_at_pending() {
    next_look_ = now_ + longest_iterate;
    const bool pass_ends = sent() || memory_.unsent() < threshold_ || postcopy_wanted_;
    if (!pass_ends && !(scenario_.features.postcopy && scenario_.features.postcopy_looks)) return;
    const bool postcopy = std::exchange(postcopy_wanted_, false);
    sync(pass_ends);
    if (!postcopy && !sent() && memory_.unsent() > threshold_) return;
    enter(postcopy ? Stage::postcopy_start : Stage::switchover);
    if (live_) pause();
    // The last look at the dirty log, in ram_save_complete, finds nothing new. QEMU 11 does not count it as a pass;
    // QEMU 7 to 10 do.
}

/// For the last pass, the cap is lifted (migration_completion_precopy). What TCP has accepted and not delivered comes
/// first, the device state last. A switch to post-copy sends no memory before the guest runs.
void Qemu::switch_over(Instant until) {
    const bool to_postcopy = stage_ == Stage::postcopy_start;
    if (device_state_at_ == never) {
        const double bandwidth = wire_.bandwidth(now_);
        const Instant change = std::min(until, wire_.next_change(now_));
        if (bandwidth <= 0) return pass(change);
        if (!to_postcopy && !sent()) {
            const double rate = sending_rate(bandwidth);
            return transfer(rate, std::min(change, now_ + instant(memory_.unsent() / rate)));
        }
        if (cancel_wanted_) return enter(Stage::cancelled, Happening::cancelled);
        if (!to_postcopy) send(memory_.unsent());
        const Milliseconds fixed = to_postcopy ? scenario_.delays.postcopy_start : scenario_.delays.switchover;
        device_state_at_ = now_ + fixed + instant(backlog_ / bandwidth + wire_.latency());
    }
    pass(std::min(until, device_state_at_));
    if (now_ < device_state_at_) return;
    downtime_ = now_ - paused_at_;
    if (to_postcopy) return enter(Stage::postcopy, Happening::postcopy_began);
    enter(Stage::completed, Happening::completed);
}

/// The guest runs at the destination and waits for each missing page that it touches: a request there and the page
/// back, 2·latency + page/bandwidth, and without a channel of its own behind all that TCP has accepted before. With λ
/// touches of missing pages a second and the utilization u, it does 1/(u + λ·wait) of its work. What the requests leave
/// of the link, the other pages take.
void Qemu::run_postcopy(Instant until) {
    if (sent()) return enter(Stage::completed, Happening::completed);
    const Instant step = std::min({until, now_ + postcopy_step, wire_.next_change(now_), memory_.next_change(now_)});
    const double bandwidth = stage_ == Stage::postcopy ? wire_.bandwidth(now_) : 0;
    const double touches = memory_.touches_of_missing(now_);
    const double duration = seconds(step - now_);
    if (bandwidth <= 0) {
        if (touches > 0) stalled_ += duration;
        now_ = step;
        return;
    }
    const double ahead = page_size + (scenario_.features.postcopy_preempt ? 0 : backlog_);
    const double wait = 2 * wire_.latency() + ahead / bandwidth;
    const double share = std::min(1.0, 1 / (scenario_.utilization + touches / page_size * wait));
    stalled_ += (1 - share) * duration;
    const double fetched = touches * share * duration;
    memory_.fetch(now_, fetched);
    memory_sent_ += fetched;
    requested_ += fetched;
    // Pages that the guest waits for are sent at once, whatever the cap.
    const double rate = sending_rate(postcopy_cap_ > 0 ? std::min(postcopy_cap_, bandwidth) : bandwidth);
    const double pushed = std::max(0.0, std::min(rate * duration - fetched, memory_.unsent()));
    transferred_ += (fetched + pushed) * travel().wire;
    send(pushed);
    now_ = step;
    if (now_ >= window_began_ + window) end_window();
}

/// migration_bitmap_sync. A look in the middle of a pass ends it, too, where as much was sent as it began with: then
/// QEMU came round.
void Qemu::sync(bool pass_ends) {
    ++syncs_;
    period_dirtied_ += memory_.sync(now_);
    left_at_sync_ = memory_.unsent();
    if (pass_ends || memory_sent_ - sent_before_pass_ >= pass_began_with_) {
        ++passes_;
        pass_began_with_ = left_at_sync_;
        sent_before_pass_ = memory_sent_;
    }
    if (now_ > period_began_ + shortest_period) {
        // Whole pages, as in sent().
        throttle_.end_period(std::floor(period_dirtied_ / page_size) * page_size, transferred_ - period_sent_);
        dirty_rate_ = period_dirtied_ / seconds(now_ - period_began_);
        period_began_ = now_;
        period_dirtied_ = 0;
        period_sent_ = transferred_;
    }
    happened_.push_back(Happening::looked);
}

/// migration_update_counters. A limit that was set meanwhile counts from here on.
void Qemu::end_window() {
    const double sent = transferred_ - window_sent_;
    bandwidth_ = sent / seconds(now_ - window_began_);
    threshold_ = bandwidth_ * seconds(limit_);
    constexpr double too_little = 10'000;
    if (dirty_rate_ > 0 && sent > too_little) expected_downtime_ = left_at_sync_ / bandwidth_;
    window_began_ = now_;
    window_sent_ = transferred_;
}

Memory::Travel Qemu::travel() const {
    constexpr int first_with_cached_pages = 3;  // the second pass fills the cache
    return memory_.travel(stage_ != Stage::postcopy && passes_ >= first_with_cached_pages);
}

/// Bytes of memory a second.
double Qemu::sending_rate(double bandwidth) const {
    const Memory::Travel with = travel();
    return 1 / (with.wire / bandwidth + with.scan);
}

void Qemu::transfer(double rate, Instant until) {
    const double amount = std::min(rate * seconds(until - now_), memory_.unsent());
    transferred_ += amount * travel().wire;
    send(amount);
    pass(until);
}

void Qemu::send(double amount) {
    memory_.send(amount);
    memory_sent_ += amount;
}

/// Time passes for the guest.
void Qemu::pass(Instant until) {
    const double duration = seconds(until - now_);
    const bool stands =
        stage_ == Stage::switchover || stage_ == Stage::postcopy_start || (!live_ && stage_ != Stage::setup);
    if (!idle_ && stands) {
        paused_ += duration;
    } else if (!idle_) {
        const double speed = std::min(1.0, throttle_.share() / scenario_.utilization);
        memory_.write(now_, until, speed);
        throttled_ += (1 - speed) * duration;
    }
    now_ = until;
}

}  // namespace vmmi::simulator
