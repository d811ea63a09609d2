// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace vmmi::system {

/// Nobody can catch SIGSTOP, and a stopped plugin leaves a migration without supervision. So a small process of our own
/// watches the state of this one: where it finds it stopped, it sends it SIGINT, marked as its own, and lets it go on.
///
/// It is in a session of its own, so that what stops a whole process group does not stop it. It knows this process by a
/// descriptor, so it never signals another one that got the number; it holds no descriptor but its own, and ends with
/// this process, however that ends. Tracing by a debugger is no stop.
class Guard {
  public:
    /// Starts it, once in a process; if that fails, there is none, and SIGSTOP only stops.
    Guard();

    explicit operator bool() const { return started_; }

    /// What the marked SIGINT carries.
    static constexpr int mark = 0x564d4d49;

    /// Whether a line of /proc/PID/stat tells of a stopped process.
    static bool tells_a_stop(std::string_view stat);

  private:
    bool started_ = false;
};

}  // namespace vmmi::system
