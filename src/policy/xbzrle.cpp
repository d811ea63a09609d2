// SPDX-License-Identifier: Apache-2.0
#include "vmmi/xbzrle.h"

#include <algorithm>
#include <bit>

#include "vmmi/migration_keys.h"

namespace vmmi {

void prefer_xbzrle(std::vector<Key>& keys) {
    const auto compression = std::ranges::find(keys, "compression", &Key::name);
    const auto methods = std::ranges::find(compression->children, "methods", &Key::name);
    methods->fallback = List{"xbzrle"};
}

Result<MigrationRequest> request_preferring_xbzrle(const Settings& settings) {
    if (settings.integer("parallel.connections") == 0) return request_from(settings);
    Object values = settings.values();
    Object compression = *values.find("compression")->get_if<Object>();
    List methods = settings.list("compression.methods");
    std::erase(methods, Value("xbzrle"));
    compression.set("methods", std::move(methods));
    values.set("compression", std::move(compression));
    return request_from(Settings(std::move(values)));
}

bool uses_xbzrle(const MigrationRequest& request) {
    return std::ranges::find(request.compression.methods, "xbzrle") != request.compression.methods.end();
}

void make_room_for_xbzrle(MigrationRequest& request, const Guest& guest) {
    if (!uses_xbzrle(request) || request.compression.xbzrle_cache) return;
    request.compression.xbzrle_cache =
        std::clamp(Bytes{std::bit_ceil(guest.memory.count / 2)}, mebibytes(64), mebibytes(1024));
}

}  // namespace vmmi
