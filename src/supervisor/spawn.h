// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "system/fd.h"
#include "vmmi/result.h"

namespace vmmi::supervisor {

/// A program to start.
struct Program {
    std::string path;
    std::vector<std::string> arguments;    ///< without the program's name
    std::vector<std::string> environment;  ///< all of it: see `clean_environment`
    int input = -1;                        ///< its standard streams
    int output = -1;
    int error = -1;
    /// Where the new process writes its line of /proc/self/stat before it becomes the program, or -1: whatever happens
    /// to this process then, the program never runs without its identity in that file.
    int identity = -1;
    std::uint64_t largest_file = 0;  ///< soft limit of the size of the files it writes; 0: as here
};

/// A process that is known by a descriptor, so that no signal ever reaches another one that got its number.
struct Child {
    pid_t pid = 0;
    system::Fd pidfd;
};

/// Starts it in a session of its own, in /, with nothing of this process but its user, its limits and its namespaces:
/// no descriptor but the standard ones, no signal ignored. SIGUSR1, SIGTERM and SIGINT are blocked, so that none can
/// come before a plugin is ready for it (SPEC.md, chapter 6). May be called by any thread, and costs the same however
/// much memory this process has. Fails with VMMI_E_SYSTEM.
Result<Child> spawn(const Program& program);

/// What of this process's environment a plugin gets, and then what the caller adds or replaces.
std::vector<std::string> clean_environment(const std::vector<std::string>& more);

/// How a process ended.
struct Ending {
    int exit_status = -1;  ///< -1: a signal ended it, or unknown
    int signal = 0;
};
/// To be called when `pidfd` is readable. Where the process is no child of ours, or somebody else waited for it, the
/// kernel is asked, which tells since Linux 6.15.
Ending ending_of(int pidfd);

}  // namespace vmmi::supervisor
