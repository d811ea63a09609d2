// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "vmmi/postcopy.h"

namespace vmmi {
namespace {

using std::chrono::seconds;

/// A post-copy as the guardian sees it, a look a second.
class Watched {
  public:
    explicit Watched(Guardian::Options options = {}) : guardian(options) {
        now.phase = Phase::postcopy;
        now.elapsed = seconds(60);
        now.transferred = mebibytes(1000);
        now.remaining = mebibytes(500);
    }

    /// Time passes; memory moves in it, or stands still.
    std::vector<Action> look(bool moves, Milliseconds time = seconds(1)) {
        now.elapsed += time;
        now.standing_for = moves ? Milliseconds(0) : now.standing_for + time;
        if (moves) now.transferred = now.transferred + mebibytes(10);
        return guardian.decide(now);
    }
    void phase(Phase next) {
        now.phase = next;
        now.standing_for = Milliseconds(0);
    }
    /// When it tried within that time, in seconds since it began to look.
    std::vector<std::int64_t> tries_within(seconds time) {
        std::vector<std::int64_t> tries;
        const Milliseconds began = now.elapsed;
        while (now.elapsed < began + time) {
            for (const Action& action : look(false))
                if (std::holds_alternative<ResumePostCopy>(action.what))
                    tries.push_back((now.elapsed - began).count() / 1000);
        }
        return tries;
    }

    Guardian guardian;
    Sample now;
};

TEST(Guardian, SaysNothingWhileMemoryMoves) {
    Watched watched;
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(watched.look(true).empty());
}

TEST(Guardian, TellsAStandstillOnceAndItsEnd) {
    Watched watched;
    std::vector<std::string> told;
    const auto look = [&](bool moves) {
        for (const Action& action : watched.look(moves)) {
            EXPECT_TRUE(std::holds_alternative<Wait>(action.what));
            told.push_back(action.reason);
        }
    };
    for (int i = 0; i < 20; ++i) look(false);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_NE(told[0].find("500 MiB are left"), std::string::npos) << told[0];
    for (int i = 0; i < 5; ++i) look(true);
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[1], "memory moves again after 20 s");
}

TEST(Guardian, ResumesAtOnceAndThenWithEverLongerWaits) {
    Watched watched({.longest_wait = seconds(10)});
    watched.phase(Phase::postcopy_failed);
    EXPECT_EQ(watched.tries_within(seconds(60)), (std::vector<std::int64_t>{1, 2, 4, 8, 16, 26, 36, 46, 56}));
}

TEST(Guardian, WaitsFromTheAnswerOnNotFromTheTry) {
    Watched watched;
    watched.phase(Phase::postcopy_failed);
    ASSERT_EQ(watched.look(false).size(), 1U);
    watched.now.resuming = true;
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(watched.look(false).empty());
    watched.now.resuming = false;
    EXPECT_EQ(watched.tries_within(seconds(3)), (std::vector<std::int64_t>{1, 3}));
}

TEST(Guardian, LeavesMemoryAloneThatMovesAlthoughLibvirtSaysFailed) {
    Watched watched;
    watched.phase(Phase::postcopy_failed);
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(watched.look(true).empty());
    EXPECT_TRUE(watched.look(false, Milliseconds(200)).empty()) << "between two looks it may have stood still";
    EXPECT_EQ(watched.look(false, Milliseconds(200)).size(), 1U);
}

TEST(Guardian, GivesLibvirtTimeToEndAMigrationWhoseMemoryHasArrived) {
    Watched watched;
    watched.now.remaining = Bytes{4096};
    watched.phase(Phase::postcopy_failed);
    EXPECT_TRUE(watched.tries_within(seconds(4)).empty());
    EXPECT_FALSE(watched.tries_within(seconds(4)).empty()) << "it does not";
}

TEST(Guardian, CountsTriesAnewOnceMemoryMoved) {
    Watched watched;
    watched.phase(Phase::postcopy_failed);
    EXPECT_EQ(watched.tries_within(seconds(10)).size(), 4U);
    watched.phase(Phase::postcopy);
    watched.look(true);
    watched.phase(Phase::postcopy_failed);
    EXPECT_EQ(watched.tries_within(seconds(3)), (std::vector<std::int64_t>{1, 2}));
}

TEST(Guardian, DoesNotTakeAConnectionThatMovedNothingForARecovery) {
    Watched watched;
    watched.phase(Phase::postcopy_failed);
    watched.tries_within(seconds(10));
    watched.phase(Phase::postcopy);
    watched.look(false);
    watched.phase(Phase::postcopy_failed);
    const std::vector<Action> next = watched.look(false);
    ASSERT_EQ(next.size(), 1U);
    EXPECT_NE(next[0].reason.find("try 5"), std::string::npos) << next[0].reason;
}

TEST(Guardian, GivesUpAfterItsPatienceAndSaysSo) {
    Watched watched({.patience = seconds(30)});
    watched.phase(Phase::postcopy_failed);
    watched.tries_within(seconds(30));
    EXPECT_FALSE(watched.guardian.gave_up());
    const std::vector<Action> last = watched.look(false);
    ASSERT_EQ(last.size(), 1U);
    EXPECT_EQ(last[0].reason, "gave up after 30 s and 5 tries to resume");
    EXPECT_TRUE(watched.guardian.gave_up());
    EXPECT_TRUE(watched.look(false).empty());
}

TEST(Guardian, HearsTheLastTryOutBeforeItGivesUp) {
    Watched watched({.patience = seconds(30)});
    watched.phase(Phase::postcopy_failed);
    watched.tries_within(seconds(29));
    watched.now.resuming = true;
    EXPECT_TRUE(watched.look(false, seconds(3)).empty());
    EXPECT_FALSE(watched.guardian.gave_up());
    watched.now.resuming = false;
    watched.phase(Phase::postcopy);
    EXPECT_TRUE(watched.look(true).empty()) << "it succeeded";
    EXPECT_FALSE(watched.guardian.gave_up());
}

TEST(Guardian, NeverGivesUpWithoutALimit) {
    Watched watched({.patience = seconds(0), .longest_wait = seconds(3600)});
    watched.phase(Phase::postcopy_failed);
    EXPECT_GT(watched.tries_within(std::chrono::hours(48)).size(), 50U);
    EXPECT_FALSE(watched.guardian.gave_up());
}

}  // namespace
}  // namespace vmmi
