// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/job.h"

namespace vmmi::simulator {

/// The numbers of virErrorNumber and virErrorDomain that libvirt 9 to 12 answer with in these cases.
namespace error {
inline constexpr int qemu = 10;
inline constexpr int domain = 20;
inline const NativeError stream_broken{
    9, qemu, "operation failed: job 'migration out' failed: Unable to write to socket: Connection reset by peer"};
inline const NativeError broken_postcopy{9, qemu, "operation failed: job 'migration out' failed in post-copy phase"};
inline const NativeError cancelled{native::operation_aborted, qemu,
                                   "operation aborted: job 'migration out' canceled by client"};
inline const NativeError gone{9, domain, "operation failed: domain is not running"};
inline const NativeError no_guest{native::no_domain, qemu, "Domain not found: no domain with matching uuid"};
inline const NativeError no_job{native::operation_invalid, domain,
                                "Requested operation is not valid: no job is active on the domain"};
inline const NativeError in_postcopy{native::operation_invalid, qemu,
                                     "Requested operation is not valid: cannot abort migration in post-copy mode"};
inline const NativeError no_postcopy{
    native::operation_invalid, qemu,
    "Requested operation is not valid: switching to post-copy requires migration to be started "
    "with VIR_MIGRATE_POSTCOPY flag"};
inline const NativeError still_running{native::operation_invalid, qemu,
                                       "Requested operation is not valid: QEMU reports migration is still running"};
inline const NativeError unreachable{38, native::from_rpc,
                                     "unable to connect to server at 'destination:49152': Network is unreachable"};
inline const NativeError timed_out{68, qemu, "Timed out during operation: cannot acquire state change lock"};
inline const NativeError limit_out_of_range{
    1, qemu,
    "internal error: unable to execute QEMU command 'migrate-set-parameters': Parameter 'downtime-limit' expects "
    "an integer in the range of 0 to 2000000 milliseconds"};
}  // namespace error

}  // namespace vmmi::simulator
