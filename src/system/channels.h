// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "system/fd.h"

namespace vmmi::system {

/// Standard output and standard error belong to the messages alone. Libraries write to descriptors 1 and 2 as they
/// please, libvirt among them; so both are moved to private descriptors first of all, and 1 and 2 lead to /dev/null.
class Channels {
  public:
    Channels();

    /// For --help and the like: waits for the reader.
    bool write_output(std::string_view text) { return write_all(output_.get(), text); }
    /// For status messages: dropped where nobody reads, since a full pipe must not hold up the migration.
    bool offer_output(std::string_view text);
    /// For the completion message, in one write. Nobody who does not read can keep the plugin from ending: it gives up
    /// after a while.
    bool write_error(std::string_view text);

  private:
    Fd output_;
    Fd error_;
};

}  // namespace vmmi::system
