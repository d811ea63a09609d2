// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "command/request.h"
#include "command/session.h"
#include "system/fd.h"
#include "vmmi/libvmmi.h"

namespace vmmi::command {

/// Follows one migration to its end, and shows it: a bar on a terminal, lines elsewhere, messages for machines. The
/// first Ctrl-C aborts; the next one asks whether to detach, or detaches where there is nobody to ask.
class Watch {
  public:
    Watch(const CommandLine& line, Session& session, vmmi_migration* migration);

    /// Returns the code of the migration, as the library gives it. `collect`: its end has been seen, and its handle may
    /// go.
    int follow(bool collect);

    /// Shows how a migration ended that has ended; returns its code.
    int show_end(bool collect);

    /// Blocks SIGINT, which `follow` waits for. Before anything is started, so that none comes too early.
    static void take_interrupts();

  private:
    void show_status();
    void show_line(const std::string& text);
    void say(const std::string& text);
    void interrupted();
    void answered();

    const CommandLine& line_;
    Session& session_;
    vmmi_migration* migration_;
    system::Fd interrupts_;
    bool terminal_;
    std::chrono::milliseconds interval_;
    bool drawn_ = false;
    bool aborting_ = false;
    system::Fd question_;  ///< the terminal that it was put to
};

}  // namespace vmmi::command
