// SPDX-License-Identifier: Apache-2.0
#include "statistics.h"

#include <algorithm>

namespace fake {
namespace {

constexpr std::uint64_t page = 4096;

class List {
  public:
    explicit List(Statistics& into) : into_(into) {}
    void number(const char* name, std::uint64_t value) {
        virTypedParamsAddULLong(&into_.list, &into_.count, &capacity_, name, value);
    }
    void integer(const char* name, int value) {
        virTypedParamsAddInt(&into_.list, &into_.count, &capacity_, name, value);
    }
    void memory(std::uint64_t total, std::uint64_t processed, std::uint64_t remaining) {
        number(VIR_DOMAIN_JOB_DATA_TOTAL, total);
        number(VIR_DOMAIN_JOB_DATA_PROCESSED, processed);
        number(VIR_DOMAIN_JOB_DATA_REMAINING, remaining);
        number(VIR_DOMAIN_JOB_MEMORY_TOTAL, total);
        number(VIR_DOMAIN_JOB_MEMORY_PROCESSED, processed);
        number(VIR_DOMAIN_JOB_MEMORY_REMAINING, remaining);
        number(VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE, page);
    }

  private:
    Statistics& into_;
    int capacity_ = 0;
};

std::uint64_t whole_milliseconds(Time duration) {
    return static_cast<std::uint64_t>(std::max<Time>(0, duration)) / 1'000'000;
}

/// Passes of an endless migration are all like the last one.
const Pass& pass_of(const Migration& migration, int number) {
    const auto index = static_cast<std::size_t>(std::max(1, number)) - 1;
    return migration.passes[std::min(index, migration.passes.size() - 1)];
}

/// Passes up to some time: how many, and what was sent in them.
struct Progress {
    int passes = 0;
    std::uint64_t processed = 0;
    std::uint64_t remaining = 0;
};

Progress progress_at(const Migration& migration, const Timeline& timeline, Time now) {
    Progress progress;
    for (const Segment& segment : timeline.segments()) {
        if (segment.phase != Phase::pass || segment.begin > now) continue;
        const Pass& pass = pass_of(migration, segment.pass);
        const Time whole = std::max<Time>(1, milliseconds(pass.ms));
        const Time part = std::min(whole, std::min(now, segment.end) - segment.begin);
        const auto sent = static_cast<std::uint64_t>(static_cast<double>(pass.bytes) * static_cast<double>(part) /
                                                     static_cast<double>(whole));
        progress = {segment.pass, progress.processed + sent, pass.bytes - sent};
    }
    return progress;
}

}  // namespace

Statistics running_statistics(const Guest& guest, const Facts& facts, const Timeline& timeline, Time now) {
    Statistics statistics;
    if (!timeline.job_active(now)) {
        if (!guest.backup) return statistics;
        statistics.type = VIR_DOMAIN_JOB_UNBOUNDED;
        List(statistics).integer(VIR_DOMAIN_JOB_OPERATION, VIR_DOMAIN_JOB_OPERATION_BACKUP);
        return statistics;
    }
    const Phase phase = timeline.at(now).phase;
    statistics.type = VIR_DOMAIN_JOB_UNBOUNDED;
    if (phase == Phase::failing)
        statistics.type = timeline.end() == End::aborted ? VIR_DOMAIN_JOB_CANCELLED : VIR_DOMAIN_JOB_FAILED;
    List list(statistics);
    list.integer(VIR_DOMAIN_JOB_OPERATION, guest.migration.operation == "save"
                                               ? VIR_DOMAIN_JOB_OPERATION_SAVE
                                               : VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT);
    list.number(VIR_DOMAIN_JOB_TIME_ELAPSED, whole_milliseconds(now - facts.started));
    const Progress progress = progress_at(guest.migration, timeline, now);
    if (progress.passes == 0) return statistics;  // QEMU has not begun
    const Pass& pass = pass_of(guest.migration, progress.passes);
    list.memory(guest.memory, progress.processed, progress.remaining);
    list.number(VIR_DOMAIN_JOB_SETUP_TIME, static_cast<std::uint64_t>(guest.migration.setup_ms));
    list.number(VIR_DOMAIN_JOB_DOWNTIME,
                pass.bandwidth > 0 ? progress.remaining * 1000 / pass.bandwidth : facts.downtime_ms);
    list.number(VIR_DOMAIN_JOB_MEMORY_BPS, pass.bandwidth);
    list.number(VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE, pass.dirty_rate / page);
    list.number(VIR_DOMAIN_JOB_MEMORY_ITERATION, static_cast<std::uint64_t>(progress.passes));
    if (pass.throttle) list.integer(VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE, *pass.throttle);
    return statistics;
}

Statistics completed_statistics(const Guest& guest, const Facts& facts, const Timeline& timeline, Host host) {
    Statistics statistics;
    if (facts.started == 0 || timeline.over() == never || !timeline.ended_well()) return statistics;
    statistics.type = VIR_DOMAIN_JOB_COMPLETED;
    List list(statistics);
    list.integer(VIR_DOMAIN_JOB_OPERATION,
                 host == Host::source ? VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT : VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN);
    const Progress progress = progress_at(guest.migration, timeline, timeline.over());
    list.number(VIR_DOMAIN_JOB_TIME_ELAPSED, whole_milliseconds(timeline.over() - facts.started));
    list.memory(guest.memory, progress.processed, 0);
    list.number(VIR_DOMAIN_JOB_SETUP_TIME, static_cast<std::uint64_t>(guest.migration.setup_ms));
    list.number(VIR_DOMAIN_JOB_DOWNTIME, static_cast<std::uint64_t>(guest.migration.downtime_ms));
    list.number(VIR_DOMAIN_JOB_MEMORY_ITERATION, static_cast<std::uint64_t>(progress.passes));
    return statistics;
}

}  // namespace fake
