// SPDX-License-Identifier: Apache-2.0
#include "vmmi/xbzrle.h"

#include <algorithm>
#include <bit>

namespace vmmi {

bool uses_xbzrle(const MigrationRequest& request) {
    return std::ranges::find(request.compression.methods, "xbzrle") != request.compression.methods.end();
}

void make_room_for_xbzrle(MigrationRequest& request, const Guest& guest) {
    if (!uses_xbzrle(request) || request.compression.xbzrle_cache) return;
    request.compression.xbzrle_cache =
        std::clamp(Bytes{std::bit_ceil(guest.memory.count / 2)}, mebibytes(64), mebibytes(1024));
}

}  // namespace vmmi
