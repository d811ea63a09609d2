// SPDX-License-Identifier: Apache-2.0
// What a migration costs the guest, as the session counts it.
#include <gtest/gtest.h>

#include "engine/script.h"

namespace vmmi::engine::test {
namespace {

using Kind = event::Lifecycle::Kind;

WorkLost lost(const Script& script) {
    return script.session.status(script.now).work_lost;
}

JobStats throttled(int percent) {
    JobStats stats = running_job(3);
    stats.throttle_percent = percent;
    return stats;
}

TEST(WorkLost, IsNothingWhileTheGuestRunsFreely) {
    Script script;
    script.run();
    script.pass(10'000_ms);
    script.tell(sampled());
    EXPECT_EQ(lost(script), WorkLost{});
}

TEST(WorkLost, CountsTheThrottledShareOfTheTime) {
    Script script;
    script.run();
    script.tell(sampled(throttled(40)));
    script.pass(2'000_ms);
    script.tell(sampled(throttled(80)));
    script.pass(1'000_ms);
    script.tell(sampled(throttled(80)));
    EXPECT_EQ(lost(script).throttle, 1'600_ms);
}

TEST(WorkLost, CountsNoThrottleAfterAnAbort) {
    Script script;
    script.run();
    script.tell(sampled(throttled(50)));
    script.pass(1'000_ms);
    script.tell(event::AbortRequested{"SIGINT"});
    script.pass(2'000_ms);
    script.fail_with(GuestState::running, native_error(native::operation_aborted));
    script.ticks_for(15'000_ms);
    ASSERT_TRUE(script.ended());
    EXPECT_EQ(script.session.outcome()->work_lost, (WorkLost{.throttle = 500_ms}));
}

TEST(WorkLost, CountsAPauseThatWasUndone) {
    Script script;
    script.run();
    script.tell(event::Lifecycle{Kind::paused_for_switchover});
    script.pass(700_ms);
    EXPECT_EQ(lost(script).pause, 0_ms) << "told when the next event comes";
    script.tell(event::Lifecycle{Kind::resumed});
    EXPECT_EQ(lost(script).pause, 700_ms);
    script.pass(5'000_ms);
    script.tell(sampled());
    EXPECT_EQ(lost(script).pause, 700_ms);
}

TEST(WorkLost, HasTheMeasuredPauseAfterASuccess) {
    Script script;
    script.run();
    script.tell(event::Lifecycle{Kind::paused_for_switchover});
    script.pass(1'500_ms);
    script.succeed();
    ASSERT_TRUE(script.succeeded());
    EXPECT_EQ(script.session.outcome()->work_lost.pause, *completed_job().downtime);
}

TEST(WorkLost, CountsPostCopyByWhatIsMissing) {
    Script script;
    script.policy.request.postcopy = true;
    script.run();
    script.tell(event::Lifecycle{Kind::postcopy_began});
    script.tell(sampled(running_job(3), GuestState::postcopy));
    script.pass(1'000_ms);
    script.tell(sampled(running_job(3), GuestState::postcopy));
    EXPECT_EQ(lost(script).postcopy, 1'000_ms) << "all of it was missing";
}

TEST(WorkLost, IsNothingOfAGuestThatAUserPaused) {
    Script script;
    event::Connected event = connected(GuestState::paused);
    event.guest.paused = true;
    script.tell(event);
    script.tick();
    script.tell(sampled(throttled(50), GuestState::paused));
    script.pass(1'000_ms);
    script.tell(sampled(throttled(50), GuestState::paused));
    EXPECT_EQ(lost(script), WorkLost{});
}

}  // namespace
}  // namespace vmmi::engine::test
