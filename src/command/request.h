// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace vmmi::command {

/// What the command line asks for.
struct CommandLine {
    enum class Verb { none, run, list, status, abort, detach, attach, plugins, check };

    Verb verb = Verb::none;
    std::string vm;
    std::string destination;
    std::string migration_uri;
    std::string policy = "precopy";
    std::string config;
    std::string connection;
    std::vector<std::string> environment;
    std::string plugin_directory;
    std::string runtime_directory;
    double interval = 0;  ///< seconds between two looks; 0: as it suits the output
    bool json = false;
    bool names = false;
    bool background = false;
    bool force = false;
};

/// The command line, or the exit status where there is no more to do: --help, or a mistake that was told.
struct Parsed {
    CommandLine line;
    std::optional<int> status{};
};
Parsed parse(int argc, const char* const* argv);

/// Exit statuses, as the manual page has them.
enum Exit {
    succeeded = 0,
    failed = 1,     ///< the migration failed; the guest is where the message says
    usage = 2,      ///< a wrong call, or a configuration that is refused: nothing was started
    not_found = 3,  ///< no such migration, plugin or guest
    aborted = 4,    ///< the migration was aborted
    open_end = 5,   ///< the migration may go on: the plugin left, crashed, or lost its connection
};
/// The status for a code of the library.
int exit_status(int code);

}  // namespace vmmi::command
