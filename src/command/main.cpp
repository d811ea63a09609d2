// SPDX-License-Identifier: Apache-2.0
/// The command `vmmi`: what libvmmi does, for people at a shell.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string>
#include <vector>

#include "command/progress.h"
#include "command/request.h"
#include "command/session.h"
#include "command/watch.h"
#include "vmmi/libvmmi.h"

namespace vmmi::command {
namespace {

int run(const CommandLine& line, Session& session) {
    std::optional<vmmi_parameters> parameters = session.parameters();
    if (!parameters) return usage;
    if (!session.find_guest(*parameters)) return not_found;
    Watch::take_interrupts();
    vmmi_migration* migration = nullptr;
    Failure failure;
    if (vmmi_start(session.context(), &*parameters, &migration, &failure) != VMMI_OK) return session.tell(failure);
    if (line.background) {
        std::printf("%s\n", vmmi_migration_id(migration));
        return succeeded;
    }
    return exit_status(Watch(line, session, migration).follow(true));
}

int check(const CommandLine& line, Session& session) {
    std::optional<vmmi_parameters> parameters = session.parameters();
    if (!parameters) return usage;
    char* json = nullptr;
    Failure failure;
    const int code = vmmi_check(session.context(), &*parameters, 0, &json, &failure);
    if (json != nullptr && line.json) std::printf("%s\n", json);
    vmmi_free(json);
    if (code != VMMI_OK) return line.json && json != nullptr ? exit_status(code) : session.tell(failure);
    if (!line.json) std::printf("ready\n");
    return succeeded;
}

void add(Failure& failure, const std::string& text) {
    const std::string details = failure.details + text;
    failure.details[details.copy(failure.details, sizeof failure.details - 1)] = '\0';
}

vmmi_migration* attach(const CommandLine& line, Session& session, int& status) {
    vmmi_migration* migration = nullptr;
    Failure failure;
    int code = vmmi_attach(session.context(), line.vm.c_str(), &migration, &failure);
    if (code == VMMI_E_NOT_FOUND) {
        const std::vector<std::string> ids = session.find_migrations(line.vm);
        if (ids.size() == 1) code = vmmi_attach(session.context(), ids[0].c_str(), &migration, &failure);
        if (ids.size() > 1)
            add(failure, fmt::format("; but on guests of that name, as {}: say one of these", fmt::join(ids, " and ")));
    }
    if (code != VMMI_OK) status = session.tell(failure);
    return migration;
}

int watch(const CommandLine& line, Session& session) {
    Watch::take_interrupts();
    int status = failed;
    vmmi_migration* migration = attach(line, session, status);
    return migration != nullptr ? exit_status(Watch(line, session, migration).follow(true)) : status;
}

/// Waits for the answer, or for the end that came instead.
int status(const CommandLine& line, Session& session) {
    int exit = failed;
    vmmi_migration* migration = attach(line, session, exit);
    if (migration == nullptr) return exit;
    Failure failure;
    const int asked = vmmi_migration_request_status(migration, &failure);
    if (asked != VMMI_OK && asked != VMMI_E_NOT_FOUND) return session.tell(failure);
    while (true) {
        vmmi_wait(session.context(), -1, nullptr);
        int event = VMMI_EVENT_NONE;
        while (vmmi_next_event(session.context(), &event) != nullptr) {
            if (event == VMMI_EVENT_ENDED) return exit_status(Watch(line, session, migration).show_end(false));
            vmmi_status values{};
            values.size = sizeof values;
            if (event == VMMI_EVENT_NO_STATUS) {
                vmmi_migration_status(migration, &values, &failure);
                return session.tell(failure);
            }
            if (event != VMMI_EVENT_STATUS) continue;
            vmmi_migration_status(migration, &values, nullptr);
            std::printf("%s\n", line.json ? vmmi_migration_status_json(migration) : numbers(values).c_str());
            if (!line.json && values.last_action[0] != '\0')
                std::printf("      %s: %s\n", values.last_action, values.last_action_reason);
            return succeeded;
        }
    }
}

/// The source's libvirt, where the job of a plugin that was killed goes on.
int force(const CommandLine& line, Session& session, vmmi_migration* migration) {
    const std::string id = vmmi_migration_id(migration);
    vmmi_list* list = nullptr;
    Failure failure;
    std::string connection;
    std::string vm = line.vm;
    if (vmmi_list_new(session.context(), &list, &failure) != VMMI_OK) return session.tell(failure);
    for (std::size_t i = 0; i < vmmi_list_count(list); ++i) {
        vmmi_item item{};
        item.size = sizeof item;
        if (vmmi_list_item(list, i, &item) != VMMI_OK || id != item.id) continue;
        connection = item.connection;
        vm = item.vm;
    }
    vmmi_list_free(list);
    const std::string by_hand = fmt::format("virsh --connect '{}' domjobabort '{}'", connection, vm);
    vmmi_parameters guest{};
    guest.size = sizeof guest;
    guest.connection = connection.c_str();
    guest.vm = vm.c_str();
    // Without a plugin and without libvirt, the migration would be nobody's.
    if (vmmi_find_domain(&guest, nullptr, nullptr, &failure) != VMMI_OK) {
        add(failure, "; the plugin was not killed. Where libvirt can be reached, this aborts the job: " + by_hand);
        return session.tell(failure);
    }
    if (vmmi_migration_kill(migration, &failure) != VMMI_OK) return session.tell(failure);
    if (vmmi_abort_job(connection.c_str(), vm.c_str(), &failure) != VMMI_OK) {
        add(failure, "; the plugin was killed, and where its job goes on, this aborts it: " + by_hand);
        return session.tell(failure);
    }
    std::printf("the plugin was killed, and libvirt has aborted the guest's job\n");
    return succeeded;
}

int tell_to_end(const CommandLine& line, Session& session) {
    const bool abort = line.verb == CommandLine::Verb::abort;
    // Whoever has a plugin leave does not want an abort: an interrupt ends this program alone.
    if (abort) Watch::take_interrupts();
    int exit = failed;
    vmmi_migration* migration = attach(line, session, exit);
    if (migration == nullptr) return exit;
    if (line.force) return force(line, session, migration);
    Failure failure;
    const int told = abort ? vmmi_migration_abort(migration, &failure) : vmmi_migration_detach(migration, &failure);
    if (told != VMMI_OK && told != VMMI_E_NOT_FOUND) return session.tell(failure);
    const int code = Watch(line, session, migration).follow(false);
    if (code == (abort ? VMMI_MIGRATION_ABORTED : VMMI_DETACHED)) return succeeded;
    // It was done before it could be aborted.
    return code == VMMI_OK ? failed : exit_status(code);
}

std::string since(std::int64_t started) {
    const std::int64_t seconds = std::max<std::int64_t>(std::time(nullptr) - started, 0);
    return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string shown_name(const vmmi_item& item) {
    return item.vm_name[0] != '\0' ? item.vm_name : item.vm;
}

std::string to_json(const vmmi_item& item) {
    return fmt::format(
        R"({{"id": {}, "vm": {}, "name": {}, "plugin": {}, "connection": {}, "destination": {}, "migrationUri": {}, )"
        R"("started": {}, "running": {}, "pid": {}}})",
        json_string(item.id), json_string(item.vm), json_string(item.vm_name), json_string(item.plugin),
        json_string(item.connection), json_string(item.destination), json_string(item.migration_uri), item.started,
        item.running != 0, item.pid != 0 ? std::to_string(item.pid) : "null");
}

int list(const CommandLine& line, Session& session) {
    vmmi_list* items = nullptr;
    Failure failure;
    if (vmmi_list_new(session.context(), &items, &failure) != VMMI_OK) return session.tell(failure);
    const bool table = !line.json && !line.names;
    if (table && vmmi_list_count(items) > 0)
        fmt::print("{:<36}  {:<24} {:<8} {:>9}  {}\n", "VM", "PLUGIN", "STATE", "SINCE", "DESTINATION");
    for (std::size_t i = 0; i < vmmi_list_count(items); ++i) {
        vmmi_item item{};
        item.size = sizeof item;
        if (vmmi_list_item(items, i, &item) != VMMI_OK) continue;
        if (line.json)
            fmt::print("{}\n", to_json(item));
        else if (line.names)
            fmt::print("{}\n", shown_name(item));
        else
            fmt::print("{:<36}  {:<24} {:<8} {:>9}  {}\n", shown_name(item), item.plugin,
                       item.running != 0 ? "running" : "ended", since(item.started), item.destination);
    }
    vmmi_list_free(items);
    return succeeded;
}

int plugins(const CommandLine& line, Session& session) {
    vmmi_plugins* items = nullptr;
    Failure failure;
    if (vmmi_plugins_new(session.context(), line.names ? 0 : 1, &items, &failure) != VMMI_OK)
        return session.tell(failure);
    for (std::size_t i = 0; i < vmmi_plugins_count(items); ++i) {
        vmmi_plugin plugin{};
        plugin.size = sizeof plugin;
        if (vmmi_plugins_item(items, i, &plugin) != VMMI_OK) continue;
        if (line.json)
            fmt::print(R"({{"name": {}, "version": {}, "summary": {}}})"
                       "\n",
                       json_string(plugin.name), json_string(plugin.version), json_string(plugin.summary));
        else if (line.names)
            fmt::print("{}\n", plugin.name);
        else
            fmt::print("{:<24} {:<8} {}\n", plugin.name, plugin.version, plugin.summary);
    }
    vmmi_plugins_free(items);
    return succeeded;
}

int carry_out(const CommandLine& line) {
    Session session(line);
    if (!session) return failed;
    switch (line.verb) {
        case CommandLine::Verb::run:
            return run(line, session);
        case CommandLine::Verb::check:
            return check(line, session);
        case CommandLine::Verb::attach:
            return watch(line, session);
        case CommandLine::Verb::status:
            return status(line, session);
        case CommandLine::Verb::abort:
        case CommandLine::Verb::detach:
            return tell_to_end(line, session);
        case CommandLine::Verb::list:
            return list(line, session);
        case CommandLine::Verb::plugins:
            return plugins(line, session);
        case CommandLine::Verb::none:
            break;
    }
    return usage;
}

}  // namespace
}  // namespace vmmi::command

int main(int argc, char** argv) {
    try {
        const vmmi::command::Parsed parsed = vmmi::command::parse(argc, argv);
        return parsed.status ? *parsed.status : vmmi::command::carry_out(parsed.line);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "vmmi: %s\n", error.what());
        return vmmi::command::failed;
    }
}
