// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/libvirt_handle.h"

namespace vmmi::hypervisor {

static_assert(native::internal_error == VIR_ERR_INTERNAL_ERROR);
static_assert(native::from_rpc == VIR_FROM_RPC);
static_assert(native::no_connection == VIR_ERR_NO_CONNECT);
static_assert(native::operation_invalid == VIR_ERR_OPERATION_INVALID);
static_assert(native::no_domain == VIR_ERR_NO_DOMAIN);
static_assert(native::operation_aborted == VIR_ERR_OPERATION_ABORTED);

NativeError last_error() {
    const virError* error = virGetLastError();
    if (error == nullptr) return {VIR_ERR_INTERNAL_ERROR, VIR_FROM_NONE, "libvirt gave no reason"};
    return {error->code, error->domain, error->message != nullptr ? error->message : "libvirt gave no reason"};
}

}  // namespace vmmi::hypervisor
