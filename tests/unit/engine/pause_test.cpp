// SPDX-License-Identifier: Apache-2.0
// A policy that pauses the guest for the migration: the pause ends in time, either way.
#include <gtest/gtest.h>

#include "engine/script.h"

namespace vmmi::engine::test {
namespace {

using Kind = event::Lifecycle::Kind;

const Action pause_guest{PauseGuest{700_ms}, "so that it fits"};

/// To a guest that the policy paused.
void pause(Script& script) {
    script.run();
    script.act({pause_guest});
    script.tell(event::ActionAnswered{0, std::nullopt});
    script.tell(event::Lifecycle{Kind::paused_for_switchover});
}

TEST(Pause, IsOrderedOnce) {
    Script script;
    script.run();
    script.act({pause_guest, pause_guest});
    EXPECT_EQ(script.count_last<order::Apply>(), 1U);
    EXPECT_EQ(script.session.status(script.now).last_action->refused, "the guest was paused already");
}

TEST(Pause, IsRefusedForAGuestThatAUserPaused) {
    Script script;
    event::Connected event = connected(GuestState::paused);
    event.guest.paused = true;
    script.tell(event);
    script.tick();
    script.tell(sampled(running_job(), GuestState::paused));
    script.act({pause_guest});
    EXPECT_EQ(script.count_last<order::Apply>(), 0U);
}

TEST(Pause, ThatSufficesIsASuccess) {
    Script script;
    pause(script);
    EXPECT_EQ(script.phase(), Phase::switchover);
    script.pass(600_ms);
    script.succeed();
    EXPECT_TRUE(script.succeeded());
    EXPECT_EQ(script.count_all<order::Abort>(), 0U);
}

TEST(Pause, WhoseEndComesAfterTheMigrationsIsOfNoMatter) {
    Script script;
    script.destination = GuestState::paused_for_migration;  // it takes its time to run there
    pause(script);
    script.tell(event::Lifecycle{Kind::migrated});
    script.tell(event::MigrateReturned{});
    script.pass(700_ms);
    script.tell(inspected(GuestState::shut_off_migrated));
    ASSERT_FALSE(script.ended());
    script.tick();
    ASSERT_FALSE(script.ended());
    EXPECT_GT(script.session.deadline(), script.now) << "or it looks again and again, without a rest";
    EXPECT_EQ(script.count_all<order::Abort>(), 0U);
}

TEST(Pause, ThatDoesNotSufficeIsAbortedInTime) {  // FAIL-13
    Script script;
    script.destination = GuestState::absent;
    pause(script);
    script.ticks_for(650_ms);
    EXPECT_EQ(script.count_all<order::Abort>(), 0U);
    script.ticks_for(50_ms);
    ASSERT_EQ(script.count_all<order::Abort>(), 1U);
    script.tell(event::AbortAnswered{});
    script.fail_with(GuestState::paused, native_error(native::operation_aborted));
    EXPECT_EQ(script.count_all<order::Resume>(), 1U) << "libvirt takes the pause for a user's";
    EXPECT_FALSE(script.ended());
    script.tick();
    script.tell(inspected(GuestState::running));
    ASSERT_EQ(script.code(), ErrorCode::migration_aborted);
    EXPECT_EQ(script.session.outcome()->cause, Cause::aborted_by_policy);
    EXPECT_NE(script.details().find("running at the source"), std::string::npos) << script.details();
    EXPECT_EQ(script.count_all<order::Resume>(), 1U);
}

TEST(Pause, EndsWithAMigrationThatFails) {  // FAIL-13
    for (const GuestState left : {GuestState::paused, GuestState::paused_for_migration}) {
        Script script;
        script.destination = GuestState::absent;
        pause(script);
        script.fail_with(left);
        EXPECT_EQ(script.count_all<order::Resume>(), 1U) << to_string(left);
        script.tell(inspected(GuestState::running));
        EXPECT_EQ(script.code(), ErrorCode::migration_failed);
    }
}

TEST(Pause, ThatLibvirtRefusedHasNoEnd) {
    Script script;
    script.run();
    script.act({pause_guest});
    script.tell(event::ActionAnswered{0, native_error(68)});
    script.ticks_for(5000_ms);
    EXPECT_EQ(script.count_all<order::Abort>(), 0U);
}

TEST(Pause, OfAPluginThatWasKilledEndsAllTheSame) {  // FAIL-11 FAIL-14
    Script killed;
    pause(killed);
    const MigrationRecord record = Script::only<order::Remember>(killed.all).back().record;
    ASSERT_TRUE(record.pause_ends);

    Script next;
    next.now = killed.now;
    event::Connected event = connected(GuestState::paused_for_migration);
    event.job = running_job(2);
    event.record = record;
    event.record->started = next.now - event.job.elapsed;
    next.tell(event);
    EXPECT_EQ(next.count_all<order::Abort>(), 0U);
    next.ticks_for(1000_ms);
    EXPECT_EQ(next.count_all<order::Abort>(), 1U);
}

}  // namespace
}  // namespace vmmi::engine::test
