// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fake {

/// What a scenario file says; README.md has the meaning of every key. Read once per process, never changed.

struct Error {
    int code = 0;
    int domain = 0;
    std::string message;
};

/// A time by the name of a phase, which may never come: `["pass 2", 5]` is 5 ms after the second pass began.
struct Moment {
    std::string phase = "begin";
    int plus_ms = 0;
};

struct Pass {
    int ms = 0;
    std::uint64_t bytes = 0;
    std::uint64_t bandwidth = 0;   ///< bytes/s, as the statistics show it
    std::uint64_t dirty_rate = 0;  ///< bytes/s
    std::optional<int> throttle;
};

enum class End { migrated, failed, aborted, destroyed, crashed, powered_off };

struct Migration {
    std::optional<int> running_since_ms;  ///< under way when the first connection is opened
    int setup_ms = 5;
    std::vector<Pass> passes;
    bool endless = false;
    int last_pass_ms = 10;
    int teardown_ms = 10;
    int downtime_ms = 7;
    int postcopy_ms = 40;
    bool postcopy_breaks = false;
    int abort_ms = 15;
    int linger_ms = 10;
    End end = End::migrated;
    Moment end_at;
    std::optional<Error> call_error;
    int call_after_ms = 2;
    std::vector<std::string> silent;
    std::optional<Moment> postcopy_at;    ///< somebody switches to post-copy
    std::string operation = "migration";  ///< or another job of the guest: "save"
};

enum class Host { source, destination };

/// What a daemon tells of its host.
struct HostFacts {
    std::string name;
    std::string uuid;
    std::string type = "QEMU";
    unsigned long libvirt = 9'000'000;
    unsigned long hypervisor = 7'002'000;
    std::optional<std::string> capabilities;  ///< none: of a QEMU host with that UUID
};

struct Guest {
    Host host = Host::source;  ///< at the destination: it is there, and never at the source
    std::string name;
    std::string uuid;
    std::uint64_t memory = 0;
    bool persistent = false;
    std::string state = "running";
    bool backup = false;  ///< a job is in progress that is no migration
    std::uint64_t downtime_ms = 300;
    Migration migration;
};

/// The daemon goes away: all connections that were opened before are lost.
struct Outage {
    Moment at;
    std::optional<int> for_ms;  ///< none: for good
    std::string reason = "eof";
    int callback_ms = 0;
};

/// What happens to a call. The first rule that fits counts.
struct Rule {
    std::vector<std::string> calls;  ///< none: all
    std::optional<Host> host;
    std::vector<std::string> during;  ///< none: always
    int from = 1;                     ///< the n-th such call of a process, for the rule
    std::optional<int> to;
    std::optional<int> process;
    int delay_ms = 0;
    bool hang = false;
    std::optional<Error> error;
    std::optional<Outage> lose;  ///< now
};

struct Scenario {
    std::string state_file;
    std::string trace_file;
    std::string source = "fake:///source";
    std::string destination = "reachable";
    HostFacts source_facts{.name = "source", .uuid = "5c2a64c4-9a3a-4d0e-8f3b-000000000001", .capabilities = {}};
    HostFacts destination_facts{
        .name = "destination", .uuid = "5c2a64c4-9a3a-4d0e-8f3b-000000000002", .capabilities = {}};
    bool noise = false;
    std::vector<Guest> guests;
    std::vector<Rule> rules;
    std::vector<Outage> outages;
};

const HostFacts& facts_of(Host host);

/// Of the file that VMMI_FAKE_SCENARIO names. If it makes no sense, the process ends with status 70 and
/// the reason is in a file beside it, with `.error` at the end of its name.
const Scenario& scenario();

}  // namespace fake
