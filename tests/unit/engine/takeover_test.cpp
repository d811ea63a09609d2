// SPDX-License-Identifier: Apache-2.0
// FAIL-11: a migration that is under way is taken over, whoever started it.
#include <gtest/gtest.h>

#include "engine/script.h"

namespace vmmi::engine::test {
namespace {

event::Connected connected_to_a_migration(GuestState state = GuestState::running) {
    event::Connected event = connected(state);
    event.downtime_limit = own_limit;
    event.job = running_job(3);
    return event;
}

event::Sampled no_job(JobStats::Type type = JobStats::Type::none) {
    JobStats stats;
    stats.type = type;
    return sampled(stats);
}

TEST(Takeover, StartsNothingAndGoesOnInThePhaseThatItFinds) {
    struct Found {
        GuestState state;
        Phase phase;
    };
    for (const Found& found :
         {Found{GuestState::running, Phase::precopy}, Found{GuestState::paused_for_migration, Phase::switchover},
          Found{GuestState::postcopy, Phase::postcopy}, Found{GuestState::postcopy_failed, Phase::postcopy_failed}}) {
        Script script;
        script.tell(connected_to_a_migration(found.state));
        EXPECT_EQ(script.count_all<order::Start>(), 0U);
        EXPECT_EQ(script.session.status(script.now).phase, found.phase);
        EXPECT_EQ(script.session.status(script.now).iteration, 3);
        EXPECT_EQ(script.session.status(script.now).elapsed, 3000_ms) << "counted from the start of the migration";
        EXPECT_FALSE(script.ended());
    }
}

TEST(Takeover, BringsTheMigrationUnderThePolicy) {
    Script script;
    script.policy.request.downtime_limit = 120_ms;
    script.policy.request.bandwidth = mebibytes_per_second(8);
    script.tell(connected_to_a_migration());
    EXPECT_EQ(script.count_last<order::Apply>(), 2U);
    ASSERT_EQ(script.session.status(script.now).last_action->action.reason, "takeover: the bandwidth of this policy");
}

TEST(Takeover, LeavesPostCopyAlone) {
    Script script;
    script.policy.request.downtime_limit = 120_ms;
    script.tell(connected_to_a_migration(GuestState::postcopy));
    EXPECT_EQ(script.count_all<order::Apply>(), 0U);
}

TEST(Takeover, SeesASuccess) {
    Script script;
    script.tell(connected_to_a_migration());
    script.tell(event::Lifecycle{event::Lifecycle::Kind::migrated});
    EXPECT_FALSE(script.ended()) << "the statistics follow";
    script.tell(event::JobCompleted{completed_job()});
    EXPECT_FALSE(script.ended()) << "what is left at the source is looked at";
    script.tell(inspected(GuestState::absent));
    ASSERT_TRUE(script.succeeded());
    EXPECT_EQ(script.session.outcome()->downtime, 42_ms);
}

TEST(Takeover, WaitsForADefinitionThatTheMigrationTakesAway) {
    Script script;
    script.destination = GuestState::running;
    event::Connected found = connected_to_a_migration();
    found.guest.persistent = true;
    script.tell(found);
    script.tell(event::Lifecycle{event::Lifecycle::Kind::migrated});
    script.tell(event::JobCompleted{completed_job()});
    script.tell(inspected(GuestState::shut_off_migrated));
    EXPECT_FALSE(script.ended()) << "libvirt takes the definition away after the job's end, without an event";
    script.tick();
    EXPECT_EQ(script.count_last<order::Inspect>(), 1U);
    script.tell(inspected(GuestState::absent));
    ASSERT_TRUE(script.succeeded());
    EXPECT_EQ(script.session.outcome()->source, GuestState::absent);
}

TEST(Takeover, WaitsForADefinitionThatStaysForHalfASecondAtMost) {
    Script script;
    script.destination = GuestState::running;
    event::Connected found = connected_to_a_migration();
    found.guest.persistent = true;
    script.tell(found);
    script.tell(event::Lifecycle{event::Lifecycle::Kind::migrated});
    script.tell(event::JobCompleted{completed_job()});
    const TimePoint told = script.now;
    while (!script.ended() && script.now < told + 2000_ms) {
        script.tell(inspected(GuestState::shut_off_migrated));
        if (!script.ended()) script.tick();
    }
    ASSERT_TRUE(script.succeeded());
    EXPECT_EQ(script.session.outcome()->source, GuestState::shut_off_migrated);
    EXPECT_LE(script.now - told, 700_ms);
}

TEST(Takeover, TellsAFailureFromAnAbort) {
    for (const auto& [type, code] : {std::pair(JobStats::Type::none, ErrorCode::migration_failed),
                                     std::pair(JobStats::Type::failed, ErrorCode::migration_failed),
                                     std::pair(JobStats::Type::cancelled, ErrorCode::migration_aborted)}) {
        Script script;
        script.tell(connected_to_a_migration());
        script.tell(no_job(type));
        EXPECT_EQ(script.count_last<order::Inspect>(), 1U);
        script.tell(inspected(GuestState::running));
        EXPECT_EQ(script.code(), code);
    }
}

TEST(Takeover, AbortsWhenToldTo) {
    Script script;
    script.tell(connected_to_a_migration());
    script.tell(event::AbortRequested{});
    EXPECT_EQ(script.count_last<order::Abort>(), 1U);
    script.tell(event::AbortAnswered{});
    script.tell(no_job());
    script.tell(inspected(GuestState::running));
    EXPECT_EQ(script.code(), ErrorCode::migration_aborted);
}

TEST(Takeover, AsksTheDestinationWhereTheGuestIsGone) {
    for (const auto& [there, code] :
         {std::pair(GuestState::running, ErrorCode::none), std::pair(GuestState::paused, ErrorCode::none),
          std::pair(GuestState::absent, ErrorCode::vm_disappeared),
          std::pair(GuestState::unknown, ErrorCode::vm_disappeared)}) {
        Script script;
        script.destination.reset();
        script.tell(connected_to_a_migration());
        script.tell(event::SampleFailed{native_error(native::no_domain)});
        script.tell(inspected(GuestState::absent));
        EXPECT_EQ(script.count_last<order::InspectDestination>(), 1U);
        EXPECT_FALSE(script.ended());
        script.tell(event::DestinationInspected{there});
        for (int i = 0; i < 20 && !script.ended(); ++i) script.tick();
        ASSERT_TRUE(script.ended());
        EXPECT_EQ(script.code(), code) << to_string(there);
    }
}

TEST(Takeover, FollowsARaceThatWasLostAtTheStart) {
    Script script;
    script.tell(connected());
    script.tell(
        event::MigrateReturned{native_error(native::operation_invalid, "another migration job is already running")});
    event::Inspected found = inspected(GuestState::running, true);
    found.job = running_job();
    script.tell(found);
    EXPECT_FALSE(script.ended());
    EXPECT_EQ(script.session.status(script.now).phase, Phase::precopy);
    script.tell(event::JobCompleted{completed_job()});
    script.tell(inspected(GuestState::absent));
    EXPECT_TRUE(script.succeeded());
}

/// What a run left about a migration to "there", begun that long before now.
MigrationRecord left(const Script& script, Milliseconds ago) {
    return {.plugin = "other",
            .uuid = connected().guest.uuid,
            .started = script.now - ago,
            .destination_uri = "qemu://there/system",
            .migration_uri = "tcp://there",
            .request = MigrationRequest{},
            .original_downtime_limit = 777_ms};
}

Script told_to_go(const std::string& destination) {
    return Script({.policy_name = "played",
                   .destination_uri = destination,
                   .migration_uri = "tcp://there",
                   .sample_interval = 1000_ms});
}

template <typename T>
T last_of(const Orders& orders) {
    return Script::only<T>(orders).back();
}

TEST(Takeover, LeavesARecordBeforeAnythingIsChangedAndTakesItAwayAtTheEnd) {  // FAIL-14
    Script script = told_to_go("qemu://there/system");
    script.policy.request.downtime_limit = 120_ms;
    script.tell(connected());
    ASSERT_EQ(script.count_last<order::Remember>(), 1U);
    EXPECT_EQ(script.count_last<order::Start>(), 1U);
    EXPECT_EQ(script.count_last<order::LimitDowntime>(), 0U);
    MigrationRecord record = last_of<order::Remember>(script.last).record;
    EXPECT_EQ(record.plugin, "played");
    EXPECT_EQ(record.destination_uri, "qemu://there/system");
    EXPECT_EQ(record.request->downtime_limit, 120_ms);
    script.tell(event::LimitRead{own_limit});
    EXPECT_EQ(last_of<order::Remember>(script.last).record.original_downtime_limit, own_limit);

    script.pass(5000_ms);
    script.tell(sampled(running_job(1)));
    record = last_of<order::Remember>(script.last).record;
    EXPECT_EQ(record.started, script.now - 1000_ms) << "the job's begin, as libvirt tells it";
    script.tell(sampled(running_job(2)));
    EXPECT_EQ(script.count_last<order::Remember>(), 0U);

    script.succeed();
    ASSERT_TRUE(script.ended());
    EXPECT_EQ(script.count_all<order::Forget>(), 1U);
}

TEST(Takeover, LeavesTheRecordWhereTheMigrationGoesOn) {  // FAIL-14
    const std::vector<Event> ends{event::DetachRequested{}, event::ConnectionLost{"gone"}};
    for (const Event& end : ends) {
        Script script;
        script.run();
        script.tell(end);
        ASSERT_TRUE(script.ended());
        EXPECT_EQ(script.count_all<order::Forget>(), 0U);
    }
}

TEST(Takeover, PutsBackWhatTheFirstPluginFound) {  // FAIL-13 FAIL-15
    Script script = told_to_go("qemu://there/system");
    event::Connected event = connected_to_a_migration();
    event.record = left(script, 3100_ms);  // the job is 3 s old
    script.tell(event);
    EXPECT_EQ(last_of<order::Remember>(script.last).record.original_downtime_limit, 777_ms);
    script.tell(event::AbortRequested{});
    script.tell(event::AbortAnswered{});
    script.tell(no_job());
    script.tell(inspected(GuestState::running));
    ASSERT_TRUE(script.ended());
    ASSERT_EQ(script.count_all<order::Restore>(), 1U);
    EXPECT_EQ(last_of<order::Restore>(script.all).downtime_limit, 777_ms);
}

TEST(Takeover, PutsBackNoLimitThatMayBeSomebodyElses) {  // FAIL-13
    Script script;
    script.policy.request.downtime_limit = 120_ms;
    script.tell(connected_to_a_migration());
    EXPECT_EQ(script.session.status(script.now).downtime_limit, own_limit) << "in force";
    script.tell(event::AbortRequested{});
    script.tell(event::AbortAnswered{});
    script.tell(no_job());
    script.tell(inspected(GuestState::running));
    ASSERT_TRUE(script.ended());
    EXPECT_EQ(script.count_all<order::Restore>(), 0U);
}

TEST(Takeover, ThatIsNeverAnsweredEnds) {  // FAIL-3
    Script script;
    script.tell(connected_to_a_migration());
    script.ticks_for(29'000_ms);
    EXPECT_FALSE(script.ended());
    script.ticks_for(2000_ms);
    EXPECT_EQ(script.code(), ErrorCode::libvirt_disconnected);

    Script last_pass;
    last_pass.tell(connected_to_a_migration(GuestState::paused_for_migration));
    last_pass.ticks_for(60'000_ms);
    EXPECT_FALSE(last_pass.ended()) << "an answer takes as long as the pass";

    Script answered;
    answered.tell(connected_to_a_migration());
    answered.tick();
    answered.tell(sampled());
    answered.ticks_for(60'000_ms);
    EXPECT_FALSE(answered.ended());
}

TEST(Takeover, AsksThePolicyOnceToAdoptIt) {
    Script script;
    script.policy.request.downtime_limit = 120_ms;
    script.tell(connected_to_a_migration());
    EXPECT_EQ(script.count_all<order::Apply>(), 1U);
    script.tick();
    script.tell(event::SampleFailed{native_error()});
    event::Inspected found = inspected(GuestState::running, true);
    found.job = running_job(3);
    script.tell(found);
    EXPECT_FALSE(script.ended());
    EXPECT_EQ(script.count_all<order::Apply>(), 1U);
}

TEST(Takeover, DoesNotTrustARecordThatLibvirtContradicts) {  // FAIL-15
    const auto wrong = [](const std::function<void(MigrationRecord&)>& make_wrong) {
        Script script = told_to_go("qemu://elsewhere/system");
        event::Connected event = connected_to_a_migration();
        event.record = left(script, 3000_ms);
        make_wrong(*event.record);
        script.tell(event);
        const MigrationRecord now = last_of<order::Remember>(script.last).record;
        EXPECT_FALSE(now.original_downtime_limit) << "the one in force may be anybody's";
        EXPECT_FALSE(now.destination_uri) << "nobody knows";
        script.tell(event::JobCompleted{completed_job()});
        script.tell(inspected(GuestState::absent));
        EXPECT_TRUE(script.succeeded());
    };
    wrong([](MigrationRecord& record) { record.started -= 60'000_ms; });
    wrong([](MigrationRecord& record) { record.started += 2'100_ms; });
    wrong([](MigrationRecord& record) { record.uuid = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"; });
}

TEST(Takeover, ASuccessIsAtTheDestinationThatTheCallerNamed) {  // COMP-3
    struct Case {
        GuestState there;
        GuestState asked;
        ErrorCode code;
    };
    for (const Case& one : {Case{GuestState::running, GuestState::absent, ErrorCode::operation_failed},
                            Case{GuestState::running, GuestState::unknown, ErrorCode::operation_failed},
                            // One host under two names.
                            Case{GuestState::running, GuestState::running, ErrorCode::none}}) {
        Script script = told_to_go("qemu://elsewhere/system");
        script.destination.reset();
        event::Connected event = connected_to_a_migration();
        event.record = left(script, 3000_ms);
        script.tell(event);
        script.tell(event::JobCompleted{completed_job()});
        EXPECT_EQ(script.count_last<order::InspectDestination>(), 2U);
        script.tell(inspected(GuestState::absent));
        script.tell(event::DestinationInspected{one.there, "qemu://there/system"});
        EXPECT_FALSE(script.ended());
        script.tell(event::DestinationInspected{one.asked, "qemu://elsewhere/system"});
        ASSERT_TRUE(script.ended());
        EXPECT_EQ(script.code(), one.code);
        if (one.code == ErrorCode::none) continue;
        EXPECT_EQ(script.session.outcome()->cause, Cause::completed_elsewhere);
        EXPECT_NE(script.details().find("qemu://there/system"), std::string::npos);
        EXPECT_EQ(script.session.outcome()->destination, GuestState::running);
    }
}

TEST(Takeover, WithoutARecordASuccessIsSeenAtTheDestinationOrNotAtAll) {  // COMP-3
    for (const auto& [asked, cause] :
         {std::pair(GuestState::running, Cause::completed), std::pair(GuestState::unknown, Cause::completed),
          std::pair(GuestState::absent, Cause::completed_elsewhere),
          std::pair(GuestState::shut_off, Cause::completed_elsewhere)}) {
        Script script = told_to_go("qemu://elsewhere/system");
        script.destination = asked;
        script.tell(connected_to_a_migration());
        script.tell(event::JobCompleted{completed_job()});
        script.tell(inspected(GuestState::absent));
        script.ticks_for(4000_ms);
        ASSERT_TRUE(script.ended());
        EXPECT_EQ(script.session.outcome()->cause, cause) << to_string(asked);
        EXPECT_EQ(script.code(), cause == Cause::completed ? ErrorCode::none : ErrorCode::operation_failed);
        if (cause == Cause::completed) continue;
        EXPECT_NE(script.details().find("qemu://elsewhere/system"), std::string::npos) << script.details();
    }
}

TEST(Takeover, AGuestThatIsOnNoHostIsNotSaidToBeElsewhere) {  // COMP-3
    Script script = told_to_go("qemu://elsewhere/system");
    script.destination = GuestState::absent;
    event::Connected event = connected_to_a_migration();
    event.record = left(script, 3000_ms);
    script.tell(event);
    script.tell(event::JobCompleted{completed_job()});
    script.tell(inspected(GuestState::absent));
    script.ticks_for(4000_ms);
    ASSERT_EQ(script.code(), ErrorCode::vm_disappeared);
    EXPECT_NE(script.details().find("qemu://there/system"), std::string::npos) << script.details();
}

TEST(Takeover, ResumesNoGuestThatMayRunAtADestinationNobodyTold) {
    const auto resumes = [](bool left_a_record) {
        Script script = told_to_go("qemu://there/system");
        script.destination = GuestState::absent;
        event::Connected event = connected_to_a_migration();
        if (left_a_record) event.record = left(script, 3000_ms);
        script.tell(event);
        script.tell(no_job());
        script.tell(inspected(GuestState::paused_for_migration));
        script.ticks_for(12'000_ms);
        EXPECT_EQ(script.code(), ErrorCode::migration_failed);
        return script.count_all<order::Resume>();
    };
    EXPECT_EQ(resumes(true), 1U);
    EXPECT_EQ(resumes(false), 0U);
}

TEST(Takeover, ALostRaceLeavesNoRecordOfTheLoser) {  // FAIL-14 FAIL-15
    Script script = told_to_go("qemu://elsewhere/system");
    script.tell(connected());
    script.tell(event::MigrateReturned{native_error(native::operation_invalid)});
    event::Inspected found = inspected(GuestState::running, true);
    found.job = running_job();
    found.record = left(script, 1000_ms);
    script.tell(found);
    EXPECT_EQ(script.count_last<order::Forget>(), 1U);
    EXPECT_EQ(last_of<order::Remember>(script.last).record.destination_uri, "qemu://there/system");
}

TEST(Takeover, AMigrationThatOutlivedItsCallKeepsItsRecord) {  // FAIL-15
    Script script = told_to_go("qemu://there/system");
    script.run();
    script.tell(event::MigrateReturned{native_error()});
    event::Inspected found = inspected(GuestState::running, true);
    found.job = running_job(2);
    script.tell(found);
    EXPECT_EQ(script.count_all<order::Forget>(), 0U);
    script.fail_with(GuestState::running);
    ASSERT_TRUE(script.ended());
    EXPECT_EQ(script.count_all<order::Forget>(), 1U);
}

}  // namespace
}  // namespace vmmi::engine::test
