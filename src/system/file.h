// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "vmmi/result.h"

namespace vmmi::system {

/// What stands at a path.
enum class FileKind { missing, regular, other };
FileKind kind_of(const std::string& path);

/// The content of a regular file of at most `longest` bytes. Never blocks on FIFOs and never reads devices.
/// Fails with `bad_file_path`.
Result<std::string> read_file(const std::string& path, std::size_t longest);

}  // namespace vmmi::system
