// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "vmmi/migration.h"

namespace vmmi {

/// What libvirt answered with, unchanged: numbers of virErrorNumber and virErrorDomain, and the daemon's text.
struct NativeError {
    int code = 0;
    int domain = 0;
    std::string message;
};

/// Numbers of virErrorNumber that decide something. The hypervisor layer checks them against libvirt's header.
namespace native {
constexpr int internal_error = 1;
constexpr int no_connection = 5;
constexpr int operation_invalid = 55;
constexpr int no_domain = 42;
constexpr int operation_aborted = 78;
/// Of virErrorDomain: libvirt's own connections.
constexpr int from_rpc = 7;
}  // namespace native

/// The guest's state at the source or the destination, as far as a migration cares. In post-copy, it is so at both.
enum class GuestState {
    unknown,
    absent,  ///< no such domain
    running,
    paused,                ///< by a user, an I/O error … : not by the migration
    paused_for_migration,  ///< stop-and-copy
    postcopy,
    postcopy_failed,
    shut_off,
    shut_off_migrated,
};
const char* to_string(GuestState state);

/// libvirt's job statistics in this project's units. Every field may be missing in libvirt's answer: it is zero or
/// absent then.
struct JobStats {
    enum class Type { none, active, completed, failed, cancelled };
    enum class Operation { none, outgoing_migration, other };

    Type type = Type::none;
    Operation operation = Operation::none;
    Milliseconds elapsed{0};
    std::optional<Milliseconds> downtime;  ///< active: QEMU's expectation; completed: the real one
    std::optional<Milliseconds> setup_time;
    Bytes memory_total;
    Bytes memory_transferred;
    Bytes memory_remaining;
    Bytes memory_sent;       ///< zero pages and compressed ones at their full size; zero where libvirt does not tell
    Bytes data_transferred;  ///< memory and disks
    Bytes disk_total;        ///< of the disks that are copied, as far as their copies have begun
    Bytes disk_transferred;
    Bytes disk_remaining;
    BytesPerSecond bandwidth;
    BytesPerSecond dirty_rate;
    int iteration = 0;
    std::optional<int> throttle_percent;
    std::uint64_t postcopy_requests = 0;

    bool migrating() const { return type == Type::active && operation == Operation::outgoing_migration; }
};

/// A guest as it was found.
struct GuestFacts {
    Guest guest;
    GuestState state = GuestState::unknown;
    JobStats job;
};

}  // namespace vmmi
