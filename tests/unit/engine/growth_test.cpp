// SPDX-License-Identifier: Apache-2.0
// An hour of supervision by a virtual clock: nothing grows.
#include <gtest/gtest.h>
#include <malloc.h>

#include "engine/script.h"
#include "message/messages.h"
#include "precopy.h"

namespace vmmi::engine::test {
namespace {

/// Bytes on the heap that are in use. Always the same where a sanitizer keeps the heap: then the test shows nothing.
std::size_t in_use() {
    return ::mallinfo2().uordblks;
}

precopy::Precopy::Options without_end() {
    precopy::Precopy::Options options;
    options.ceiling = MemoryCeiling(150, MemoryCeiling::Reaction::keep_going);
    return options;
}

struct Supervision {
    TimePoint now{std::chrono::hours(1000)};
    precopy::Precopy policy{without_end()};
    Session session{policy, {.policy_name = "precopy", .migration_uri = "tcp://b", .sample_interval = 1000_ms}};
    int iteration = 1;

    void tell(const Event& event) {
        for (const Order& order : session.handle(event, now)) {
            if (const auto* apply = std::get_if<order::Apply>(&order))
                static_cast<void>(session.handle(event::ActionAnswered{apply->index, std::nullopt}, now));
        }
    }
    void start() {
        static_cast<void>(session.begin(now));
        tell(connected());
    }
    /// A guest that never converges, with a pass every three seconds and a status for every sample.
    void supervise(std::chrono::seconds time) {
        for (auto second = std::chrono::seconds(0); second < time; ++second) {
            now += std::chrono::seconds(1);
            tell(event::Tick{});
            if (second.count() % 3 == 0) tell(event::IterationBegan{++iteration});
            JobStats stats = running_job(iteration);
            stats.memory_remaining = mebibytes(900);
            stats.dirty_rate = mebibytes_per_second(300);
            tell(sampled(stats));
            static_cast<void>(message::status_message(session.status(now), 0));
        }
    }
};

TEST(Growth, AnHourOfSupervisionTakesNoMoreMemoryThanFiveMinutes) {
    Supervision supervision;
    supervision.start();
    supervision.supervise(std::chrono::minutes(5));
    const std::size_t before = in_use();
    supervision.supervise(std::chrono::minutes(55));
    constexpr std::size_t noise = 1024;
    EXPECT_LE(in_use(), before + noise);
    EXPECT_FALSE(supervision.session.outcome());
    EXPECT_GT(supervision.session.status(supervision.now).iteration, 1000);
}

}  // namespace
}  // namespace vmmi::engine::test
