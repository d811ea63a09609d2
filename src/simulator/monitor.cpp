// SPDX-License-Identifier: Apache-2.0
// QEMU's monitor: what libvirt and the world ask of it, and what it tells.
#include <algorithm>
#include <utility>

#include "simulator/qemu.h"

namespace vmmi::simulator {
namespace {

Bytes whole_bytes(double amount) {
    return {static_cast<std::uint64_t>(std::llround(amount))};
}

}  // namespace

void Qemu::set_downtime_limit(Milliseconds limit) {
    limit_ = limit;
    highest_limit_ = std::max(highest_limit_, limit);
}

void Qemu::set_bandwidth(BytesPerSecond cap) {
    // libvirt takes whole MiB/s.
    const double whole = cap.count == 0 ? 0 : static_cast<double>(std::max<std::uint64_t>(1, cap.count >> 20) << 20);
    (stage_ == Stage::postcopy || stage_ == Stage::postcopy_paused ? postcopy_cap_ : cap_) = whole;
}

bool Qemu::recover() {
    if (stage_ != Stage::postcopy_paused || wire_.bandwidth(now_) <= 0) return false;
    enter(Stage::postcopy, Happening::postcopy_began);
    return true;
}

void Qemu::suspend() {
    if (stage_ != Stage::precopy || !std::exchange(live_, false)) return;
    pause();
}

void Qemu::cancel() {
    if (stage_ == Stage::switchover)
        cancel_wanted_ = true;
    else
        enter(Stage::cancelled, Happening::cancelled);
}

void Qemu::break_stream() {
    if (stage_ == Stage::postcopy)
        enter(Stage::postcopy_paused, Happening::postcopy_failed);
    else if (stage_ < Stage::postcopy)
        enter(Stage::failed, Happening::failed);
}

void Qemu::die() {
    if (stage_ < Stage::completed) enter(Stage::failed, Happening::failed);
}

JobStats Qemu::statistics() const {
    JobStats stats;
    stats.elapsed = whole_milliseconds(now_);
    if (stage_ == Stage::setup) return stats;
    stats.downtime = stage_ == Stage::completed ? whole_milliseconds(downtime_)
                                                : Milliseconds(std::llround(1000 * expected_downtime_));
    stats.setup_time = Milliseconds(1);
    stats.memory_total = scenario_.guest.memory;
    stats.memory_remaining = whole_bytes(memory_.unsent());
    stats.memory_transferred = stats.data_transferred = whole_bytes(transferred_);
    stats.memory_sent = whole_bytes(memory_sent_);
    stats.bandwidth = {whole_bytes(bandwidth_).count};
    stats.dirty_rate = {whole_bytes(dirty_rate_).count};
    stats.iteration = syncs_;
    stats.postcopy_requests = static_cast<std::uint64_t>(requested_ / page_size);
    if (throttle_.percent() > 0 && stage_ != Stage::completed) stats.throttle_percent = throttle_.percent();
    return stats;
}

bool Qemu::guest_runs_here() const {
    return !idle_ && (stage_ == Stage::setup || (stage_ == Stage::precopy && live_));
}

WorkLost Qemu::work_lost() const {
    const auto milliseconds = [](double time) { return Milliseconds(std::llround(1000 * time)); };
    return {milliseconds(throttled_), milliseconds(paused_), milliseconds(stalled_)};
}

}  // namespace vmmi::simulator
