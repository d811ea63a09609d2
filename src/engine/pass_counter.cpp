// SPDX-License-Identifier: Apache-2.0
#include "engine/pass_counter.h"

#include <algorithm>

namespace vmmi::engine {

JobStats PassCounter::of(JobStats stats) {
    // Without the one there is no pass yet, without the other no telling.
    if (stats.memory_total.count == 0 || stats.memory_sent.count == 0) return stats;
    if (to_move_.count == 0) to_move_ = stats.memory_total;
    const Bytes sent = stats.memory_sent - sent_;
    if (stats.iteration > looks_) {
        // What is left over where a pass ends fits the downtime limit: seldom half of it.
        if (!by_amount_ && sent.count < to_move_.count / 2) by_amount_ = true;
        if (!by_amount_) {
            pass_ += stats.iteration - looks_;
            begin(stats);
        }
        looks_ = stats.iteration;
    }
    if (!by_amount_) return stats;
    if (sent >= to_move_) {
        ++pass_;
        begin(stats);
    }
    stats.iteration = pass_;
    stats.memory_remaining = to_move_ - (stats.memory_sent - sent_);
    return stats;
}

void PassCounter::begin(const JobStats& stats) {
    constexpr Bytes page{4096};
    to_move_ = std::max(stats.memory_remaining, page);
    sent_ = stats.memory_sent;
}

}  // namespace vmmi::engine
