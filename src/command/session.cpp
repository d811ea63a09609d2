// SPDX-License-Identifier: Apache-2.0
#include "command/session.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <string_view>

#include "command/progress.h"

namespace vmmi::command {

Session::Session(const CommandLine& line) : line_(line) {
    vmmi_options options{};
    options.size = sizeof options;
    if (!line.plugin_directory.empty()) options.plugin_directory = line.plugin_directory.c_str();
    // Where no migration is meant, nothing is looked for.
    if (line.verb == CommandLine::Verb::plugins || line.verb == CommandLine::Verb::check)
        options.runtime_directory = "";
    else if (!line.runtime_directory.empty())
        options.runtime_directory = line.runtime_directory.c_str();
    Failure failure;
    if (vmmi_context_new(&options, &context_, &failure) != VMMI_OK) tell(failure);
}

std::optional<vmmi_parameters> Session::parameters() {
    vmmi_parameters parameters{};
    parameters.size = sizeof parameters;
    parameters.vm = line_.vm.c_str();
    parameters.destination = line_.destination.c_str();
    parameters.plugin = line_.policy.c_str();
    if (!line_.migration_uri.empty()) parameters.migration_uri = line_.migration_uri.c_str();
    if (!line_.connection.empty()) parameters.connection = line_.connection.c_str();
    if (!line_.config.empty()) {
        if (const std::string why = read_configuration(); !why.empty()) {
            std::fprintf(stderr, "vmmi: --config %s: %s\n", line_.config.c_str(), why.c_str());
            return std::nullopt;
        }
        parameters.configuration = configuration_.c_str();
    }
    environment_.clear();
    for (const std::string& one : line_.environment) environment_.push_back(one.c_str());
    environment_.push_back(nullptr);
    parameters.environment = environment_.data();
    return parameters;
}

/// Why it is of no use, or nothing. What has no end is not read to its end.
std::string Session::read_configuration() {
    constexpr std::size_t longest = std::size_t{1} << 20;  // SPEC.md, CFG-14
    std::ifstream file;
    const bool standard = line_.config == "-";
    if (!standard) file.open(line_.config, std::ios::binary);
    if (!standard && !file.is_open()) return std::strerror(errno);
    std::istream& stream = standard ? std::cin : file;
    configuration_.assign(longest + 1, '\0');
    stream.read(configuration_.data(), static_cast<std::streamsize>(configuration_.size()));
    if (stream.bad()) return std::strerror(errno);
    configuration_.resize(static_cast<std::size_t>(stream.gcount()));
    if (configuration_.size() > longest)
        return fmt::format("longer than {} bytes, so it is no configuration message", longest);
    if (const std::size_t zero = configuration_.find('\0'); zero != std::string::npos)
        return fmt::format("byte {} is a zero, so it is no JSON", zero + 1);
    return {};
}

bool Session::find_guest(vmmi_parameters& parameters) {
    std::array<char, 37> uuid{};
    std::array<char, 256> name{};
    Failure failure;
    const int code = vmmi_find_domain(&parameters, uuid.data(), name.data(), &failure);
    if (code == VMMI_VM_UNKNOWN) {
        tell(failure);
        return false;
    }
    // Where this program cannot ask, with a password for instance, the plugin can: it takes names, too.
    if (code != VMMI_OK) return true;
    uuid_ = uuid.data();
    name_ = name.data();
    parameters.vm = uuid_.c_str();
    parameters.vm_name = name_.c_str();
    return true;
}

std::vector<std::string> Session::find_migrations(const std::string& name) const {
    vmmi_list* list = nullptr;
    if (vmmi_list_new(context_, &list, nullptr) != VMMI_OK) return {};
    std::map<std::string, std::string> guests;  // what each connection knows by that name
    std::vector<std::string> running;
    std::vector<std::string> ended;
    for (std::size_t i = 0; i < vmmi_list_count(list); ++i) {
        vmmi_item item{};
        item.size = sizeof item;
        if (vmmi_list_item(list, i, &item) != VMMI_OK) continue;
        const auto [guest, is_new] = guests.try_emplace(item.connection);
        vmmi_parameters asked{};
        asked.size = sizeof asked;
        asked.vm = name.c_str();
        asked.connection = item.connection;
        std::array<char, 37> uuid{};
        if (is_new && vmmi_find_domain(&asked, uuid.data(), nullptr, nullptr) == VMMI_OK) guest->second = uuid.data();
        if (guest->second.empty() || !std::string_view(item.id).starts_with(guest->second + ".")) continue;
        (item.running != 0 ? running : ended).emplace_back(item.id);
    }
    vmmi_list_free(list);
    if (running.empty() && !ended.empty()) running.push_back(ended.back());
    return running;
}

int Session::tell(const vmmi_error& error) const {
    if (line_.json) {
        std::printf("{\"error\": {\"code\": %d, \"message\": %s, \"details\": %s}}\n", error.code,
                    json_string(error.message).c_str(), json_string(error.details).c_str());
        std::fflush(stdout);
    } else {
        std::fprintf(stderr, "vmmi: %s (%d): %s\n", error.message, error.code, error.details);
    }
    return exit_status(error.code);
}

}  // namespace vmmi::command
