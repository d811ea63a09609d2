// SPDX-License-Identifier: Apache-2.0
#include "vmmi/explain.h"

#include <gtest/gtest.h>

namespace vmmi {
namespace {

/// A plateau of 1.12 s at 410 Mb/s, 50 ms of which are fixed.
Forecast busy() {
    Forecast::Model model;
    model.basis = Forecast::Basis::model;
    model.bandwidth = 410e6 / 8;
    model.working_set = 60e6;
    model.dirty_rate = 136e6;
    model.remaining = model.to_move = 56e6;
    model.fixed_part = 0.05;
    model.confidence = 0.9;
    return Forecast(model);
}

TEST(Explain, OffersWhatWouldSuffice) {
    const Forecast forecast = busy();
    const std::string text = explain(forecast, Milliseconds(300), forecast.alternatives(Milliseconds(300)));
    EXPECT_EQ(
        text,
        "cannot meet 300 ms: plateau 1.12 s at 410 Mb/s; feasible with 1.2 s, 840 Mb/s, 60 % throttle, or post-copy "
        "of 1.2 s (confidence 77 %)");
}

TEST(Explain, LeavesOutWhatThePolicyForbids) {
    const Forecast forecast = busy();
    Alternatives allowed = forecast.alternatives(Milliseconds(300));
    allowed.limit.reset();
    allowed.postcopy.reset();
    const std::string two = explain(forecast, Milliseconds(300), allowed);
    EXPECT_NE(two.find("feasible with 840 Mb/s or 60 % throttle"), std::string::npos) << two;
    const std::string none = explain(forecast, Milliseconds(300), Alternatives{});
    EXPECT_NE(none.find("nothing that is allowed would do"), std::string::npos) << none;
}

TEST(Explain, SaysThatNoMemoryFitsBesideTheFixedPart) {
    EXPECT_NE(explain(busy(), Milliseconds(40), {}).find("cannot meet 40 ms: the switchover alone takes 50 ms"),
              std::string::npos);
}

TEST(Explain, SaysWhenALimitIsMet) {
    EXPECT_EQ(explain(busy(), Milliseconds(1'500), {}).find("meets 1.5 s with this pass, in 1.14 s ("), 0U)
        << explain(busy(), Milliseconds(1'500), {});
}

TEST(Explain, SaysThatTheFirstPassTellsNothing) {
    EXPECT_EQ(explain(Forecast(), Milliseconds(300), {}),
              "whether 300 ms can be met is not known before the second pass");
}

TEST(Explain, SaysThatTheLoadChanges) {
    Forecast::Model model = busy().model();
    model.basis = Forecast::Basis::window_minimum;
    EXPECT_NE(explain(Forecast(model), Milliseconds(300), {}).find("the load changes, the quietest pass counts"),
              std::string::npos);
}

TEST(Explain, NamesTheStallAndTheLink) {
    StallRule stall;
    stall.boundary(mebibytes(815), Milliseconds(0));
    stall.boundary(mebibytes(900), Milliseconds(41'000));
    EXPECT_EQ(explain(stall), "no pass began below 96 % of 815 MiB for 41 s");
    EXPECT_EQ(explain(NetworkHealth()), "link healthy: 0 kb/s of 0 kb/s");
}

TEST(InWords, HasThreeDigitsAndAUnitThatFits) {
    EXPECT_EQ(in_words(Milliseconds(0)), "0 ms");
    EXPECT_EQ(in_words(Milliseconds(300)), "300 ms");
    EXPECT_EQ(in_words(Milliseconds(1'134)), "1.13 s");
    EXPECT_EQ(in_words(Milliseconds(1'200)), "1.2 s");
    EXPECT_EQ(in_words(Milliseconds(95'400)), "95.4 s");
    EXPECT_EQ(in_words(Milliseconds(720'000)), "12 min");
    EXPECT_EQ(in_words(Milliseconds(36'000'000)), "10 h");
    EXPECT_EQ(in_words(Milliseconds(-5)), "0 ms");
    EXPECT_EQ(in_words(BytesPerSecond{51'250'000}), "410 Mb/s");
    EXPECT_EQ(in_words(BytesPerSecond{187'500'000}), "1.5 Gb/s");
    EXPECT_EQ(in_words(BytesPerSecond{124'999'999}), "1 Gb/s");
    EXPECT_EQ(in_words(mebibytes(815)), "815 MiB");
    EXPECT_EQ(in_words(mebibytes(1'229)), "1.2 GiB");
}

}  // namespace
}  // namespace vmmi
