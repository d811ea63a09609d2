// SPDX-License-Identifier: Apache-2.0
#include "timeline.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <algorithm>

namespace fake {
namespace {

// What the headers of libvirt 8.0 do not have.
constexpr int running_postcopy_failed = 11;       // VIR_DOMAIN_RUNNING_POSTCOPY_FAILED, 8.5
constexpr int event_resumed_postcopy_failed = 4;  // VIR_DOMAIN_EVENT_RESUMED_POSTCOPY_FAILED, 8.5

}  // namespace

std::string Segment::name() const {
    switch (phase) {
        case Phase::before:
            return "before";
        case Phase::setup:
            return "setup";
        case Phase::pass:
            return "pass " + std::to_string(pass);
        case Phase::switchover:
            return "switchover";
        case Phase::teardown:
            return "teardown";
        case Phase::postcopy:
            return "postcopy";
        case Phase::postcopy_failed:
            return "postcopy-failed";
        case Phase::failing:
            return "failing";
        case Phase::after:
            return "after";
    }
    return "";
}

Timeline::Timeline(const Guest& guest, const Facts& facts, Time now)
    : guest_(guest), migration_(guest.migration), facts_(facts) {
    segments_.push_back({Phase::before, 0, 0, facts.started != 0 ? facts.started : never});
    if (facts.started != 0) {
        lay_out(now);
        cut_short();
        if (over_ != never) {
            add(Phase::after, over_, never);
            if (call_returns_ == never) call_returns_ = over_ + milliseconds(migration_.call_after_ms);
        }
        if (migration_.call_error) call_error_ = migration_.call_error;
        happen();
    }
}

Time Timeline::add(Phase phase, Time begin, Time duration, int pass) {
    const Time end = duration == never ? never : begin + duration;
    segments_.push_back({phase, pass, begin, end});
    return end;
}

void Timeline::lay_out(Time now) {
    Time t = add(Phase::setup, facts_.started, milliseconds(migration_.setup_ms));
    int number = 0;
    for (const Pass& pass : migration_.passes) t = add(Phase::pass, t, milliseconds(pass.ms), ++number);
    if (migration_.endless) {
        const Time last = milliseconds(std::max(1, migration_.passes.back().ms));
        while (t < now + milliseconds(2000)) t = add(Phase::pass, t, last, ++number);
    }
    if (facts_.postcopy == 0 && migration_.postcopy_at) {
        const Time at = time_of(*migration_.postcopy_at).value_or(never);
        if (at <= now) facts_.postcopy = at;
    }
    if (facts_.postcopy != 0) return lay_out_postcopy();
    if (migration_.endless) return;
    t = add(Phase::switchover, t, milliseconds(migration_.last_pass_ms));
    over_ = add(Phase::teardown, t, milliseconds(migration_.teardown_ms));
}

void Timeline::lay_out_postcopy() {
    std::erase_if(segments_, [&](const Segment& segment) { return segment.begin >= facts_.postcopy; });
    segments_.back().end = facts_.postcopy;
    const Time switched = add(Phase::switchover, facts_.postcopy, milliseconds(5));
    Time end = add(Phase::postcopy, switched, milliseconds(migration_.postcopy_ms));
    const bool paused = facts_.postcopy_paused != 0 && facts_.postcopy_paused < end;
    if (paused) end = segments_.back().end = std::max(switched, facts_.postcopy_paused);
    if (paused || migration_.postcopy_breaks) {
        add(Phase::postcopy_failed, end, never);
        call_returns_ = end + milliseconds(migration_.call_after_ms);
        call_error_ = Error{VIR_ERR_OPERATION_FAILED, VIR_FROM_QEMU,
                            "operation failed: job 'migration out' failed in post-copy phase"};
        return;
    }
    over_ = add(Phase::teardown, end, milliseconds(migration_.teardown_ms));
}

/// The first of what may end it before it is done.
void Timeline::cut_short() {
    Time when = never;
    End how = End::migrated;
    const auto consider = [&](Time at, End end) {
        if (at != 0 && at < when) {
            when = at;
            how = end;
        }
    };
    if (migration_.end != End::migrated) consider(time_of(migration_.end_at).value_or(never), migration_.end);
    consider(facts_.aborted, End::aborted);
    consider(facts_.destroyed, End::destroyed);
    if (when != never && when < over_) interrupt(when, how);
}

void Timeline::interrupt(Time when, End end) {
    end_ = end;
    std::erase_if(segments_, [&](const Segment& segment) { return segment.begin >= when; });
    segments_.back().end = when;
    if (end != End::failed && end != End::aborted) {
        over_ = when;
        call_error_ = Error{VIR_ERR_OPERATION_FAILED, VIR_FROM_DOMAIN, "operation failed: domain is not running"};
        return;
    }
    over_ = add(Phase::failing, when, milliseconds(migration_.linger_ms));
    call_error_ = end == End::aborted ? Error{VIR_ERR_OPERATION_ABORTED, VIR_FROM_QEMU,
                                              "operation aborted: job 'migration out' canceled by client"}
                                      : Error{VIR_ERR_OPERATION_FAILED, VIR_FROM_QEMU,
                                              "operation failed: Unable to write to socket: Broken pipe"};
}

Segment Timeline::at(Time now) const {
    const auto after = std::find_if(segments_.begin(), segments_.end(), [&](const Segment& s) { return now < s.end; });
    return after == segments_.end() ? segments_.back() : *after;
}

std::optional<Time> Timeline::time_of(const Moment& moment) const {
    for (const Segment& segment : segments_)
        if (segment.phase != Phase::before && segment.name() == moment.phase)
            return segment.begin + milliseconds(moment.plus_ms);
    return std::nullopt;
}

bool Timeline::reached(Phase phase) const {
    return std::any_of(segments_.begin(), segments_.end(), [&](const Segment& s) { return s.phase == phase; });
}

State Timeline::state(Host host, Time now) const {
    const Segment segment = at(now);
    const bool away = host == Host::destination;
    const State gone{};
    const State paused{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER};
    State resting{VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED};
    if (guest_.state == "paused" || facts_.suspended) resting = paused;
    if (guest_.state == "shutoff") resting = {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN};
    const State arrived = guest_.state == "paused" ? paused : State{VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_MIGRATED};
    if (guest_.host == Host::destination) return away ? resting : gone;
    const State incoming{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION};
    switch (segment.phase) {
        case Phase::before:
            return away ? gone : resting;
        case Phase::setup:
            return away ? State{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP} : resting;
        case Phase::pass:
            return away ? incoming : resting;
        case Phase::switchover:
            return incoming;
        case Phase::teardown:
            return away ? arrived : State{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION};
        case Phase::postcopy:
            return away ? State{VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_POSTCOPY}
                        : State{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY};
        case Phase::postcopy_failed:
            return away ? State{VIR_DOMAIN_RUNNING, running_postcopy_failed}
                        : State{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY_FAILED};
        case Phase::failing:
        case Phase::after:
            break;
    }
    if (away) return ended_well() ? arrived : gone;
    if (end_ == End::failed || end_ == End::aborted)
        return reached(Phase::switchover) ? State{VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_UNPAUSED} : resting;
    if (!guest_.persistent) return gone;
    switch (end_) {
        case End::destroyed:
            return {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DESTROYED};
        case End::crashed:
            return {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED};
        case End::powered_off:
            return {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN};
        default:
            return {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_MIGRATED};
    }
}

bool Timeline::silent(const char* word) const {
    return std::find(migration_.silent.begin(), migration_.silent.end(), word) != migration_.silent.end();
}

void Timeline::tell(Time at, Host host, int event, int detail) {
    if (!silent("lifecycle")) happenings_.push_back({at, host, Happening::Kind::lifecycle, event, detail});
}

/// The events of a migration, in the order in which libvirt sends them.
void Timeline::happen() {
    for (const Segment& segment : segments_) {
        switch (segment.phase) {
            case Phase::pass:
                if (segment.pass == 1)
                    tell(segment.begin, Host::destination, VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_MIGRATED);
                if (!silent("iteration"))
                    happenings_.push_back({segment.begin, Host::source, Happening::Kind::iteration, segment.pass, 0});
                break;
            case Phase::switchover:
                tell(segment.begin, Host::source, VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED);
                break;
            case Phase::postcopy:
                tell(segment.begin, Host::source, VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY);
                tell(segment.begin, Host::destination, VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_POSTCOPY);
                break;
            case Phase::postcopy_failed:
                tell(segment.begin, Host::source, VIR_DOMAIN_EVENT_SUSPENDED,
                     VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED);
                tell(segment.begin, Host::destination, VIR_DOMAIN_EVENT_RESUMED, event_resumed_postcopy_failed);
                break;
            case Phase::teardown:
                tell(segment.begin, Host::destination, VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_MIGRATED);
                break;
            default:
                break;
        }
    }
    if (over_ == never) return;
    if (!ended_well()) return tell_of_interruption();
    tell(over_, Host::source, VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_MIGRATED);
    if (!silent("jobCompleted")) happenings_.push_back({over_, Host::source, Happening::Kind::job_completed, 0, 0});
}

void Timeline::tell_of_interruption() {
    const Time when = end_ == End::failed || end_ == End::aborted ? over_ - milliseconds(migration_.linger_ms) : over_;
    tell(when, Host::destination, VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED);
    switch (end_) {
        case End::failed:
        case End::aborted:
            // Before the last pass, the source says nothing at all.
            if (reached(Phase::switchover))
                tell(when, Host::source, VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED);
            return;
        case End::destroyed:
            return tell(when, Host::source, VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED);
        case End::crashed:
            return tell(when, Host::source, VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_CRASHED);
        case End::powered_off:
            tell(when, Host::source, VIR_DOMAIN_EVENT_SHUTDOWN, VIR_DOMAIN_EVENT_SHUTDOWN_GUEST);
            return tell(when, Host::source, VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN);
        case End::migrated:
            return;
    }
}

}  // namespace fake
