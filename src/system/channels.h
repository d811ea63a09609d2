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

    /// For status messages, --help and the like.
    bool write_output(std::string_view text) { return write_all(output_.get(), text); }
    /// For the completion message.
    bool write_error(std::string_view text) { return write_all(error_.get(), text); }

  private:
    Fd output_;
    Fd error_;
};

}  // namespace vmmi::system
