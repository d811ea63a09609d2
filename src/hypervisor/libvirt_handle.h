// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "core/job.h"

namespace vmmi::hypervisor {

struct CloseConnection {
    void operator()(virConnectPtr connection) const noexcept { virConnectClose(connection); }
};
struct FreeDomain {
    void operator()(virDomainPtr domain) const noexcept { virDomainFree(domain); }
};

struct FreeText {
    void operator()(char* text) const noexcept { std::free(text); }
};

using Connection = std::unique_ptr<virConnect, CloseConnection>;
using Domain = std::unique_ptr<virDomain, FreeDomain>;
using Text = std::unique_ptr<char, FreeText>;

/// The most that libvirt's protocol carries in one text.
constexpr std::size_t longest_answer = 4U << 20;

/// The error of this thread's last libvirt call; to be read before the next one.
NativeError last_error();

}  // namespace vmmi::hypervisor
