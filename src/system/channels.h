// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string_view>

#include "system/fd.h"

namespace vmmi::system {

/// Standard output and standard error belong to the messages alone. Libraries write to descriptors 1 and 2 as they
/// please, libvirt among them; so both are moved to private descriptors first of all, and 1 and 2 lead to /dev/null.
/// Standard input, if it came closed, is open for nothing: no file can get its number.
class Channels {
  public:
    Channels();

    /// For --help and the like: waits for the reader.
    bool write_output(std::string_view text) const { return write_all(output_.fd.get(), text, WhenFull::wait); }
    /// For status messages: dropped where nobody reads, since a full pipe must not hold up the migration.
    bool offer_output(std::string_view text);
    /// For the completion message, in one write. Nobody who does not read can keep the plugin from ending: it gives up
    /// after a while.
    bool write_error(std::string_view text);

  private:
    struct Stream {
        Fd fd;
        /// A write that nobody takes is under way. Shared with its thread, which may be left behind.
        std::shared_ptr<std::atomic<bool>> stuck = std::make_shared<std::atomic<bool>>(false);
    };

    static bool write_within(const Stream& stream, std::string_view text, std::chrono::milliseconds patience);

    Stream output_;
    Stream error_;
};

}  // namespace vmmi::system
