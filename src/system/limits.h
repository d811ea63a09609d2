// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "vmmi/result.h"

namespace vmmi::system {

/// Makes this process independent of its caller's limits, as far as the caller permits: descriptors, and the stacks of
/// threads. First of all, since the table of descriptors may be full already.
void settle_limits();

/// What a migration may need and cannot be had now, descriptors or memory, as an `operation_failed`. To be asked before
/// anything is started: GLib, below libvirt, ends the process where it gets none.
std::optional<Error> too_little_to_start();
/// Why there are too few descriptors for one more connection, while a migration is running.
std::optional<Error> no_room_for_a_connection();

/// Memory that is set aside for the completion message, for the case that there is no more.
class MemoryReserve {
  public:
    MemoryReserve();
    void release() { block_.reset(); }

  private:
    std::unique_ptr<std::byte[]> block_;
};

}  // namespace vmmi::system
