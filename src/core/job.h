// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "vmmi/units.h"

namespace vmmi {

/// What libvirt answered with, unchanged: numbers of virErrorNumber and virErrorDomain, and the daemon's text.
struct NativeError {
    int code = 0;
    int domain = 0;
    std::string message;
};

/// Numbers of virErrorNumber that decide something. The hypervisor layer checks them against libvirt's header.
namespace native {
constexpr int operation_invalid = 55;
constexpr int no_domain = 42;
constexpr int operation_aborted = 78;
}  // namespace native

/// The guest's state at the source, as far as a migration cares.
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
    Bytes data_transferred;  ///< memory and disks
    BytesPerSecond bandwidth;
    BytesPerSecond dirty_rate;
    int iteration = 0;
    std::optional<int> throttle_percent;

    bool migrating() const { return type == Type::active && operation == Operation::outgoing_migration; }
};

}  // namespace vmmi
