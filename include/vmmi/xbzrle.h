// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vmmi/migration.h"
#include "vmmi/settings.h"

namespace vmmi {

/// The key `xbzrle`, true by default, for a plugin that has migration_keys(): of memory that was sent before, what
/// changed is sent again. Where little of each page changes, a guest converges that would not otherwise; where much
/// does, it costs some of the source's processor time and memory.
Key xbzrle_key();
/// Settings with that method in `compression.methods` where the key says so, and nothing else in them is in its way:
/// another method, parallel connections, for which QEMU does not have it, or zero-copy.
Settings with_xbzrle(const Settings& settings);

/// Marks xbzrle in a request that was made of those settings as no more than preferred, where nobody but that key named
/// it: over RDMA, with which QEMU does not take it, the migration goes without.
void prefer_xbzrle(MigrationRequest& request, const Settings& settings);

/// Whether the request has it.
bool uses_xbzrle(const MigrationRequest& request);

/// Gives xbzrle, where it is asked for and nothing is said of its cache, one with a place for every page of the guest:
/// as large as its memory, 64 MiB to 1 GiB, a power of two. QEMU's cache has a place for each page by its address, and
/// pages of one place drive each other out (migration/page_cache.c): in one that is only as large as the working set,
/// some are sent whole in every pass, and more of them where the guest's memory is scattered. It takes memory only for
/// the pages that are in it.
void make_room_for_xbzrle(MigrationRequest& request, const Guest& guest);

}  // namespace vmmi
