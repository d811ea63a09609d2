// SPDX-License-Identifier: Apache-2.0
#include "command/request.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <cstdlib>

#include "vmmi/libvmmi.h"

namespace vmmi::command {
namespace {

using Verb = CommandLine::Verb;

constexpr const char* top_help =
    R"(vmmi: migrate guests by VMMI plugins, and look after the migrations that are in progress

Usage:
  vmmi run [OPTION]... VM DESTINATION [MIGRATION-URI]   migrate a guest, with live progress
  vmmi list                     migrations in progress, and ends that nobody has seen
  vmmi status VM                what the plugin of this guest says
  vmmi attach VM                watch a migration that is in progress, or see its end
  vmmi abort VM                 abort it, and wait for its end
  vmmi detach VM                have the plugin leave; the migration goes on without it
  vmmi plugins                  the installed plugins
  vmmi check VM DESTINATION [MIGRATION-URI]   whether a migration could be started

  VM is a UUID or a name. DESTINATION is the libvirt URI of the other host, such as qemu+ssh://host2/system;
  without MIGRATION-URI, the memory goes to tcp:// and the host of DESTINATION.

Options of run and check:
  --policy NAME                 the plugin (precopy); see vmmi plugins
  --config FILE                 its configuration message, or - for standard input (/etc/vmmi/conf.d/NAME.json)
  --connect URI                 libvirt of the source (what the configuration says, else qemu:///system)
  --env NAME=VALUE              one more variable for the plugin's environment; may be repeated
  --background                  run: start it, print its id and return; vmmi attach watches it

Options of more than one command:
  --json                        messages and lists for machines, one JSON document a line
  --interval SECONDS            run, attach, abort: between two looks (1 on a terminal, else 5)
  --force                       abort: kill a plugin that does not end, and abort its job through libvirt
  --names                       list, plugins: only names, one a line
  --plugin-dir DIR              where plugins are (/usr/libexec/vmmi)
  --runtime-dir DIR             where handles are (root: /run/vmmi/migrations, else below $XDG_RUNTIME_DIR)
  -h, --help                    print this help and exit
  -V, --version                 print the version and exit

Keys while it runs:
  Ctrl-C                        abort the migration
  Ctrl-C again                  ask whether the plugin is to leave at once, the migration as it is

Exit status:
  0  done as asked    1  the migration failed    2  wrong call or configuration    3  no such migration, plugin or guest
  4  aborted          5  open: the migration may go on without a plugin
)";

struct Known {
    const char* name;
    Verb verb;
    bool vm;
    bool destination;
};
constexpr Known commands[] = {
    {"run", Verb::run, true, true},        {"list", Verb::list, false, false},
    {"status", Verb::status, true, false}, {"attach", Verb::attach, true, false},
    {"abort", Verb::abort, true, false},   {"detach", Verb::detach, true, false},
    {"check", Verb::check, true, true},    {"plugins", Verb::plugins, false, false},
};

void declare(CLI::App& app, const Known& known, CommandLine& line) {
    CLI::App& command = *app.add_subcommand(known.name);
    command.set_help_flag();
    command.add_flag("-h,--help", [](std::int64_t) { throw CLI::CallForHelp(); });
    command.add_option("--plugin-dir", line.plugin_directory);
    command.add_option("--runtime-dir", line.runtime_directory);
    command.add_flag("--json", line.json);
    if (known.vm) command.add_option("VM", line.vm)->required();
    if (known.destination) {
        command.add_option("DESTINATION", line.destination)->required();
        command.add_option("MIGRATION-URI", line.migration_uri);
        command.add_option("--policy", line.policy);
        command.add_option("--config", line.config);
        command.add_option("--connect", line.connection);
        command.add_option("--env", line.environment)->allow_extra_args(false);
    }
    if (known.verb == Verb::run) command.add_flag("--background", line.background);
    if (known.verb == Verb::run || known.verb == Verb::attach || known.verb == Verb::abort)
        command.add_option("--interval", line.interval)->check(CLI::Range(0.05, 3600.0));
    if (known.verb == Verb::abort) command.add_flag("--force", line.force);
    if (known.verb == Verb::list || known.verb == Verb::plugins) command.add_flag("--names", line.names);
    command.callback([&line, verb = known.verb] { line.verb = verb; });
}

}  // namespace

Parsed parse(int argc, const char* const* argv) {
    Parsed parsed;
    CLI::App app{"", "vmmi"};
    app.set_help_flag();
    app.add_flag("-h,--help", [](std::int64_t) { throw CLI::CallForHelp(); });
    app.add_flag("-V,--version", [](std::int64_t) { throw CLI::CallForVersion(); });
    app.require_subcommand(1);
    for (const Known& known : commands) declare(app, known, parsed.line);
    if (const char* directory = std::getenv("VMMI_PLUGIN_DIR")) parsed.line.plugin_directory = directory;
    if (const char* directory = std::getenv("VMMI_MIGRATIONS_DIR")) parsed.line.runtime_directory = directory;
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        std::fputs(top_help, stdout);
        parsed.status = succeeded;
    } catch (const CLI::CallForVersion&) {
        std::printf("vmmi %s\n", vmmi_version());
        parsed.status = succeeded;
    } catch (const CLI::ParseError& error) {
        std::fprintf(stderr, "vmmi: %s; see vmmi --help\n", error.what());
        parsed.status = usage;
    }
    return parsed;
}

int exit_status(int code) {
    switch (code) {
        case VMMI_OK:
            return succeeded;
        case VMMI_BAD_FILE_PATH:
        case VMMI_CONFIGURATION_FAILED:
        case VMMI_MALFORMED_PARAMETERS:
        case VMMI_MALFORMED_CONFIGURATION:
        case VMMI_MISSING_PARAMETERS:
        case VMMI_E_MISUSE:
            return usage;
        case VMMI_VM_UNKNOWN:
        case VMMI_E_NOT_FOUND:
        case VMMI_E_PLUGIN:
            return not_found;
        case VMMI_MIGRATION_ABORTED:
            return aborted;
        case VMMI_LIBVIRT_DISCONNECTED:
        case VMMI_DETACHED:
        case VMMI_E_CRASHED:
        case VMMI_E_PROTOCOL:
        case VMMI_E_FLOOD:
        case VMMI_E_STUCK:
        case VMMI_E_NO_ANSWER:
        case VMMI_E_OUT_OF_REACH:
            return open_end;
        default:
            return failed;
    }
}

}  // namespace vmmi::command
