// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vmmi/migration.h"

namespace vmmi {

/// Whether memory that was sent before is to be sent again as what changed of it.
bool uses_xbzrle(const MigrationRequest& request);

/// Gives xbzrle, where it is asked for and nothing is said of its cache, one with room for what the guest may write in a
/// pass: half of its memory, 64 MiB to 1 GiB, a power of two. QEMU's cache has a place for each page by its address, and
/// pages of one place drive each other out (migration/page_cache.c); its own 64 MiB are of no use for a larger working
/// set. It takes memory only for the pages that are in it.
void make_room_for_xbzrle(MigrationRequest& request, const Guest& guest);

}  // namespace vmmi
