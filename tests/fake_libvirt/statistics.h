// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>

#include <cstddef>

#include "timeline.h"
#include "world.h"

namespace fake {

/// Statistics of a running, failed or completed job, as typed parameters for the caller to free. The type is a
/// virDomainJobType.
struct Statistics {
    int type = VIR_DOMAIN_JOB_NONE;
    virTypedParameterPtr list = nullptr;
    int count = 0;
};
Statistics running_statistics(const Guest& guest, const Facts& facts, const Timeline& timeline, Time now);
Statistics completed_statistics(const Guest& guest, const Facts& facts, const Timeline& timeline, Host host);

}  // namespace fake
