// SPDX-License-Identifier: Apache-2.0
#include "engine/progress.h"

#include <algorithm>

namespace vmmi::engine {

void Progress::update(const JobStats& stats) {
    if (stats.memory_total.count == 0) return;  // QEMU has not begun

    // Zero pages cost no traffic: the first pass is measured by what is left, the later ones by what was sent.
    const bool first_pass = stats.iteration <= 1;
    const auto total = static_cast<double>(stats.memory_total.count);
    const auto remaining = static_cast<double>(stats.memory_remaining.count);
    double done = 0;
    if (first_pass) {
        transferred_in_first_pass_ = stats.memory_transferred;
        done = static_cast<double>((stats.memory_total - stats.memory_remaining).count);
    } else {
        done = total + static_cast<double>((stats.memory_transferred - transferred_in_first_pass_).count);
    }

    constexpr double diverging = 0.9;
    const auto bandwidth = static_cast<double>(stats.bandwidth.count);
    const double dirtied = bandwidth > 0 ? static_cast<double>(stats.dirty_rate.count) / bandwidth : 1.0;
    double left = remaining / (1.0 - std::min(dirtied, diverging));
    // How busy the guest is shows only after the first pass: until then, keep a share back for the later ones.
    if (first_pass) left = remaining + total / 4;

    const int percent = static_cast<int>(100.0 * done / (done + left));
    percent_ = std::max(percent_, std::clamp(percent, 0, 99));

    eta_.reset();
    if (bandwidth <= 0 || (dirtied >= diverging && !first_pass)) return;
    constexpr double longest = 1e15;  // milliseconds: absurd numbers stay numbers
    eta_ = Milliseconds(
        static_cast<std::int64_t>(std::min(longest, 1000.0 * (first_pass ? remaining : left) / bandwidth)));
}

}  // namespace vmmi::engine
