// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "core/host.h"
#include "core/job.h"
#include "vmmi/migration.h"
#include "vmmi/result.h"

namespace vmmi {

/// Why a daemon could not be asked.
struct Unreachable {
    Error error;
    /// libvirt's answer; absent where it was not asked.
    std::optional<NativeError> native;
    bool credentials = false;  ///< libvirt says that they are the reason
};

/// What a destination has that a guest's arrival would meet.
struct Namesakes {
    GuestState state = GuestState::unknown;  ///< of the guest with its UUID there
    std::string name;                        ///< of the guest with its UUID; empty: there is none
    std::string uuid;                        ///< of the guest with its name; empty: there is none
    std::optional<NativeError> error;        ///< why one of these is not known
};

/// What a host name stands for.
struct Resolution {
    bool loopback = false;  ///< addresses of the machine that asked, and no others
    std::string problem;    ///< why there is no address; empty: there is one
};

/// All that a check has found out. An answer that is absent did not come in time, or was not asked for.
struct Findings {
    std::string policy;
    std::string plugin_version;
    std::string client_version;  ///< of libvirt's library
    std::string vm;
    std::string destination_uri;
    std::string migration_uri;

    std::string configuration_name;         ///< where it came from
    std::vector<Error> problems;            ///< in the configuration
    std::optional<std::string> connection;  ///< absent: the configuration is of no use
    std::chrono::seconds patience{30};      ///< how long answers were waited for
    bool privileged = false;                ///< this process may use what a daemon of the system may

    std::optional<tl::expected<HostFacts, Unreachable>> source;
    std::optional<Result<GuestFacts>> guest;
    std::optional<MigrationRequest> request;  ///< absent: no policy, or no guest to plan for
    std::optional<tl::expected<HostFacts, Unreachable>> destination;
    std::optional<Namesakes> namesakes;
    std::optional<Resolution> migration_host;
};

struct CheckResult {
    enum class Verdict { passed, warning, failed, skipped };

    const char* check = "";
    Verdict verdict = Verdict::passed;
    Error error;  ///< `details` always; the others where it failed
};

/// A check message without its dress.
struct CheckReport {
    std::string policy;
    std::vector<CheckResult> checks;
    std::string plugin_version;
    std::string client_version;
    std::optional<HostFacts> source;
    std::optional<HostFacts> destination;

    /// None: the migration can be started.
    const CheckResult* first_failure() const;
};

/// What the findings mean, check by check.
CheckReport judge(const Findings& findings);

/// The guest as its destination is to see it: it may get another name. Where the guest is known.
Guest arriving_guest(const Findings& findings);

/// The daemon of such a connection is on this machine.
bool is_local(const std::string& connection_uri);
/// The host that is to be looked up for a migration there; empty where there is none.
std::string host_to_look_up(const std::string& migration_uri);

}  // namespace vmmi
