// SPDX-License-Identifier: Apache-2.0
// What ended it, where the guest is, and what that was decided on.
#include <gtest/gtest.h>

#include "engine/script.h"

namespace vmmi::engine::test {
namespace {

using Kind = event::Lifecycle::Kind;

TEST(EndState, IsWaitedForAtTheDestination) {
    Script script;
    script.destination = GuestState::paused_for_migration;  // QEMU there takes its time to go
    script.run();
    script.tell(event::AbortRequested{});
    script.fail_with(GuestState::running);
    EXPECT_FALSE(script.ended());
    script.destination = GuestState::absent;
    script.tick();
    script.tell(inspected(GuestState::running));
    ASSERT_TRUE(script.ended());
    const Outcome& outcome = *script.session.outcome();
    EXPECT_EQ(outcome.cause, Cause::aborted_by_signal);
    EXPECT_EQ(outcome.source, GuestState::running);
    EXPECT_EQ(outcome.destination, GuestState::absent);
}

TEST(EndState, IsNotWaitedForForEver) {
    Script script;
    script.destination = GuestState::paused_for_migration;
    script.run();
    script.fail_with(GuestState::running);
    script.ticks_for(4000_ms);
    ASSERT_EQ(script.code(), ErrorCode::migration_failed);
    EXPECT_NE(script.details().find("paused for migration at the destination"), std::string::npos) << script.details();
}

TEST(EndState, OfASuccessIsARunningGuestAtTheDestination) {  // COMP-3
    Script script;
    script.destination = GuestState::running;
    script.run();
    script.succeed();
    ASSERT_TRUE(script.succeeded());
    EXPECT_EQ(script.session.outcome()->cause, Cause::completed);
    EXPECT_EQ(script.session.outcome()->source, GuestState::absent);
    EXPECT_EQ(script.session.outcome()->destination, GuestState::running);
}

TEST(EndState, OfAGuestThatIsOnNeitherHostIsNoSuccess) {  // COMP-3
    for (const GuestState there : {GuestState::absent, GuestState::shut_off}) {
        Script script;
        script.destination = there;
        script.run();
        script.succeed();
        EXPECT_FALSE(script.ended()) << "it takes its time to appear there";
        script.ticks_for(4000_ms);
        ASSERT_EQ(script.code(), ErrorCode::vm_disappeared) << to_string(there);
        EXPECT_EQ(script.session.outcome()->cause, Cause::guest_gone);
        EXPECT_EQ(script.session.outcome()->destination, there);
        EXPECT_NE(script.details().find(to_string(there)), std::string::npos) << script.details();
    }
}

TEST(EndState, WithTheGuestRunningAtTheSourceIsNoSuccess) {  // COMP-3
    Script script;
    script.destination = GuestState::running;
    script.run();
    script.tell(event::JobCompleted{completed_job()});
    script.tell(event::MigrateReturned{});
    script.tell(inspected(GuestState::running));  // somebody started it again
    script.ticks_for(4000_ms);
    ASSERT_EQ(script.code(), ErrorCode::migration_failed);
    for (const char* every : {"running at the source", "running at the destination"})
        EXPECT_NE(script.details().find(every), std::string::npos) << script.details();
}

TEST(EndState, OfATransientGuestIsNotTheMomentBeforeItIsGone) {
    for (const GuestState moment : {GuestState::shut_off, GuestState::shut_off_migrated}) {
        Script script;
        script.destination = GuestState::running;
        script.run();
        script.tell(event::Lifecycle{Kind::migrated});
        script.tell(event::JobCompleted{completed_job()});
        script.tell(event::MigrateReturned{});
        script.tell(inspected(moment));
        ASSERT_FALSE(script.ended()) << to_string(moment);
        script.tick();
        script.tell(inspected(GuestState::absent));
        ASSERT_TRUE(script.succeeded());
        EXPECT_EQ(script.session.outcome()->source, GuestState::absent);
    }
}

TEST(EndState, AtTheSourceFollowsFromTheEventWhereNobodyLooked) {
    for (const auto& [persistent, state] :
         {std::pair(false, GuestState::absent), std::pair(true, GuestState::shut_off_migrated)}) {
        Script script;
        script.destination = GuestState::running;
        event::Connected found = connected();
        found.guest.persistent = persistent;
        script.tell(found);
        script.tell(event::Lifecycle{Kind::migrated});
        script.tell(event::JobCompleted{completed_job()});
        script.tell(event::MigrateReturned{});
        for (int i = 0; i < 20 && !script.ended(); ++i) script.tick();
        ASSERT_TRUE(script.succeeded());
        EXPECT_EQ(script.session.outcome()->source, state);
    }
}

TEST(EndState, NamesWhatStoppedTheGuest) {
    for (const auto& [kind, cause] :
         {std::pair(Kind::powered_off, Cause::guest_powered_off), std::pair(Kind::destroyed, Cause::guest_destroyed),
          std::pair(Kind::crashed, Cause::guest_crashed)}) {
        Script script;
        script.destination = GuestState::absent;
        script.run();
        script.tell(event::Lifecycle{kind});
        script.fail_with(GuestState::absent);
        ASSERT_EQ(script.code(), ErrorCode::vm_disappeared);
        EXPECT_EQ(script.session.outcome()->cause, cause);
        EXPECT_GE(script.session.outcome()->evidence.size(), 3U) << "the call, the event, both hosts";
    }
}

TEST(EndState, TellsWhoAborted) {
    Script policy;
    policy.run();
    policy.act({{AbortMigration{}, "enough"}});
    policy.fail_with(GuestState::running);
    EXPECT_EQ(policy.session.outcome()->cause, Cause::aborted_by_policy);

    Script other;
    other.run();
    other.fail_with(GuestState::running, native_error(native::operation_aborted));
    EXPECT_EQ(other.session.outcome()->cause, Cause::aborted_by_other);
}

TEST(EndState, AGuestLeftPausedByTheMigrationIsResumedOnce) {
    Script script;
    script.destination = GuestState::absent;
    script.run();
    script.fail_with(GuestState::paused_for_migration);
    EXPECT_EQ(script.count_all<order::Resume>(), 1U);
    script.tick();
    script.tell(inspected(GuestState::paused_for_migration));
    EXPECT_EQ(script.count_all<order::Resume>(), 1U);
    script.tell(inspected(GuestState::running));
    EXPECT_EQ(script.code(), ErrorCode::migration_failed);
    EXPECT_EQ(script.session.outcome()->source, GuestState::running);
}

TEST(EndState, AGuestIsNotResumedWhileItMayRunElsewhere) {
    for (const GuestState there : {GuestState::running, GuestState::unknown, GuestState::paused_for_migration}) {
        Script script;
        script.destination = there;
        script.run();
        script.fail_with(GuestState::paused_for_migration);
        script.ticks_for(12'000_ms);
        EXPECT_EQ(script.count_all<order::Resume>(), 0U) << to_string(there);
    }
}

}  // namespace
}  // namespace vmmi::engine::test
