// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.h"

#include <string>
#include <vector>

#include "precopy.h"
#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;

namespace {

constexpr std::string_view secret = "hunter2";

/// A URI whose password is the secret, and nothing else of the secret.
bool hides(std::string_view argument) {
    constexpr std::string_view before = "://u:";
    const std::size_t begin = argument.find(secret);
    if (begin < before.size() || argument.find_first_of(":?") != begin - before.size()) return false;
    if (argument.substr(begin - before.size(), before.size()) != before) return false;
    const std::size_t end = begin + secret.size();
    return argument.substr(end).starts_with('@') && argument.find(secret, end) == std::string_view::npos;
}

}  // namespace

/// Arguments with null bytes between them.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Plugin plugin = precopy::plugin();
    std::vector<std::string> arguments{"precopy"};
    for (std::string_view rest = text_of(data, size); !rest.empty();) {
        const std::size_t end = std::min(rest.find('\0'), rest.size());
        arguments.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    std::vector<const char*> argv;
    bool hidden = true;
    for (const std::string& argument : arguments) {
        argv.push_back(argument.c_str());
        hidden = hidden && (argument.find(secret) == std::string::npos || hides(argument));
    }
    argv.push_back(nullptr);

    const Result<cli::CommandLine> line = cli::parse_command_line(static_cast<int>(arguments.size()), argv.data());
    if (!line) {
        require_sound(line.error(), {ErrorCode::malformed_parameters, ErrorCode::missing_parameters});
        if (hidden) require(line.error().details.find(secret) == std::string::npos, "an error shows no password");
        return 0;
    }
    if (line->config) {
        require(!line->config->empty() && !has_control_characters(*line->config), "CONFIG is a path");
        require(std::ranges::find(arguments, *line->config) != arguments.end(), "CONFIG is an argument");
    }
    using Mode = cli::CommandLine::Mode;
    if (line->mode != Mode::migrate && line->mode != Mode::check) return 0;
    for (const std::string& value : {line->vm, line->destination_uri, line->migration_uri}) {
        require(!value.empty() && !has_control_characters(value), "an argument is text");
        require(std::ranges::find(arguments, value) != arguments.end(), "an argument is taken as it is");
    }
    for (const std::string& uri : {line->destination_uri, line->migration_uri}) {
        const std::size_t colon = uri.find(':');
        require(colon > 0 && colon + 1 < uri.size(), "a URI has a scheme and something behind it");
    }
    return 0;
}
