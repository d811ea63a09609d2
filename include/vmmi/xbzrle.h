// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "vmmi/migration.h"
#include "vmmi/result.h"
#include "vmmi/settings.h"

namespace vmmi {

/// Makes xbzrle the default of `compression.methods`, of keys with those of migration_keys(): of memory that was sent
/// before, what changed is sent again. Where little of each page changes, a guest converges that would not otherwise;
/// where much does, it costs some of the source's processor time and memory.
void prefer_xbzrle(std::vector<Key>& keys);
/// As request_from, but for xbzrle where there are parallel connections: QEMU has it for the single one only.
Result<MigrationRequest> request_preferring_xbzrle(const Settings& settings);

/// Whether the request has it.
bool uses_xbzrle(const MigrationRequest& request);

/// Gives xbzrle, where it is asked for and nothing is said of its cache, one with room for what the guest may write in
/// a pass: half of its memory, 64 MiB to 1 GiB, a power of two. QEMU's cache has a place for each page by its address,
/// and pages of one place drive each other out (migration/page_cache.c); its own 64 MiB are of no use for a larger
/// working set. It takes memory only for the pages that are in it.
void make_room_for_xbzrle(MigrationRequest& request, const Guest& guest);

}  // namespace vmmi
