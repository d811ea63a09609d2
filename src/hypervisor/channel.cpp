// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/channel.h"

namespace vmmi::hypervisor {

void Channel::disconnect() {
    submit([this] {
        guest_.reset();
        connection_.reset();
    });
}

Result<virConnectPtr> Channel::connection() {
    // The daemon may have gone and come back.
    if (is_lost()) {
        guest_.reset();
        connection_.reset();
    }
    if (!connection_) {
        Result<Connection> opened = open_connection(endpoint_);
        if (!opened) return fail(opened.error());
        connection_ = std::move(*opened);
    }
    return connection_.get();
}

NativeResult<virDomainPtr> Channel::guest(const std::string& uuid) {
    const Result<virConnectPtr> opened = connection();
    if (!opened) return tl::unexpected(NativeError{VIR_ERR_NO_CONNECT, VIR_FROM_NONE, opened.error().details});
    if (!guest_) guest_.reset(virDomainLookupByUUIDString(*opened, uuid.c_str()));
    if (!guest_) return tl::unexpected(last_error());
    return guest_.get();
}

}  // namespace vmmi::hypervisor
