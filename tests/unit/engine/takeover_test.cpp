// SPDX-License-Identifier: Apache-2.0
// FAIL-11: a migration that is under way is taken over, whoever started it.
#include <gtest/gtest.h>

#include "engine/script.h"

namespace vmmi::engine::test {
namespace {

event::Connected connected_to_a_migration(GuestState state = GuestState::running) {
    event::Connected event = connected(state);
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
    ASSERT_TRUE(script.succeeded());
    EXPECT_EQ(script.session.outcome()->downtime, 42_ms);
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
    EXPECT_TRUE(script.succeeded());
}

}  // namespace
}  // namespace vmmi::engine::test
