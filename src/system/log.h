// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/configuration.h"
#include "core/event.h"
#include "vmmi/result.h"

namespace vmmi::system {

/// The log of one run: a file, syslog or the journal, never standard output or standard error. One thread writes.
/// Control characters in a line are escaped, so nothing from outside can forge another line.
class Log {
  public:
    using Level = order::Note::Level;

    /// A log that keeps nothing.
    Log();
    Log(Log&&) noexcept;
    Log& operator=(Log&&) noexcept;
    ~Log();

    /// Fails with `bad_file_path` if the file cannot be appended to.
    static Result<Log> open(const Configuration& configuration, const std::string& plugin);
    /// Why `open` would fail, or nothing. Makes no file.
    static std::optional<Error> check(const Configuration& configuration);

    void write(Level level, std::string_view text);

  private:
    struct Sink;
    std::unique_ptr<Sink> sink_;
};

}  // namespace vmmi::system
