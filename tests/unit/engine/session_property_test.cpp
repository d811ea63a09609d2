// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "engine/progress.h"
#include "engine/script.h"

namespace vmmi::engine::test {
namespace {

JobStats any_stats() {
    JobStats stats = running_job();
    stats.iteration = *rc::gen::inRange(0, 50);
    stats.memory_total = {*rc::gen::arbitrary<std::uint64_t>()};
    stats.memory_remaining = {*rc::gen::arbitrary<std::uint64_t>()};
    stats.memory_transferred = {*rc::gen::arbitrary<std::uint64_t>()};
    stats.bandwidth = {*rc::gen::arbitrary<std::uint64_t>()};
    stats.dirty_rate = {*rc::gen::arbitrary<std::uint64_t>()};
    stats.type = *rc::gen::element(JobStats::Type::none, JobStats::Type::active, JobStats::Type::active);
    return stats;
}

decltype(Action::what) any_action() {
    const Milliseconds time(*rc::gen::inRange(1, 1000));
    switch (*rc::gen::inRange(0, 12)) {
        case 0:
            return StartPostCopy{};
        case 1:
            return PauseGuest{time};
        case 2:
            return AbortMigration{};
        case 3:
            return Wait{};
        case 4:
            return SetBandwidth{mebibytes_per_second(10)};
        case 5:
        case 6:
            return ResumePostCopy{};
        default:
            return SetDowntimeLimit{time};
    }
}

Event any_event() {
    using Kind = event::Lifecycle::Kind;
    const auto state = [] {
        return *rc::gen::element(GuestState::unknown, GuestState::absent, GuestState::running, GuestState::paused,
                                 GuestState::paused_for_migration, GuestState::postcopy, GuestState::postcopy_failed,
                                 GuestState::shut_off, GuestState::shut_off_migrated);
    };
    const auto error = [] {
        return *rc::gen::arbitrary<bool>() ? std::optional(native_error()) : std::optional<NativeError>();
    };
    // The ends come seldom, so that there is a middle.
    const int kind = *rc::gen::inRange(0, 40);
    if (kind == 0) return event::MigrateReturned{error()};
    if (kind == 1) return event::AbortRequested{};
    if (kind == 2) return event::JobCompleted{any_stats()};
    if (kind < 5) return inspected(state(), *rc::gen::arbitrary<bool>());
    if (kind < 7) return event::AbortAnswered{error()};
    if (kind < 10) return event::ActionAnswered{*rc::gen::inRange<std::size_t>(0, 4), error()};
    if (kind == 10) return event::RecoveryReturned{*rc::gen::inRange<std::size_t>(0, 4), error()};
    if (kind < 12) return event::IterationBegan{*rc::gen::inRange(0, 50)};
    if (kind < 14) return event::SampleFailed{native_error()};
    if (kind < 18) {
        return event::Lifecycle{*rc::gen::element(Kind::paused_for_switchover, Kind::postcopy_began,
                                                  Kind::postcopy_failed, Kind::resumed, Kind::destroyed)};
    }
    if (kind < 24) return event::Tick{};
    return sampled(any_stats(), state());
}

RC_GTEST_PROP(ProgressProperty, PercentNeverFallsAndNeverReachesTheEnd, ()) {  // STAT-3
    Progress progress;
    const int samples = *rc::gen::inRange(1, 30);
    int before = 0;
    for (int i = 0; i < samples; ++i) {
        progress.update(sample_of(any_stats(), *rc::gen::element(Phase::storage, Phase::precopy, Phase::switchover,
                                                                 Phase::postcopy, Phase::postcopy_failed)));
        RC_ASSERT(progress.percent() >= before);
        RC_ASSERT(progress.percent() <= 99);
        if (const std::optional<Eta>& eta = progress.eta()) {
            RC_ASSERT(eta->earliest.count() >= 0);
            RC_ASSERT(eta->earliest <= eta->expected);
            RC_ASSERT(eta->latest.value_or(eta->expected) >= eta->expected);
        }
        before = progress.percent();
    }
    progress.complete();
    RC_ASSERT(progress.percent() == 100);
}

/// Whatever happens in whatever order: the rules that no event may break.
RC_GTEST_PROP(SessionProperty, KeepsItsRulesInAnyOrderOfEvents, ()) {  // PROC-1 STAT-3
    Script script;
    bool postcopy = false;
    script.policy.request.postcopy = *rc::gen::arbitrary<bool>();
    script.policy.stays = *rc::gen::arbitrary<bool>();
    script.policy.answer = [&](const Sample&) { return std::vector<Action>{{any_action(), "why not"}}; };
    script.connect();
    const int events = *rc::gen::inRange(1, 100);
    int percent = 0;
    for (int i = 0; i < events; ++i) {
        const bool over = script.ended();
        const Event event = any_event();
        script.pass(Milliseconds(*rc::gen::inRange(0, 500)));
        if (const auto* lifecycle = std::get_if<event::Lifecycle>(&event))
            postcopy = postcopy || lifecycle->kind == event::Lifecycle::Kind::postcopy_began;
        script.tell(event);
        for (const Order& order : script.last) {
            const auto* apply = std::get_if<order::Apply>(&order);
            const bool cap = apply != nullptr && std::holds_alternative<SetBandwidth>(apply->action.what);
            RC_ASSERT(!postcopy || !std::holds_alternative<order::Abort>(order));
            RC_ASSERT(!postcopy || apply == nullptr || cap);
        }
        const Status status = script.session.status(script.now);
        RC_ASSERT(status.progress_percent >= percent);
        RC_ASSERT((status.progress_percent == 100) == script.succeeded());
        RC_ASSERT(!over || script.last.empty());
        RC_ASSERT(script.ended() != script.session.deadline().has_value());
        // Or it would spin.
        RC_ASSERT(!std::holds_alternative<event::Tick>(event) || script.ended() ||
                  script.session.deadline() > script.now);
        percent = status.progress_percent;
    }
    RC_ASSERT(script.count_all<order::Start>() == 1U);
}

}  // namespace
}  // namespace vmmi::engine::test
