// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <memory>

#include "core/job.h"

namespace vmmi::hypervisor {

struct CloseConnection {
    void operator()(virConnectPtr connection) const noexcept { virConnectClose(connection); }
};
struct FreeDomain {
    void operator()(virDomainPtr domain) const noexcept { virDomainFree(domain); }
};

using Connection = std::unique_ptr<virConnect, CloseConnection>;
using Domain = std::unique_ptr<virDomain, FreeDomain>;

/// The error of this thread's last libvirt call; to be read before the next one.
NativeError last_error();

}  // namespace vmmi::hypervisor
