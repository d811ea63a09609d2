// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "app/progress_bar.h"

namespace vmmi::app {
namespace {

Status status(int percent) {
    Status status;
    status.phase = Phase::precopy;
    status.progress_percent = percent;
    return status;
}

TEST(ProgressLine, ShowsThePercentageAsABar) {
    EXPECT_EQ(progress_line(status(0), 80), "[........................................]   0%  precopy");
    EXPECT_EQ(progress_line(status(50), 80), "[####################....................]  50%  precopy");
    EXPECT_EQ(progress_line(status(100), 80), "[########################################] 100%  precopy");
}

TEST(ProgressLine, ShowsWhatIsKnown) {
    Status full = status(42);
    full.iteration = 3;
    full.total = mebibytes(1024);
    full.remaining = mebibytes(100);
    full.bandwidth = mebibytes_per_second(110);
    full.dirty_rate = mebibytes_per_second(90);
    full.downtime_limit = Milliseconds(150);
    full.throttle_percent = 20;
    full.eta = Eta{Milliseconds(8001), Milliseconds(7000), Milliseconds(12'000)};
    const std::string line = progress_line(full, 200);
    EXPECT_NE(line.find(" 42%  precopy  pass 3  100 MiB left  110 MiB/s  dirty 90 MiB/s  limit 150 ms  throttle 20%"
                        "  ETA 9 s (7 to 12)"),
              std::string::npos)
        << line;
    full.eta->latest.reset();
    EXPECT_NE(progress_line(full, 200).find("  ETA 9 s (7 to ?)"), std::string::npos) << "it may never end";
}

TEST(ProgressLine, NeverWrapsAtTheTerminalsEdge) {
    for (int percent = 0; percent <= 100; percent += 25) {
        for (int width = 0; width < 150; ++width) {
            const std::string line = progress_line(status(percent), width);
            EXPECT_LE(line.size(), static_cast<std::size_t>(std::max(0, width - 1))) << width;
        }
    }
    EXPECT_EQ(progress_line(status(7), 20), "  7%  precopy") << "too narrow for a bar";
    EXPECT_EQ(progress_line(status(7), 6), "  7% ");
    EXPECT_EQ(progress_line(status(7), -3), "");
}

}  // namespace
}  // namespace vmmi::app
