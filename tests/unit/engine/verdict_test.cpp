// SPDX-License-Identifier: Apache-2.0
#include "engine/verdict.h"

#include <gtest/gtest.h>

#include "engine/script.h"

namespace vmmi::engine::test {
namespace {

using Kind = event::Lifecycle::Kind;

event::MigrateReturned call(std::optional<int> error_code) {
    if (!error_code) return {};
    return {native_error(*error_code)};
}

Evidence evidence(std::optional<int> error_code, GuestState state, bool job_active = false) {
    Evidence evidence;
    evidence.call = call(error_code);
    evidence.source = inspected(state, job_active);
    return evidence;
}

constexpr std::optional<int> success = std::nullopt;
constexpr int failure = 38;

TEST(Verdict, CompletedStatisticsOutweighEverythingElse) {  // COMP-5
    Evidence all = evidence(failure, GuestState::running);
    all.completed = completed_job();
    all.stopped = Kind::destroyed;
    all.abort_requested = true;
    EXPECT_EQ(decide(all), Verdict::completed);
}

TEST(Verdict, StoppedAsMigratedIsCompleted) {
    Evidence stopped = evidence(failure, GuestState::running);
    stopped.stopped = Kind::migrated;
    EXPECT_EQ(decide(stopped), Verdict::completed);
    EXPECT_EQ(decide(evidence(failure, GuestState::shut_off_migrated)), Verdict::completed);
}

TEST(Verdict, AGuestThatStoppedHasDisappearedWhateverTheCallSaid) {
    for (const Kind kind : {Kind::powered_off, Kind::destroyed, Kind::crashed}) {
        for (const std::optional<int> code : {success, std::optional(failure)}) {
            Evidence stopped = evidence(code, GuestState::absent);
            stopped.stopped = kind;
            EXPECT_EQ(decide(stopped), Verdict::vm_disappeared);
        }
    }
}

struct Row {
    std::optional<int> call_error;
    GuestState state;
    bool job_active;
    bool abort_requested;
    Verdict expected;
};

TEST(Verdict, FollowsItsTable) {  // COMP-5
    using State = GuestState;
    const std::vector<Row> rows{
        {success, State::absent, false, false, Verdict::completed},
        {failure, State::absent, false, false, Verdict::vm_disappeared},
        {failure, State::absent, false, true, Verdict::vm_disappeared},
        {failure, State::shut_off, false, false, Verdict::vm_disappeared},
        {success, State::shut_off, false, false, Verdict::undecided},
        {failure, State::running, false, true, Verdict::aborted},
        {failure, State::paused, false, true, Verdict::aborted},
        {native::operation_aborted, State::running, false, false, Verdict::aborted},
        {native::operation_aborted, State::paused, false, false, Verdict::aborted},
        {failure, State::running, false, false, Verdict::failed},
        {failure, State::paused, false, false, Verdict::failed},
        {failure, State::running, true, false, Verdict::undecided},
        {failure, State::running, true, true, Verdict::undecided},
        {success, State::running, false, false, Verdict::undecided},
        {success, State::paused, false, true, Verdict::undecided},
        {failure, State::paused_for_migration, false, false, Verdict::undecided},
        {failure, State::postcopy, false, true, Verdict::undecided},
        {failure, State::postcopy_failed, false, false, Verdict::undecided},
        {failure, State::unknown, false, false, Verdict::undecided},
    };
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const Row& row = rows[i];
        Evidence given = evidence(row.call_error, row.state, row.job_active);
        given.abort_requested = row.abort_requested;
        EXPECT_EQ(decide(given), row.expected) << "row " << i << ": guest " << to_string(row.state);
    }
}

TEST(Verdict, IsUndecidedWithoutTheCallOrWithoutALook) {
    EXPECT_EQ(decide({}), Verdict::undecided);
    Evidence only_call;
    only_call.call = call(failure);
    EXPECT_EQ(decide(only_call), Verdict::undecided);
    Evidence only_source;
    only_source.source = inspected(GuestState::absent);
    EXPECT_EQ(decide(only_source), Verdict::undecided);
}

}  // namespace
}  // namespace vmmi::engine::test
