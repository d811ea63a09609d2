// SPDX-License-Identifier: Apache-2.0
#include "vmmi/xbzrle.h"

#include <algorithm>
#include <bit>

namespace vmmi {

Key xbzrle_key() {
    return boolean_key("xbzrle", true,
                       "of pages that were sent before, what changed is sent; without effect beside another method of "
                       "compression, parallel connections, zero-copy or RDMA");
}

Settings with_xbzrle(const Settings& settings) {
    const bool in_the_way = !settings.list("compression.methods").empty() ||
                            settings.integer("parallel.connections") > 0 || settings.boolean("zeroCopy");
    if (!settings.boolean("xbzrle") || in_the_way) return settings;
    Object values = settings.values();
    Object compression = *values.find("compression")->get_if<Object>();
    compression.set("methods", List{"xbzrle"});
    values.set("compression", std::move(compression));
    return Settings(std::move(values));
}

void prefer_xbzrle(MigrationRequest& request, const Settings& settings) {
    request.compression.only_preferred = uses_xbzrle(request) && settings.list("compression.methods").empty();
}

bool uses_xbzrle(const MigrationRequest& request) {
    return std::ranges::find(request.compression.methods, "xbzrle") != request.compression.methods.end();
}

void make_room_for_xbzrle(MigrationRequest& request, const Guest& guest) {
    if (!uses_xbzrle(request) || request.compression.xbzrle_cache) return;
    request.compression.xbzrle_cache =
        Bytes{std::bit_ceil(std::clamp(guest.memory, mebibytes(64), mebibytes(1024)).count)};
}

}  // namespace vmmi
