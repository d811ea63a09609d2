// SPDX-License-Identifier: Apache-2.0
#include "simulator/libvirt.h"

#include <algorithm>
#include <utility>

#include "core/overloaded.h"
#include "simulator/native_errors.h"
#include "simulator/scenario.h"

namespace vmmi::simulator {
namespace {

using Kind = event::Lifecycle::Kind;

constexpr Milliseconds longest_downtime_limit{2'000'000};  // MAX_MIGRATE_DOWNTIME in QEMU's migration/options.c

}  // namespace

void Libvirt::later(Instant delay, Step step) {
    steps_.emplace(now_ + delay, std::move(step));
}

void Libvirt::tell(Instant delay, Event event) {
    later(delay, [this, event = std::move(event)]() -> std::optional<Event> {
        if (!supervised_) return std::nullopt;
        return event;
    });
}

void Libvirt::call(bool blocks, Call call) {
    later(scenario_.delays.call, [this, blocks, call = std::move(call)]() -> std::optional<Event> {
        if (blocks && qemu_ && qemu_->stage() == Stage::switchover) {
            blocked_.push_back(call);
            return std::nullopt;
        }
        return call();
    });
}

void Libvirt::steer(Answer answer, std::function<std::optional<NativeError>()> change) {
    call(true, [this, answer = std::move(answer), change = std::move(change)]() -> Event {
        return answer(calls_fail() ? error::timed_out : change());
    });
}

bool Libvirt::calls_fail() const {
    return std::ranges::any_of(scenario_.faults, [&](const Fault& fault) {
        const Instant at = began_ + fault.at;
        return fault.kind == Fault::Kind::calls_fail && now_ >= at && now_ < at + fault.lasting;
    });
}

void Libvirt::execute(const Order& order) {
    std::visit(
        Overloaded{
            [this](const order::Connect&) {
                later(scenario_.delays.call, [this]() -> std::optional<Event> {
                    supervised_ = true;
                    return connected();
                });
            },
            [this](const order::LookCloser&) {
                // The guest has no devices that matter, and the model takes every option.
                call(false, [] { return Event{event::LookedCloser{GuestDevices{}, std::nullopt}}; });
            },
            [this](const order::Start& o) {
                called_here_ = true;
                start(o.request);
                call(false, [this] { return Event{event::LimitRead{scenario_.downtime_limit}}; });
            },
            // The model has it from the start of the memory on, as it is on hosts.
            [this](const order::LimitDowntime& o) {
                call(false, [this, o] { return Event{event::LimitAnswered{apply({SetDowntimeLimit{o.limit}, ""})}}; });
            },
            [this](const order::TakeSample&) {
                call(true, [this]() -> Event {
                    if (source() == GuestState::absent) return event::SampleFailed{error::no_guest};
                    return event::Sampled{source(), job()};
                });
            },
            [this](const order::Apply& o) {
                steer(
                    [index = o.index](std::optional<NativeError> e) {
                        return event::ActionAnswered{index, std::move(e)};
                    },
                    [this, action = o.action] { return apply(action); });
            },
            [this](const order::Recover& o) {
                later(scenario_.delays.call, [this, o]() -> std::optional<Event> {
                    recover(o);
                    return std::nullopt;
                });
            },
            [this](const order::Abort&) {
                // The call comes back after the switchover, but what it asks for is known before.
                const auto answer = [](std::optional<NativeError> e) { return event::AbortAnswered{std::move(e)}; };
                later(scenario_.delays.call, [this, answer]() -> std::optional<Event> {
                    const bool waits = qemu_ && qemu_->stage() == Stage::switchover;
                    const std::optional<NativeError> said = calls_fail() ? error::timed_out : abort();
                    if (!waits) return answer(said);
                    blocked_.emplace_back([answer] { return answer(std::nullopt); });
                    return std::nullopt;
                });
            },
            [this](const order::Inspect&) { call(true, [this] { return Event{inspected()}; }); },
            [this](const order::InspectDestination& o) {
                call(false, [this, uri = o.uri] { return Event{event::DestinationInspected{destination(), uri}}; });
            },
            [](const auto&) {},  // nothing that the model keeps
        },
        order);
}

std::optional<Event> Libvirt::advance(Instant until) {
    while (true) {
        const bool due = !steps_.empty() && steps_.begin()->first <= until;
        const Instant stop = due ? steps_.begin()->first : until;
        if (qemu_) {
            if (const auto happening = qemu_->advance(stop - began_)) {
                now_ = began_ + qemu_->now();
                on(*happening);
                continue;
            }
        }
        now_ = stop;
        if (!due) return std::nullopt;
        const Step step = std::move(steps_.begin()->second);
        steps_.erase(steps_.begin());
        if (std::optional<Event> event = step()) return event;
    }
}

void Libvirt::start(const MigrationRequest& request) {
    began_ = now_;
    started_ = started_as(scenario_, request);
    qemu_.emplace(started_, request);
    for (const Fault& fault : scenario_.faults) {
        later(fault.at, [this, fault]() -> std::optional<Event> {
            strike(fault);
            return std::nullopt;
        });
    }
}

void Libvirt::strike(const Fault& fault) {
    if (source_after_) return;
    switch (fault.kind) {
        case Fault::Kind::stream_breaks:
            return qemu_->break_stream();
        case Fault::Kind::guest_powers_off:
            return stop(Kind::powered_off);
        case Fault::Kind::guest_crashes:
            return stop(Kind::crashed);
        case Fault::Kind::destination_dies:
            // Post-copy can be resumed from a broken stream, but not into nothing.
            lost_at_destination_ = qemu_->stage() < Stage::completed;
            return qemu_->break_stream();
        case Fault::Kind::source_daemon_lost:
            return tell(Instant(0), event::ConnectionLost{"the daemon closed it: End of file while reading data"});
        case Fault::Kind::calls_fail:
            return;  // the calls look for themselves
    }
}

/// The guest ended at the source.
void Libvirt::stop(Kind kind) {
    if (!qemu_->guest_runs_here()) return;
    qemu_->die();
    tell(Instant(0), event::Lifecycle{kind});
    end(scenario_.guest.persistent ? GuestState::shut_off : GuestState::absent, GuestState::absent, error::gone);
}

void Libvirt::on(Happening happening) {
    const GuestState at_rest = scenario_.guest.paused ? GuestState::paused : GuestState::running;
    const bool left_switchover = happening != Happening::looked && happening != Happening::paused;
    if (left_switchover)
        for (Call& call : std::exchange(blocked_, {})) later(Instant(0), std::move(call));
    switch (happening) {
        case Happening::looked: {
            const JobStats stats = qemu_->statistics();
            passes_.push_back({stats.elapsed, stats.memory_remaining});
            return tell(Instant(0), event::IterationBegan{stats.iteration});
        }
        case Happening::paused:
            paused_ = true;
            return tell(Instant(0), event::Lifecycle{Kind::paused_for_switchover});
        case Happening::postcopy_began:
            paused_ = false;
            return tell(Instant(0), event::Lifecycle{Kind::postcopy_began});
        case Happening::postcopy_failed:
            tell(Instant(0), event::Lifecycle{Kind::postcopy_failed});
            // The job stays, and so does the guest that waits for its memory.
            return call_returns(scenario_.delays.call, error::broken_postcopy);
        case Happening::completed: {
            JobStats stats = qemu_->statistics();
            stats.type = JobStats::Type::completed;
            stats.operation = JobStats::Operation::outgoing_migration;
            later(scenario_.delays.teardown, [this, stats, at_rest]() -> std::optional<Event> {
                tell(Instant(0), event::Lifecycle{Kind::migrated});
                tell(Instant(0), event::JobCompleted{stats});
                if (scenario_.guest.persistent) completed_ = stats;
                end(scenario_.guest.persistent ? GuestState::shut_off_migrated : GuestState::absent, at_rest,
                    std::nullopt);
                return std::nullopt;
            });
            return;
        }
        case Happening::failed:
        case Happening::cancelled:
            if (std::exchange(paused_, false)) tell(Instant(0), event::Lifecycle{Kind::resumed});
            later(scenario_.delays.teardown, [this, at_rest, happening]() -> std::optional<Event> {
                end(at_rest, GuestState::absent,
                    happening == Happening::failed ? error::stream_broken : error::cancelled);
                return std::nullopt;
            });
            return;
    }
}

void Libvirt::end(GuestState source, GuestState destination, std::optional<NativeError> error) {
    if (source_after_) return;
    source_after_ = source;
    destination_after_ = destination;
    call_returns(Instant(0), std::move(error));
}

void Libvirt::call_returns(Instant delay, std::optional<NativeError> error) {
    if (recovering_)
        tell(delay, event::RecoveryReturned{*std::exchange(recovering_, std::nullopt), std::move(error)});
    else if (std::exchange(called_here_, false))
        tell(delay, event::MigrateReturned{std::move(error)});
}

void Libvirt::recover(const order::Recover& order) {
    recovering_ = order.index;
    if (!job_runs() || qemu_->stage() != Stage::postcopy_paused) return call_returns(Instant(0), error::still_running);
    if (lost_at_destination_) return call_returns(Instant(0), error::no_guest);
    if (!qemu_->recover()) call_returns(Instant(0), error::unreachable);
}

bool Libvirt::job_runs() const {
    return qemu_ && !source_after_;
}

std::optional<NativeError> Libvirt::apply(const Action& action) {
    return std::visit(Overloaded{
                          [this](const SetDowntimeLimit& set) -> std::optional<NativeError> {
                              if (set.limit.count() < 0 || set.limit > longest_downtime_limit)
                                  return error::limit_out_of_range;
                              if (job_runs()) qemu_->set_downtime_limit(set.limit);
                              return std::nullopt;
                          },
                          [this](const SetBandwidth& set) -> std::optional<NativeError> {
                              if (job_runs()) qemu_->set_bandwidth(set.limit);
                              return std::nullopt;
                          },
                          [this](const StartPostCopy&) -> std::optional<NativeError> {
                              if (!job_runs()) return error::no_job;
                              if (!started_.features.postcopy) return error::no_postcopy;
                              qemu_->start_postcopy();
                              return std::nullopt;
                          },
                          [this](const PauseGuest&) -> std::optional<NativeError> {
                              if (!job_runs()) return error::no_job;
                              qemu_->suspend();
                              return std::nullopt;
                          },
                          [](const auto&) -> std::optional<NativeError> { return std::nullopt; },
                      },
                      action.what);
}

std::optional<NativeError> Libvirt::abort() {
    if (!job_runs()) return error::no_job;
    const Stage stage = qemu_->stage();
    if (stage == Stage::postcopy_start || stage == Stage::postcopy || stage == Stage::postcopy_paused)
        return error::in_postcopy;
    if (stage < Stage::postcopy_start) qemu_->cancel();
    return std::nullopt;
}

}  // namespace vmmi::simulator
