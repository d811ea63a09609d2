// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "vmmi/postcopy.h"

namespace vmmi {
namespace {

using std::chrono::duration;

constexpr double working_set = 64;  // MiB
constexpr double bandwidth = 48;    // MiB/s
constexpr Milliseconds a_pass{1'333};

Forecast over_the_link() {
    Forecast::Model model;
    model.bandwidth = bandwidth * 1024 * 1024;
    return Forecast(model);
}

/// What is dirty at a time, in MiB.
using Dirty = std::function<double(double seconds)>;

/// Of a guest that writes so fast to all of its working set in turns. `begins`: 0 at a low, 1 at the next one.
Dirty in_turns(double rate, double begins) {
    const double low = working_set * (1 - bandwidth / rate);
    const double rising = (working_set - low) / (rate - bandwidth);
    const double falling = (working_set - low) / bandwidth;
    return [=](double at) {
        const double within = std::fmod(at + begins * (rising + falling), rising + falling);
        return within < rising ? low + within * (rate - bandwidth) : working_set - (within - rising) * bandwidth;
    };
}

struct Found {
    Milliseconds after{0};
    double dirty = 0;
};

/// With a sample each time that one is asked for.
Found wait_for(LowMoment moment, const Dirty& dirty) {
    Sample sample;
    sample.elapsed = Milliseconds(5'000);
    const Milliseconds began = sample.elapsed;
    for (;;) {
        const double now = dirty(duration<double>(sample.elapsed - began).count());
        sample.dirty = Bytes{static_cast<std::uint64_t>(now * 1024 * 1024)};
        if (moment.has_come(sample)) return {sample.elapsed - began, now};
        EXPECT_GT(moment.interval(), Milliseconds(0));
        sample.elapsed += moment.interval();
    }
}

TEST(LowMoment, IsWhereTheGuestsTurnComesAgainWhereverItIsNow) {
    for (const double rate : {100.0, 150.0}) {
        const double low = working_set * (1 - bandwidth / rate);
        for (double begins = 0; begins < 1; begins += 0.05) {
            const Found found = wait_for(LowMoment(over_the_link()), in_turns(rate, begins));
            EXPECT_LT(found.dirty, low + 0.15 * working_set) << rate << " MiB/s, from " << begins;
            EXPECT_LE(found.after, a_pass + a_pass / 10) << rate << " MiB/s, from " << begins;
        }
    }
}

TEST(LowMoment, HasComeSoonWhereOneIsLikeAnother) {
    const auto noisy = [](double at) { return working_set - 2 * std::abs(std::sin(50 * at)); };
    const Found found = wait_for(LowMoment(over_the_link()), noisy);
    EXPECT_GE(found.after, a_pass / 5);
    EXPECT_LE(found.after, a_pass / 3);
}

TEST(LowMoment, IsAwaitedForAPassAtMost) {
    const Found falls = wait_for(LowMoment(over_the_link()), [](double at) { return working_set - 20 * at; });
    EXPECT_LE(falls.after, a_pass + a_pass / 10);
    const Found rises = wait_for(LowMoment(over_the_link()), [](double at) { return working_set + 20 * at; });
    EXPECT_LE(rises.after, 2 * a_pass);
}

TEST(LowMoment, HasComeAtOnceWhereNobodyTells) {
    LowMoment moment(over_the_link());
    EXPECT_TRUE(moment.has_come({}));
    LowMoment unknown_link{Forecast()};
    Sample sample;
    sample.dirty = mebibytes(64);
    EXPECT_TRUE(unknown_link.has_come(sample));
}

}  // namespace
}  // namespace vmmi
