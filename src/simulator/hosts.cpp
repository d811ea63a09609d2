// SPDX-License-Identifier: Apache-2.0
// What libvirt shows of the two hosts.
#include "simulator/libvirt.h"

namespace vmmi::simulator {

GuestState Libvirt::source() const {
    if (source_after_) return *source_after_;
    const GuestState at_rest = scenario_.guest.paused ? GuestState::paused : GuestState::running;
    if (!qemu_ || qemu_->guest_runs_here() || scenario_.guest.paused) return at_rest;
    switch (qemu_->stage()) {
        case Stage::postcopy:
            return GuestState::postcopy;
        case Stage::postcopy_paused:
            return GuestState::postcopy_failed;
        case Stage::failed:
        case Stage::cancelled:
            return at_rest;
        default:
            return GuestState::paused_for_migration;
    }
}

GuestState Libvirt::destination() const {
    if (destination_after_) return *destination_after_;
    if (!qemu_ || qemu_->stage() == Stage::setup || lost_at_destination_) return GuestState::absent;
    const Stage stage = qemu_->stage();
    if (stage == Stage::failed || stage == Stage::cancelled) return GuestState::absent;
    if (stage == Stage::completed) return scenario_.guest.paused ? GuestState::paused : GuestState::running;
    if (stage == Stage::postcopy) return GuestState::postcopy;
    if (stage == Stage::postcopy_paused) return GuestState::postcopy_failed;
    return GuestState::paused_for_migration;
}

JobStats Libvirt::job() const {
    if (!job_runs()) return {};
    JobStats stats = qemu_->statistics();
    stats.operation = JobStats::Operation::outgoing_migration;
    stats.type = JobStats::Type::active;
    if (qemu_->stage() == Stage::failed) stats.type = JobStats::Type::failed;
    if (qemu_->stage() == Stage::cancelled) stats.type = JobStats::Type::cancelled;
    return stats;
}

event::Connected Libvirt::connected() const {
    event::Connected connected;
    static_cast<GuestFacts&>(connected) = {.guest = scenario_.guest, .state = source(), .job = job()};
    if (qemu_) connected.downtime_limit = qemu_->downtime_limit();
    return connected;
}

event::Inspected Libvirt::inspected() const {
    return {.state = source(),
            .job_active = job_runs(),
            .completed = completed_,
            .job = job(),
            .uuid = scenario_.guest.uuid};
}

}  // namespace vmmi::simulator
