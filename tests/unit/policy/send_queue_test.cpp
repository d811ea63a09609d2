// SPDX-License-Identifier: Apache-2.0
#include "vmmi/send_queue.h"

#include <gtest/gtest.h>

namespace vmmi {
namespace {

constexpr double link = 24.4;  // MiB/s; the queue is a pause of 102 ms there
constexpr Milliseconds tolerated{100};
constexpr BytesPerSecond half = mebibytes_per_second(12);

Bytes mebi(double count) {
    return {static_cast<std::uint64_t>(count * (1 << 20))};
}

/// A migration over that link: passes one after the other, looked at as often as it is asked for.
class Migration {
  public:
    explicit Migration(SendQueue& queue, double rate = link) : queue_(queue), rate_(rate) {}

    /// All caps that came into force in a pass that begins with so much, 0 where one ended.
    std::vector<BytesPerSecond> pass(double mebibytes) {
        std::vector<BytesPerSecond> caps;
        ++now_.iteration;
        left_ = mebibytes;
        for (;;) {
            now_.remaining = mebi(left_);
            now_.transferred = mebi(sent_);
            if (const std::optional<Action> action = queue_.decide(now_)) {
                left_when_it_acted_ = left_;
                speed_ = std::get<SetBandwidth>(action->what).limit;
                caps.push_back(speed_);
            }
            if (left_ == 0) return caps;
            const double speed = speed_.count == 0 ? rate_ : static_cast<double>(speed_.count) / (1 << 20);
            const double most = speed * static_cast<double>(queue_.next_sample_within().value_or(usual).count()) / 1000;
            const double moved = std::min(left_, std::max(most, speed / 20));
            left_ -= moved;
            sent_ += moved;
            now_.elapsed += Milliseconds(static_cast<std::int64_t>(1000 * moved / speed));
        }
    }

    double left_when_it_acted() const { return left_when_it_acted_; }

  private:
    static constexpr Milliseconds usual{200};

    SendQueue& queue_;
    double rate_;
    Sample now_ = [] {
        Sample sample;
        sample.phase = Phase::precopy;
        return sample;
    }();
    BytesPerSecond speed_{};
    double left_ = 0;
    double sent_ = 1;
    double left_when_it_acted_ = 0;
};

using Caps = std::vector<BytesPerSecond>;
constexpr BytesPerSecond none{};

TEST(SendQueue, IsGivenTimeToDrainAsTheSecondPassEnds) {
    SendQueue queue(tolerated, none);
    Migration migration(queue);
    EXPECT_EQ(migration.pass(224), Caps{});
    EXPECT_EQ(migration.pass(96), Caps{half});
    // 2.5 MiB drain at 12 MiB/s; at its usual speed the link takes twice as much in that time.
    EXPECT_NEAR(migration.left_when_it_acted(), 5, 1);
}

TEST(SendQueue, DrainsOnWhereShortPassesFollow) {
    SendQueue queue(tolerated, none);
    Migration migration(queue);
    migration.pass(224);
    ASSERT_EQ(migration.pass(96), Caps{half});
    for (int pass = 0; pass < 5; ++pass) EXPECT_EQ(migration.pass(1), Caps{});
}

TEST(SendQueue, IsLeftAloneForGoodWhereALongPassFollows) {
    SendQueue queue(tolerated, none);
    Migration migration(queue);
    migration.pass(224);
    ASSERT_EQ(migration.pass(96), Caps{half});
    EXPECT_EQ(migration.pass(96), Caps{none});
    EXPECT_GT(migration.left_when_it_acted(), 90);
    EXPECT_EQ(migration.pass(96), Caps{});
}

TEST(SendQueue, IsLeftAloneForGoodWhereShortPassesTakeTooLong) {
    SendQueue queue(tolerated, none);
    Migration migration(queue);
    migration.pass(224);
    ASSERT_EQ(migration.pass(96), Caps{half});
    Caps caps;
    for (int pass = 0; pass < 20; ++pass)
        for (const BytesPerSecond cap : migration.pass(2)) caps.push_back(cap);
    EXPECT_EQ(caps, Caps{none});
}

TEST(SendQueue, IsNoMatterWhereTheLinkEmptiesItWithinWhatIsTolerated) {
    SendQueue queue(tolerated, none);
    Migration migration(queue, 48.8);
    migration.pass(224);
    EXPECT_EQ(migration.pass(400), Caps{});
    SendQueue stricter(Milliseconds(20), none);
    Migration other(stricter, 48.8);
    other.pass(224);
    EXPECT_EQ(other.pass(400), Caps{mebibytes_per_second(24)});
}

TEST(SendQueue, IsNotThereInAShortPassNorUnderACapOfTheMigration) {
    SendQueue queue(tolerated, none);
    Migration migration(queue);
    migration.pass(224);
    EXPECT_EQ(migration.pass(12), Caps{});
    SendQueue capped(tolerated, mebibytes_per_second(25));
    Migration other(capped);
    other.pass(224);
    EXPECT_EQ(other.pass(96), Caps{});
}

TEST(SendQueue, GivesBackTheCapOfTheMigration) {
    SendQueue queue(tolerated, mebibytes_per_second(60));
    Migration migration(queue);
    migration.pass(224);
    ASSERT_EQ(migration.pass(96), Caps{half});
    EXPECT_EQ(migration.pass(96), Caps{mebibytes_per_second(60)});
}

TEST(SendQueue, SaysWhatItIsFor) {
    SendQueue queue(tolerated, none);
    Sample sample;
    sample.phase = Phase::precopy;
    sample.iteration = 2;
    sample.remaining = mebi(40);
    sample.transferred = mebi(100);
    EXPECT_EQ(queue.decide(sample), std::nullopt);
    sample.elapsed = Milliseconds(1'500);
    sample.remaining = mebi(4);
    sample.transferred = mebi(136);
    const std::optional<Action> action = queue.decide(sample);
    ASSERT_TRUE(action);
    EXPECT_EQ(action->reason,
              "pass 2 ends in 167 ms; what TCP has accepted ahead of the link, 24.0 MiB/s, would be some 104 ms of the "
              "pause");
}

}  // namespace
}  // namespace vmmi
