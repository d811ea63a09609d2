// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "system/fd.h"
#include "vmmi/result.h"

namespace vmmi::system {

/// What stands at a path. Unknown: one may not look, or the way there is none.
enum class FileKind { missing, regular, irregular, unknown };
FileKind kind_of(const std::string& path);

/// A regular file that is open, or why there is none. Nothing else is opened: some devices begin to work when they are,
/// and a FIFO has somebody waiting at the other end.
struct Opened {
    Fd file;
    std::string obstacle;
};
Opened open_regular(const std::string& path, int flags, mode_t mode = 0);

/// The content of a regular file of at most `longest` bytes. Never blocks on FIFOs and never reads devices.
/// Fails with `bad_file_path`.
Result<std::string> read_file(const std::string& path, std::size_t longest);

}  // namespace vmmi::system
