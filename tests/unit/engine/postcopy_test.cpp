// SPDX-License-Identifier: Apache-2.0
// Post-copy: what a policy may do in it, and a broken one that is watched, resumed, lost or let go.
#include <gtest/gtest.h>

#include "engine/script.h"

namespace vmmi::engine::test {
namespace {

using Kind = event::Lifecycle::Kind;

const Action switch_over{StartPostCopy{}, "it never converges"};
const Action resume{ResumePostCopy{}, "it broke"};
const Action cap{SetBandwidth{mebibytes_per_second(50)}, "the link is shared"};
const Action raise_limit{SetDowntimeLimit{450_ms}, "pass 2"};
const Action give_up{AbortMigration{}, "enough"};
const Action pause_guest{PauseGuest{500_ms}, "so that it fits"};

constexpr const char* there = "qemu+tcp://there/system";

/// A migration with post-copy to a destination that has noticed the break whenever it is asked.
class PostCopyScript : public Script {
  public:
    explicit PostCopyScript(GuestState source = GuestState::postcopy_failed)
        : Script({.policy_name = "played",
                  .destination_uri = there,
                  .migration_uri = "tcp://there",
                  .sample_interval = 1000_ms}) {
        policy.request.postcopy = true;
        policy.stays = true;
        destination = std::nullopt;
        event::Connected event = connected();
        event.source.libvirt = version(9, 0);
        connect(event);
        tick();
        tell(sampled());
        act({switch_over});
        tell(event::ActionAnswered{0, std::nullopt});
        tell(event::Lifecycle{Kind::postcopy_began});
        see(running_job(3), GuestState::postcopy);
        if (source == GuestState::postcopy_failed) break_it();
    }

    void see(const JobStats& stats, GuestState state) {
        tick();
        tell(sampled(stats, state));
    }
    /// The call comes back, and the source has the guest in failed post-copy.
    void break_it() {
        tell(event::Lifecycle{Kind::postcopy_failed});
        tell(event::MigrateReturned{native_error(9, "job 'migration in' failed in post-copy phase")});
        event::Inspected found = inspected(GuestState::postcopy_failed, true);
        found.job = running_job(3);
        tell(found);
    }
    void see_broken() { see(running_job(3), GuestState::postcopy_failed); }
    void answer_there(GuestState state, Version libvirt = version(9, 0)) {
        tell(event::DestinationInspected{.state = state, .uri = there, .libvirt = libvirt});
    }
    /// To a resume that libvirt was asked for.
    void try_to_resume(Version libvirt = version(9, 0)) {
        policy.next({resume});
        see_broken();
        answer_there(GuestState::postcopy_failed, libvirt);
    }
    const ActionRecord& last_action() { return *(last_status = session.status(now)).last_action; }

  private:
    Status last_status;
};

TEST(PostCopy, IsStartedOnceAndNothingElseFollows) {
    Script script;
    script.policy.request.postcopy = true;
    script.run();
    script.act({switch_over, switch_over, raise_limit, cap, give_up, pause_guest, resume});
    EXPECT_EQ(script.count_last<order::Apply>(), 1U);
    EXPECT_EQ(script.count_last<order::Abort>(), 0U);
    EXPECT_EQ(script.session.status(script.now).last_action->refused, "there is no broken post-copy");
    script.succeed();
    const std::vector<ActionRecord>& records = script.session.outcome()->actions;
    EXPECT_FALSE(records[0].refused);
    for (std::size_t i = 1; i < records.size(); ++i) EXPECT_TRUE(records[i].refused) << i;
}

TEST(PostCopy, IsRefusedWhereTheMigrationWasStartedWithout) {
    Script script;
    script.run();
    script.act({switch_over});
    EXPECT_EQ(script.count_last<order::Apply>(), 0U);
    EXPECT_EQ(script.session.status(script.now).last_action->refused, "the migration was started without post-copy");
    EXPECT_TRUE(script.policy.asked.back().postcopy_excluded) << "and the policy could have known";
}

TEST(PostCopy, IsKnownToBeExcludedOnceLibvirtSaysSo) {
    const auto excluded_by = [](int code) {
        Script script;
        script.policy.request.postcopy = true;
        script.run();
        script.act({switch_over});
        script.tell(event::ActionAnswered{0, native_error(code)});
        script.act({});
        return script.policy.asked.back().postcopy_excluded;
    };
    EXPECT_TRUE(excluded_by(native::operation_invalid));
    EXPECT_FALSE(excluded_by(68)) << "a lock that was not to be had";
}

TEST(PostCopy, CanBeAskedForAgainWhereLibvirtRefused) {
    Script script;
    script.policy.request.postcopy = true;
    script.run();
    script.act({switch_over});
    script.tell(event::ActionAnswered{0, native_error(68)});
    script.act({switch_over});
    EXPECT_EQ(script.count_last<order::Apply>(), 1U);
}

TEST(PostCopy, TakesNothingButItsBandwidthAndWaiting) {
    PostCopyScript script(GuestState::postcopy);
    script.policy.next({raise_limit, give_up, pause_guest, switch_over, resume, cap, {Wait{}, "as it is"}});
    script.see(running_job(3), GuestState::postcopy);
    const auto applied = Script::only<order::Apply>(script.last);
    ASSERT_EQ(applied.size(), 1U);
    EXPECT_TRUE(applied[0].in_postcopy);
    EXPECT_EQ(std::get<SetBandwidth>(applied[0].action.what).limit, mebibytes_per_second(50));
    EXPECT_EQ(script.count_last<order::Abort>(), 0U);
}

TEST(PostCopy, GivesThePolicyItsNumbers) {
    PostCopyScript script(GuestState::postcopy);
    JobStats stats = running_job(3);
    stats.postcopy_requests = 77;
    script.see(stats, GuestState::postcopy);
    EXPECT_EQ(script.policy.asked.back().phase, Phase::postcopy);
    EXPECT_EQ(script.policy.asked.back().postcopy_requests, 77U);
    const TimePoint before = script.now;
    script.see(stats, GuestState::postcopy);
    script.see(stats, GuestState::postcopy);
    EXPECT_GE(script.policy.asked.back().standing_for, between(before, script.now));
    stats.memory_transferred = stats.memory_transferred + mebibytes(1);
    script.see(stats, GuestState::postcopy);
    EXPECT_EQ(script.policy.asked.back().standing_for, 0_ms);
}

TEST(PostCopy, IsStillWatchedAfterAnAbortThatCameTooLate) {
    PostCopyScript script;
    script.tell(event::AbortRequested{});
    EXPECT_EQ(script.count_all<order::Abort>(), 0U);
    script.try_to_resume();
    EXPECT_EQ(script.count_last<order::Recover>(), 1U);
}

TEST(BrokenPostCopy, IsNotTheEnd) {
    PostCopyScript script;
    EXPECT_EQ(script.phase(), Phase::postcopy_failed);
    for (int i = 0; i < 100; ++i) script.see_broken();
    EXPECT_FALSE(script.ended());
    EXPECT_FALSE(script.policy.asked_to_stay.empty());
    EXPECT_EQ(script.count_all<order::Start>(), 1U);
}

TEST(BrokenPostCopy, IsResumedByTheSameCallAsTheMigrationWasStartedBy) {
    PostCopyScript script(GuestState::postcopy);
    script.policy.next({cap});
    script.see(running_job(3), GuestState::postcopy);
    script.tell(event::ActionAnswered{1, std::nullopt});
    script.break_it();
    script.try_to_resume();
    const auto orders = Script::only<order::Recover>(script.last);
    ASSERT_EQ(orders.size(), 1U);
    EXPECT_EQ(orders[0].destination_uri, there);
    EXPECT_EQ(orders[0].migration_uri, "tcp://there");
    EXPECT_TRUE(orders[0].request.postcopy);
    EXPECT_EQ(orders[0].request.postcopy_bandwidth, mebibytes_per_second(50)) << "the cap in force";
}

TEST(BrokenPostCopy, IsResumedOnlyAfterTheDestinationNoticed) {
    PostCopyScript script;
    script.policy.next({resume});
    script.see_broken();
    EXPECT_EQ(script.count_last<order::InspectDestination>(), 1U);
    script.answer_there(GuestState::postcopy);
    EXPECT_EQ(script.count_all<order::Recover>(), 0U);
    script.see_broken();
    EXPECT_TRUE(script.policy.asked.back().resuming);
    script.answer_there(GuestState::postcopy_failed);
    EXPECT_EQ(script.count_last<order::Recover>(), 1U);
}

TEST(BrokenPostCopy, IsResumedWithoutTheWordOfADestinationThatDoesNotAnswer) {
    PostCopyScript script;
    script.policy.next({resume});
    for (int i = 0; i < 30; ++i) script.see_broken();
    EXPECT_EQ(script.count_all<order::Recover>(), 1U);
    EXPECT_LE(script.count_all<order::InspectDestination>(), 3U) << "one question at a time";
}

TEST(BrokenPostCopy, IsNotResumedWhereItWentOnByItself) {
    PostCopyScript script;
    script.policy.next({resume});
    script.see_broken();
    script.see(running_job(3), GuestState::postcopy);
    EXPECT_EQ(script.count_all<order::Recover>(), 0U);
    EXPECT_EQ(script.last_action().refused, "post-copy went on by itself");
}

TEST(BrokenPostCopy, IsTriedAgainAfterARefusal) {
    PostCopyScript script;
    script.try_to_resume();
    script.policy.next({resume});
    script.see_broken();
    EXPECT_EQ(script.last_action().refused, "the try before this one is not answered yet");
    script.tell(event::RecoveryReturned{1, native_error(38, "Network is unreachable")});
    script.tell(sampled(running_job(3), GuestState::postcopy_failed));
    EXPECT_EQ(script.count_last<order::TakeSample>(), 1U) << "states are read anew";
    EXPECT_FALSE(script.ended());
    script.try_to_resume();
    EXPECT_EQ(script.count_last<order::Recover>(), 1U);
}

TEST(BrokenPostCopy, ThatIsResumedEndsAsASuccess) {
    PostCopyScript script;
    script.try_to_resume();
    script.tell(event::Lifecycle{Kind::postcopy_began});
    EXPECT_EQ(script.phase(), Phase::postcopy);
    script.see(running_job(3), GuestState::postcopy);
    script.tell(event::RecoveryReturned{1, std::nullopt});
    event::Inspected found = inspected(GuestState::absent);
    found.completed = completed_job();
    script.tell(found);
    script.answer_there(GuestState::running);
    ASSERT_TRUE(script.succeeded());
    EXPECT_FALSE(script.session.outcome()->actions.back().refused);
}

TEST(BrokenPostCopy, MayBreakAgain) {
    PostCopyScript script;
    script.try_to_resume();
    script.tell(event::Lifecycle{Kind::postcopy_began});
    script.tell(event::Lifecycle{Kind::postcopy_failed});
    script.tell(event::RecoveryReturned{1, native_error(9, "failed in post-copy phase")});
    EXPECT_FALSE(script.last_action().refused) << "it took effect";
    script.tell(sampled(running_job(3), GuestState::postcopy_failed));
    script.try_to_resume();
    EXPECT_EQ(script.count_last<order::Recover>(), 1U);
}

TEST(BrokenPostCopy, WhoseMemoryStillMovesNeedsNobody) {
    PostCopyScript script;
    script.policy.stays = false;
    JobStats stats = running_job(3);
    for (int i = 0; i < 30; ++i) {
        stats.memory_transferred = stats.memory_transferred + mebibytes(8);
        script.see(stats, GuestState::postcopy_failed);
        EXPECT_LE(script.policy.asked.back().standing_for, 1000_ms);
    }
    EXPECT_TRUE(script.policy.asked_to_stay.empty());
    EXPECT_FALSE(script.ended());
    script.tell(event::Lifecycle{Kind::migrated});
    script.tell(event::JobCompleted{completed_job()});
    script.tell(inspected(GuestState::absent));
    script.answer_there(GuestState::running);
    EXPECT_TRUE(script.succeeded());
}

TEST(BrokenPostCopy, IsLetGoByAPolicyThatDoesNotGuardIt) {  // FAIL-16
    PostCopyScript script;
    script.policy.stays = false;
    script.answer_there(GuestState::postcopy_failed);
    for (int i = 0; i < 30 && !script.ended(); ++i) script.see_broken();
    ASSERT_EQ(script.code(), ErrorCode::migration_failed);
    const Outcome& outcome = *script.session.outcome();
    EXPECT_EQ(outcome.cause, Cause::postcopy_failed);
    EXPECT_EQ(outcome.source, GuestState::postcopy_failed);
    EXPECT_EQ(outcome.destination, GuestState::postcopy_failed);
    EXPECT_EQ(script.count_all<order::Forget>(), 0U) << "the next plugin goes on with it";
    EXPECT_EQ(script.count_all<order::Restore>(), 0U);
    for (const char* every :
         {"failed in post-copy phase", "destroy it on neither",
          "virsh migrate --live --p2p --postcopy --postcopy-resume 6ba7b810-9dad-11d1-80b4-00c04fd430c8 "
          "qemu+tcp://there/system tcp://there"})
        EXPECT_NE(script.details().find(every), std::string::npos) << script.details();
}

TEST(BrokenPostCopy, IsNotResumedTowardsADaemonThatWouldCrash) {
    PostCopyScript script;
    script.try_to_resume(version(11, 3));
    EXPECT_EQ(script.count_all<order::Recover>(), 0U);
    EXPECT_EQ(script.session.outcome()->cause, Cause::postcopy_failed);
    EXPECT_NE(script.details().find("libvirt 11.3.0 at the destination would crash"), std::string::npos)
        << script.details();
}

TEST(BrokenPostCopy, RisksACrashOfADestinationOfUnknownVersionOnce) {
    PostCopyScript script;
    script.policy.next({resume});
    for (int i = 0; i < 30; ++i) script.see_broken();
    ASSERT_EQ(script.count_all<order::Recover>(), 1U);
    NativeError closed = native_error(native::internal_error, "client socket is closed");
    closed.domain = native::from_rpc;
    script.tell(event::RecoveryReturned{1, closed});
    ASSERT_TRUE(script.ended());
    EXPECT_NE(script.details().find("11.2 and 11.3"), std::string::npos) << script.details();
}

TEST(BrokenPostCopy, IsLostWithTheGuestAtTheDestination) {  // FAIL-17
    PostCopyScript script;
    script.see_broken();
    script.answer_there(GuestState::absent);
    EXPECT_FALSE(script.ended()) << "a guest that arrived and powered off is absent, too";
    for (int i = 0; i < 30 && !script.ended(); ++i) {
        script.see_broken();
        script.answer_there(GuestState::absent);
    }
    ASSERT_EQ(script.code(), ErrorCode::vm_disappeared);
    EXPECT_EQ(script.session.outcome()->cause, Cause::guest_lost);
    EXPECT_EQ(script.session.outcome()->source, GuestState::postcopy_failed);
    EXPECT_EQ(script.session.outcome()->destination, GuestState::absent);
}

TEST(BrokenPostCopy, WhoseGuestArrivedAndWentIsNoSuccess) {  // COMP-3
    PostCopyScript script;
    script.see_broken();
    script.answer_there(GuestState::absent);
    script.tell(event::Lifecycle{Kind::migrated});
    script.tell(event::JobCompleted{completed_job()});
    script.tell(inspected(GuestState::absent));
    script.answer_there(GuestState::absent);
    script.ticks_for(4000_ms);
    ASSERT_EQ(script.code(), ErrorCode::vm_disappeared);
    EXPECT_EQ(script.session.outcome()->cause, Cause::guest_gone)
        << "the source has nothing left of it, unlike a lost one";
    EXPECT_NE(script.details().find(there), std::string::npos) << script.details();
}

event::Connected connected_to_a_broken_postcopy(const Script& script) {
    event::Connected event = connected(GuestState::postcopy_failed);
    event.source.libvirt = version(9, 0);
    event.job = running_job(3);
    event.record = MigrationRecord{
        .plugin = "other",
        .uuid = event.guest.uuid,
        .started = script.now - event.job.elapsed,
        .destination_uri = there,
        .migration_uri = "tcp://there:49152",
        .request = MigrationRequest{.postcopy = true, .tls = true, .persist_destination = true},
    };
    return event;
}

TEST(BrokenPostCopy, OfAPluginThatWasKilledIsResumedAsThatOneStartedIt) {  // FAIL-11 FAIL-14
    Script script;
    script.policy.stays = true;
    script.tell(connected_to_a_broken_postcopy(script));
    EXPECT_EQ(script.phase(), Phase::postcopy_failed);
    script.policy.next({resume});
    script.tick();
    script.tell(sampled(running_job(3), GuestState::postcopy_failed));
    const auto orders = Script::only<order::Recover>(script.all);
    ASSERT_EQ(orders.size(), 1U);
    EXPECT_EQ(orders[0].destination_uri, there);
    EXPECT_EQ(orders[0].migration_uri, "tcp://there:49152");
    EXPECT_TRUE(orders[0].request.tls && orders[0].request.persist_destination);
}

TEST(BrokenPostCopy, OfSomebodyElseIsResumedAsThisPluginWouldStartIt) {  // FAIL-11
    Script script;
    script.policy.stays = true;
    script.policy.request.tls = true;
    event::Connected event = connected_to_a_broken_postcopy(script);
    event.record.reset();
    script.tell(event);
    script.policy.next({resume});
    script.tick();
    script.tell(sampled(running_job(3), GuestState::postcopy_failed));
    const auto orders = Script::only<order::Recover>(script.all);
    ASSERT_EQ(orders.size(), 1U);
    EXPECT_EQ(orders[0].migration_uri, "tcp://there");
    EXPECT_TRUE(orders[0].request.tls);
}

TEST(BrokenPostCopy, OfSomebodyElseIsToldWhereItIs) {  // FAIL-16
    Script script;
    script.tell(connected_to_a_broken_postcopy(script));
    for (int i = 0; i < 30 && !script.ended(); ++i) {
        script.tick();
        script.tell(sampled(running_job(3), GuestState::postcopy_failed));
    }
    EXPECT_EQ(script.code(), ErrorCode::migration_failed);
    EXPECT_NE(script.details().find("--postcopy-resume --tls --persistent"), std::string::npos) << script.details();
}

}  // namespace
}  // namespace vmmi::engine::test
