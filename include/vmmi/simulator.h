// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "vmmi/plugin.h"

/// Migrations without a hypervisor: a policy runs under the real engine, against a model of libvirt and QEMU with a
/// virtual clock. Same scenario, same run. What is modelled, and how far it agrees with real hosts: docs/simulator.md.
namespace vmmi::simulator {

/// A rate over time: each change holds until the next. Times are those of the migration, from the migrate call on.
class Rate {
  public:
    struct Change {
        Milliseconds at;
        BytesPerSecond rate;
    };

    Rate(BytesPerSecond constant) : changes_{{Milliseconds(0), constant}} {}
    /// In the order of their times; zero before the first.
    Rate(std::initializer_list<Change> changes) : changes_(changes) {}

    const std::vector<Change>& changes() const { return changes_; }

  private:
    std::vector<Change> changes_;
};

/// A part of the guest's memory that it writes to all the time. Sets do not overlap.
struct WorkingSet {
    enum class Order {
        random,      ///< any page at any time: T seconds dirty W(1 − exp(−dT/W)) bytes of unique pages
        sequential,  ///< one page after the other, round and round: they dirty min(W, dT)
    };
    /// In order, and of the pages that were dirty when a pass began: the ones that are written to first. That depends
    /// on where in its round the guest is, and decides how much of what a pass leaves is counted twice.
    enum class First {
        any,     ///< the mean
        unsent,  ///< the next pass begins with the least
        sent,    ///< with the most
    };

    Bytes size;
    /// Writes, in bytes of pages touched a second, while nothing throttles the guest. Phases of a load are changes of
    /// it.
    Rate dirty_rate;
    Order order = Order::random;
    First first = First::any;
    /// What xbzrle makes of a rewritten page of 4096 bytes; 4096 or more: it cannot be compressed.
    std::uint64_t delta_bytes = 4096;
};

/// The way to the destination. The migration takes the smallest of: bandwidth, libvirt's cap, and the streams' own
/// limits times the number of channels.
struct Link {
    /// A cut is a rate of zero: the stream stands still, and goes on afterwards.
    Rate bandwidth = mebibytes_per_second(119);  // 1 Gbit/s
    /// One way.
    std::chrono::microseconds latency{100};
    /// What TCP accepts ahead of the link; it has to be delivered before the guest can go on at the destination.
    Bytes buffers = mebibytes(3);
    /// What one processor can send; zero: no limit.
    BytesPerSecond stream_limit{};
    /// Share of packets that get lost. It limits each TCP stream to MSS/RTT · √(3/2p) (Mathis et al., 1997).
    double loss = 0;
    /// Each 100 ms window has its own bandwidth, up to this share above or below. Needs a seed; the same seed gives the
    /// same link.
    double noise = 0;
    std::uint64_t seed = 1;
};

/// QEMU's throttling of a guest that dirties more than half of what is sent.
struct AutoConverge {
    int initial = 20;    ///< percent
    int increment = 10;  ///< percent
    int maximum = 99;    ///< percent
};

/// How the migration is started, beside what the policy's `MigrationRequest` says, which wins.
struct Features {
    std::optional<AutoConverge> auto_converge{};
    /// Size of the cache; absent: xbzrle is off.
    std::optional<Bytes> xbzrle_cache{};
    int multifd_channels = 1;
    bool postcopy = false;
    /// Requested pages have a channel of their own (libvirt 10 and QEMU 7.1, both sides).
    bool postcopy_preempt = true;
    /// With `postcopy`, QEMU looks at its dirty log every 50 ms, not at the ends of passes alone (QEMU 11).
    bool postcopy_looks = false;
};

/// Times that libvirt and QEMU take beside the transfer. The defaults are those of an idle pair of hosts.
struct Delays {
    Milliseconds call{2};             ///< a call to libvirt, and its answer
    Milliseconds preparation{100};    ///< from the migrate call to QEMU's first pass
    Milliseconds switchover{30};      ///< the part of the downtime that does not depend on what is left
    Milliseconds postcopy_start{10};  ///< the pause at the switch to post-copy
    Milliseconds teardown{250};       ///< from the end of the transfer to that of the migrate call
    BytesPerSecond zero_page_scan{std::uint64_t{4} << 30};  ///< how fast QEMU finds that pages hold zeros
};

/// Something that goes wrong, once. A guest that is not running at the source at that time neither powers off nor
/// crashes there.
struct Fault {
    enum class Kind {
        stream_breaks,  ///< the TCP stream is reset: pre-copy fails, post-copy becomes "failed" and waits
        guest_powers_off,
        guest_crashes,
        destination_dies,    ///< with its QEMU: pre-copy fails, post-copy loses the guest
        source_daemon_lost,  ///< the connection to libvirt ends; the migration goes on
        calls_fail,          ///< calls that change the migration fail with a timeout, for `lasting`
    };

    Kind kind;
    Milliseconds at;
    Milliseconds lasting{0};
};

/// A recorded migration: what a look at the guest's dirty memory found at each time, and the link. Between the points,
/// it is interpolated; behind the last, it stays. A trace answers to downtime limits, caps and post-copy; throttling
/// does not change what was recorded.
struct Trace {
    struct Point {
        Milliseconds at;
        Bytes remaining;
    };

    std::string name;  ///< of the workload
    Rate bandwidth;
    /// In the order of their times; the first is all of the memory.
    std::vector<Point> points;
};

/// Migrations that others published as plots, read off with an error of about 5 %: shapes of loads, not measurements.
std::vector<Trace> published_traces();

/// All that decides a run, with defaults for an idle guest of 4 GiB. Times are those since the migrate call.
struct Scenario {
    Guest guest{.name = "g1", .uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", .memory = mebibytes(4096)};
    Bytes zero_pages;  ///< part of the guest's memory; hardly anything of them is sent
    std::vector<WorkingSet> working_sets{};
    /// Share of its processors that the guest uses: what it leaves idle, throttling and waiting take first.
    double utilization = 1;
    Link link{};
    Features features{};
    Delays delays{};
    std::vector<Fault> faults{};
    /// In place of the guest's memory and the link's bandwidth: see `from_trace`.
    std::optional<Trace> trace{};
    /// Somebody else started the migration, so long ago: the policy takes it over.
    std::optional<Milliseconds> taken_over_after{};
    /// The guest's own downtime limit, which holds where the policy sets none.
    Milliseconds downtime_limit{300};
    /// As the key `monitorInterval`.
    Milliseconds sample_interval{1000};
    /// A migration that is not over by then is left alone.
    Milliseconds patience{std::chrono::hours(24)};
};

Scenario from_trace(const Trace& trace);

/// One action of the policy.
struct ActionTaken {
    Milliseconds at{0};  ///< since the migration was started or taken over
    Action action;
    std::optional<std::string> refused{};  ///< what libvirt said, where it did not take effect
};

/// Time that the guest lost, as if it had stood still for so long.
struct WorkLost {
    Milliseconds throttled{0};
    Milliseconds paused{0};   ///< for the switchover
    Milliseconds stalled{0};  ///< in post-copy, waiting for missing pages
};

/// The beginning of a pass over the memory, as libvirt counts them: a look of QEMU at its dirty log.
struct Pass {
    Milliseconds at{0};
    Bytes remaining;
};

/// What came of it.
struct Report {
    enum class Ending { completed, aborted, failed, unfinished };

    Ending ending = Ending::unfinished;
    std::optional<Error> error{};  ///< as in the completion message; absent after a success, and where there is no end
    std::string cause;             ///< as in the completion message; empty where there is no end
    Milliseconds total_time{0};
    /// The pause that the guest saw: absent unless it arrived at the destination.
    std::optional<Milliseconds> downtime{};
    WorkLost work_lost{};
    Bytes transferred;
    std::vector<Pass> passes{};
    int highest_throttle_percent = 0;
    Milliseconds highest_downtime_limit{0};  ///< ever in force
    std::vector<ActionTaken> actions{};
    std::size_t actions_omitted = 0;  ///< from the middle of a list that grew too long
    std::vector<Sample> samples{};    ///< that the policy was asked with
};

/// Runs one migration under the policy. The policy is used up: it has seen a migration.
/// Fails with `malformed_parameters` where the scenario contradicts itself; `details` names the field and the remedy.
Result<Report> simulate(Policy& policy, const Scenario& scenario);

/// The same for a plugin with that configuration: the object of the configuration message, without the keys that every
/// plugin has. Fails as `apply_keys` and `make_policy` do, too.
Result<Report> simulate(const Plugin& plugin, const Object& configuration, const Scenario& scenario);

}  // namespace vmmi::simulator
