// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/report.h"
#include "system/fd.h"

namespace vmmi::app {

/// One line on the controlling terminal, drawn over itself. Standard output and standard error stay untouched: they
/// belong to the messages. Without a terminal it draws nothing.
class ProgressBar {
  public:
    ProgressBar();

    bool has_terminal() const { return static_cast<bool>(terminal_); }
    void draw(const Status& status);
    /// Leaves the last picture and ends its line.
    void finish();

  private:
    int width() const;

    system::Fd terminal_;
    bool drawn_ = false;
};

/// The line for a terminal of that width, without escape sequences. The bar takes what the numbers leave.
std::string progress_line(const Status& status, int width);

}  // namespace vmmi::app
