// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "vmmi/migration.h"
#include "vmmi/simulator.h"

namespace vmmi::policy::test {

constexpr double mib = 1 << 20;

/// A guest that keeps to the model of the forecast exactly, or with noise on what it dirties in a pass.
struct ModelGuest {
    double total = 8192 * mib;
    double working_set = 2000 * mib;
    double dirty_rate = 150 * mib;
    double bandwidth = 100 * mib;
    double wire_cost = 1;  ///< on the wire for a byte of memory, from the second pass on
    int throttle = 0;      ///< percent
    double noise = 0;      ///< relative, one standard deviation
    unsigned int seed = 1;

    double dirtied(double seconds) const {
        return -working_set * std::expm1(-dirty_rate * (1.0 - throttle / 100.0) * seconds / working_set);
    }
};

/// The beginnings of its passes.
inline std::vector<Sample> boundaries(const ModelGuest& guest, int passes) {
    std::mt19937 random(guest.seed);
    std::normal_distribution<double> normal;
    std::vector<Sample> samples;
    double seconds = 0;
    double sent = 0;
    double to_move = guest.total;
    double rate = 0;
    for (int pass = 1; pass <= passes; ++pass) {
        Sample sample;
        sample.trigger = Sample::Trigger::iteration;
        sample.iteration = pass;
        sample.elapsed = Milliseconds(std::llround(1000 * seconds));
        sample.total = {static_cast<std::uint64_t>(guest.total)};
        sample.remaining = {static_cast<std::uint64_t>(to_move)};
        sample.transferred = {static_cast<std::uint64_t>(sent)};
        sample.bandwidth = {static_cast<std::uint64_t>(guest.bandwidth)};
        sample.dirty_rate = {static_cast<std::uint64_t>(rate)};
        sample.downtime_limit = Milliseconds(1);
        if (guest.throttle > 0) sample.throttle_percent = guest.throttle;
        samples.push_back(sample);
        const double wire = to_move * (pass == 1 ? 1.0 : guest.wire_cost);
        const double duration = wire / guest.bandwidth;
        seconds += duration;
        sent += wire;
        to_move = guest.dirtied(duration) * std::max(0.1, 1.0 + guest.noise * normal(random));
        rate = duration > 0 ? to_move / duration : 0;
    }
    return samples;
}

/// A migration as it was published, whose workload begins with that: what its passes began with.
inline simulator::Trace published(std::string_view workload) {
    for (const simulator::Trace& trace : simulator::published_traces())
        if (trace.name.starts_with(workload)) return trace;
    throw std::invalid_argument("no such trace");
}

inline double seconds(Milliseconds time) {
    return std::chrono::duration<double>(time).count();
}

/// The beginnings of its passes, and a sample every second in between. A pass moves at an even pace what it began with.
inline std::vector<Sample> samples(const simulator::Trace& trace) {
    std::vector<Sample> samples;
    double sent = 0;
    for (std::size_t i = 0; i < trace.points.size(); ++i) {
        const double from = seconds(trace.points[i].at);
        const auto to_move = static_cast<double>(trace.points[i].remaining.count);
        const bool last = i + 1 == trace.points.size();
        const double duration = last ? 0 : seconds(trace.points[i + 1].at) - from;
        for (double since = 0; since == 0 || since < duration; since += 1) {
            const double moved = duration > 0 ? to_move * since / duration : 0;
            Sample sample;
            sample.trigger = since == 0 ? Sample::Trigger::iteration : Sample::Trigger::interval;
            sample.iteration = static_cast<int>(i) + 1;
            sample.elapsed = Milliseconds(std::llround(1000 * (from + since)));
            sample.total = trace.points.front().remaining;
            sample.remaining = {static_cast<std::uint64_t>(to_move - moved)};
            sample.transferred = {static_cast<std::uint64_t>(sent + moved)};
            sample.bandwidth = trace.bandwidth.changes().front().rate;  // QEMU's own is frozen while the link is dead
            sample.downtime_limit = Milliseconds(300);
            samples.push_back(sample);
        }
        sent += to_move;
    }
    return samples;
}

inline simulator::Trace redis_with_flushes() {
    return published("redis, 10 GiB, with phases");
}
inline simulator::Trace mariadb() {
    return published("mariadb");
}
inline simulator::Trace redis_with_collapse() {
    return published("redis, 10 GiB, with a collapse");
}
inline simulator::Trace stress_ng() {
    return published("stress-ng");
}
inline simulator::Trace kernel_build() {
    return published("build of a kernel");
}

/// A real guest of 256 MiB that rewrites 128 MiB in order, at 40 MiB/s, over a link of 200 Mb/s, under QEMU 11.1: seen
/// once a second, without the announcements of passes. With limits of 300 and 2500 ms it goes on for ever, with 3500 ms
/// it ends with a pause of 3.6 s.
inline std::vector<Sample> recorded() {
    struct Row {
        int elapsed, iteration;
        std::uint64_t remaining, transferred, bandwidth, dirty_pages;
        int limit;
    };
    constexpr Row rows[] = {
        {852, 1, 246906880, 18836449, 25547160, 0, 300},
        {1848, 1, 212905984, 42596872, 26137787, 0, 300},
        {2810, 1, 188338176, 67212916, 24274978, 0, 300},
        {3774, 1, 164556800, 91040992, 25070938, 0, 300},
        {4751, 1, 140255232, 115390258, 24624258, 0, 300},
        {5747, 1, 115687424, 140006302, 24104028, 0, 300},
        {6740, 1, 90202112, 164734873, 24579098, 0, 300},
        {7804, 1, 60149760, 191840407, 24714895, 0, 300},
        {8825, 2, 119566336, 216709219, 24714895, 4168, 300},
        {9835, 2, 94617600, 241706881, 24579098, 4168, 300},
        {10827, 2, 69931008, 266441887, 24444786, 4168, 300},
        {11903, 2, 42881024, 293544919, 24579098, 4168, 300},
        {12939, 2, 18063360, 318411253, 24852200, 4168, 300},
        {14013, 3, 119246848, 345382957, 24579098, 5815, 300},
        {15216, 3, 89833472, 374854015, 24311934, 5815, 300},
        {16357, 3, 61730816, 403011793, 24852200, 5815, 300},
        {17453, 3, 34680832, 430114825, 24579098, 5815, 300},
        {18652, 4, 132595712, 460636507, 24714895, 6042, 300},
        {19782, 4, 104361984, 488925613, 26166033, 6042, 300},
        {20889, 4, 77180928, 516159973, 24444786, 6042, 300},
        {21906, 4, 52494336, 540894979, 26022263, 6042, 300},
        {23013, 4, 24395776, 569048635, 24579098, 6042, 300},
        {24103, 5, 125779968, 596151667, 24714895, 6041, 300},
        {25204, 5, 98729984, 623254699, 24579098, 6041, 300},
        {26354, 5, 70627328, 651412477, 24444786, 6041, 300},
        {27405, 5, 44630016, 677460763, 24579098, 6041, 300},
        {28413, 5, 19812352, 702327097, 24579098, 6041, 300},
        {29416, 6, 123809792, 727062103, 24579098, 6056, 300},
        {30436, 6, 97808384, 753114511, 24714895, 6056, 300},
        {31639, 6, 68657152, 782322913, 22371058, 6056, 2500},
        {32609, 7, 113278976, 806007295, 24579098, 5437, 2500},
        {33620, 7, 88592384, 830742301, 25880065, 5437, 2500},
        {34908, 8, 117747712, 863500681, 26022263, 5541, 2500},
        {36058, 8, 89645056, 891658459, 26022263, 5541, 2500},
        {37240, 9, 133808128, 920998189, 24579098, 7306, 2500},
        {38416, 9, 104525824, 950337919, 24579098, 7306, 2500},
        {39575, 9, 76427264, 978491575, 24579098, 7306, 2500},
        {40660, 10, 113582080, 1005725935, 24579098, 5230, 2500},
        {41872, 10, 83378176, 1035989083, 24714895, 5230, 2500},
        {42939, 11, 108134400, 1062698131, 24714895, 4768, 2500},
        {43987, 11, 81874944, 1089009073, 24579098, 4768, 2500},
        {45363, 12, 121520128, 1122826321, 26458391, 8573, 3500},
        {46428, 12, 95653888, 1148743279, 24579098, 8573, 3500},
        {47459, 13, 102256640, 1174664359, 24714895, 4458, 3500},
        {48517, 15, 89939968, 1200712645, 24714895, 1224, 3500},
    };
    std::vector<Sample> samples;
    for (const Row& row : rows) {
        Sample sample;
        sample.iteration = row.iteration;
        sample.trigger = samples.empty() || samples.back().iteration != row.iteration ? Sample::Trigger::iteration
                                                                                      : Sample::Trigger::interval;
        sample.elapsed = Milliseconds(row.elapsed);
        sample.total = {268'967'936};
        sample.remaining = {row.remaining};
        sample.transferred = {row.transferred};
        sample.bandwidth = {row.bandwidth};
        sample.dirty_rate = {4'096 * row.dirty_pages};
        sample.downtime_limit = Milliseconds(row.limit);
        samples.push_back(sample);
    }
    return samples;
}

}  // namespace vmmi::policy::test
