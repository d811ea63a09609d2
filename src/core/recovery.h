// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "core/host.h"

namespace vmmi {

/// Why a broken post-copy cannot be taken up again between daemons of these versions, and what to do about it; nothing
/// where it can, as far as is known.
///
/// Recovery is of libvirt 8.5. As destination, libvirt 11.2.0 to 11.3.x would crash; both halves of the guest would
/// survive that, and 11.4.0 recovers.
std::optional<std::string> obstacle_to_recovery(const Version& source, const Version& destination);

}  // namespace vmmi
