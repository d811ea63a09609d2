// SPDX-License-Identifier: Apache-2.0
/// Supervises many migrations in one thread, by the library alone, and tells what that costs this process.
///
///     many PLUGIN-DIRECTORY RUNTIME-DIRECTORY PLUGIN STATUS-INTERVAL-MS < LINES
///
/// Each line is one migration: VM, destination, migration URI, configuration file, and variables for its environment,
/// separated by tabs. When all are under way, "all N" is printed, and at the end a line of JSON.
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "vmmi/libvmmi.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double cpu() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Of this process, in KiB: memory that is its own.
long private_memory() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("RssAnon:")) return std::atol(line.c_str() + 8);
    return 0;
}

[[noreturn]] void give_up(const char* what, const vmmi_error& error) {
    std::fprintf(stderr, "%s: %s: %s\n", what, error.message, error.details);
    std::exit(1);
}

/// A line has the guest, the destination, the migration URI, a configuration file and environment variables.
vmmi_migration* start(vmmi_context* context, const char* plugin, const std::string& line) {
    std::vector<std::string> words;
    std::istringstream stream(line);
    for (std::string word; std::getline(stream, word, '\t');) words.push_back(word);
    std::ifstream file(words.at(3));
    const std::string configuration(std::istreambuf_iterator<char>(file), {});
    std::vector<const char*> environment;
    for (std::size_t i = 4; i < words.size(); ++i) environment.push_back(words[i].c_str());
    environment.push_back(nullptr);
    vmmi_parameters parameters{};
    parameters.size = sizeof parameters;
    parameters.vm = words[0].c_str();
    parameters.destination = words[1].c_str();
    parameters.migration_uri = words[2].c_str();
    parameters.plugin = plugin;
    parameters.configuration = configuration.c_str();
    parameters.environment = environment.data();
    vmmi_error error{};
    error.size = sizeof error;
    vmmi_migration* migration = nullptr;
    if (vmmi_start(context, &parameters, &migration, &error) != VMMI_OK) give_up(words[0].c_str(), error);
    return migration;
}

struct Seen {
    std::size_t ended = 0;
    std::size_t succeeded = 0;
    std::size_t statuses = 0;
    std::size_t missed = 0;
};

void count(vmmi_migration* migration, int event, Seen& seen) {
    seen.statuses += event == VMMI_EVENT_STATUS ? 1 : 0;
    seen.missed += event == VMMI_EVENT_NO_STATUS ? 1 : 0;
    if (event != VMMI_EVENT_ENDED) return;
    ++seen.ended;
    vmmi_error error{};
    error.size = sizeof error;
    if (vmmi_migration_result(migration, nullptr, &error) == VMMI_OK)
        ++seen.succeeded;
    else
        std::fprintf(stderr, "%s: %s\n", error.message, error.details);
    vmmi_migration_collect(migration, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    // Three descriptors a migration, some for the process.
    rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);

    vmmi_error error{};
    error.size = sizeof error;
    vmmi_options options{};
    options.size = sizeof options;
    options.plugin_directory = argv[1];
    options.runtime_directory = argv[2];
    const std::chrono::milliseconds interval(std::atoi(argv[4]));
    vmmi_context* context = nullptr;
    if (vmmi_context_new(&options, &context, &error) != VMMI_OK) give_up("context", error);

    const long memory_before = private_memory();
    const double cpu_before = cpu();
    const Clock::time_point began = Clock::now();
    std::vector<vmmi_migration*> migrations;
    for (std::string line; std::getline(std::cin, line);) {
        migrations.push_back(start(context, argv[3], line));
    }
    const double starting = std::chrono::duration<double>(Clock::now() - began).count();
    const double cpu_started = cpu();
    const long memory_started = private_memory();
    std::printf("all %zu\n", migrations.size());
    std::fflush(stdout);

    Seen seen;
    long memory_most = memory_started;
    Clock::time_point next = Clock::now() + interval;
    while (seen.ended < migrations.size()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
        pollfd source{vmmi_context_fd(context), POLLIN, 0};
        ::poll(&source, 1, left > 0 ? static_cast<int>(left) : 0);
        if (Clock::now() >= next) {
            for (vmmi_migration* migration : migrations) vmmi_migration_request_status(migration, nullptr);
            next += interval;
            memory_most = std::max(memory_most, private_memory());
        }
        vmmi_dispatch(context, nullptr);
        int event = VMMI_EVENT_NONE;
        while (vmmi_migration* migration = vmmi_next_event(context, &event)) {
            count(migration, event, seen);
        }
    }
    const double lasted = std::chrono::duration<double>(Clock::now() - began).count() - starting;
    std::printf(
        "{\"migrations\": %zu, \"succeeded\": %zu, \"statuses\": %zu, \"missed\": %zu, \"startMs\": %.2f, "
        "\"startCpuMs\": %.3f, "
        "\"supervisedSeconds\": %.1f, \"cpuMs\": %.1f, \"privateKiB\": %ld, \"baseKiB\": %ld}\n",
        migrations.size(), seen.succeeded, seen.statuses, seen.missed, 1000 * starting,
        1000 * (cpu_started - cpu_before), lasted, 1000 * (cpu() - cpu_started), memory_most - memory_before,
        memory_before);
    vmmi_context_free(context);
    return seen.succeeded == migrations.size() ? 0 : 1;
}
