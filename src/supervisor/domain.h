// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "vmmi/libvmmi.h"
#include "vmmi/result.h"

namespace vmmi::supervisor {

/// A guest and the connection it is known at.
struct DomainName {
    std::string uuid;
    std::string name;
    std::string connection;
};

/// libvirt is not linked: a caller that has a virDomainPtr has loaded it, and the others load it when they ask.
/// All of these wait for the daemon, as long as libvirt does. They fail with the codes 10 and 12, or VMMI_E_SYSTEM
/// where there is no libvirt.
Result<DomainName> name_of(struct _virDomain* domain);
Result<DomainName> find_domain(const std::string& connection, const std::string& vm);
Result<void> abort_job(const std::string& connection, const std::string& vm);

}  // namespace vmmi::supervisor
