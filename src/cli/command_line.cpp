// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <getopt.h>

#include <algorithm>
#include <array>

#include "core/configuration.h"
#include "core/describe.h"
#include "core/redact.h"

namespace vmmi::cli {
namespace {

struct Argument {
    const char* name;
    const char* help;
};
constexpr std::array<Argument, 4> positionals{{
    {"VM", "UUID or name of the guest"},
    {"DESTINATION-URI", "libvirt URI of the destination host, as the source host reaches it"},
    {"MIGRATION-URI", "where the hypervisor sends the guest's memory, for example tcp://HOST"},
    {"CONFIG", "file with the configuration message, or - for standard input"},
}};
constexpr std::array<Argument, 5> options{{
    {"--help", "print this help and exit"},
    {"--version", "print the version and exit"},
    {"--print-config", "print the effective configuration, secrets masked, and exit; VM and the URIs may be left out"},
    {"--check", "check everything up to the start, change nothing, print a report and exit"},
    {"--progress", "show a live progress bar on the controlling terminal"},
}};

Error malformed(std::string details) {
    return {ErrorCode::malformed_parameters, "malformed parameters", std::move(details) + "; see --help"};
}

bool has_control_characters(std::string_view text) {
    return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// RFC 3986, section 3.1: what comes before the first colon.
bool has_scheme(std::string_view uri) {
    const std::size_t colon = uri.find(':');
    if (colon == std::string_view::npos || colon + 1 == uri.size()) return false;
    if (!((uri[0] >= 'a' && uri[0] <= 'z') || (uri[0] >= 'A' && uri[0] <= 'Z'))) return false;
    return std::ranges::all_of(uri.substr(0, colon), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-' ||
               c == '.';
    });
}

std::optional<Error> check_uri(const char* name, std::string_view uri, const char* example) {
    if (has_scheme(uri) && !has_control_characters(uri)) return std::nullopt;
    return malformed(fmt::format("{}: expected a URI such as {}, got {}", name, example, quote(redact_uri(uri))));
}

std::optional<Error> check(const CommandLine& line) {
    struct Given {
        const char* name;
        const std::string& value;
    };
    std::vector<const char*> missing;
    for (const Given& given : {Given{"VM", line.vm}, Given{"DESTINATION-URI", line.destination_uri},
                               Given{"MIGRATION-URI", line.migration_uri}}) {
        if (given.value.empty()) missing.push_back(given.name);
    }
    if (!missing.empty()) {
        return Error{ErrorCode::missing_parameters, "missing parameters",
                     fmt::format("missing or empty: {}; see --help", fmt::join(missing, ", "))};
    }
    if (has_control_characters(line.vm))
        return malformed(fmt::format("VM: control characters in {}", quote(redact_uri(line.vm))));
    if (auto error = check_uri("DESTINATION-URI", line.destination_uri, "qemu+ssh://host/system")) return error;
    return check_uri("MIGRATION-URI", line.migration_uri, "tcp://host");
}

/// The arguments as they are, but for passwords in URIs; the first few, since there may be thousands.
Error unexpected(const std::vector<std::string>& arguments) {
    constexpr std::size_t most = 5;
    std::vector<std::string> shown;
    for (const std::string& argument : arguments) {
        if (shown.size() == most) break;
        shown.push_back(quote(redact_uri(argument)));
    }
    const std::string more =
        arguments.size() > most ? fmt::format(" and {} more", arguments.size() - most) : std::string();
    return malformed(fmt::format("unexpected: {}{}", fmt::join(shown, ", "), more));
}

struct Arguments {
    bool help = false;
    bool version = false;
    bool print_config = false;
    bool check = false;
    bool progress = false;
    std::vector<std::string> operands;
    std::vector<std::string> unknown;
};

/// With getopt and not CLI11, whose streams initialize the locales of the C++ library: half a MiB of every plugin.
Arguments tell_apart(int argc, const char* const* argv) {
    constexpr std::array<option, 6> known{{{"help", no_argument, nullptr, 'h'},
                                           {"version", no_argument, nullptr, 'V'},
                                           {"print-config", no_argument, nullptr, 'p'},
                                           {"check", no_argument, nullptr, 'c'},
                                           {"progress", no_argument, nullptr, 'b'},
                                           {}}};
    constexpr int operand = 1;
    Arguments arguments;
    opterr = 0;
    optind = 0;
    for (;;) {
        const int at = std::max(optind, 1);
        int which = -1;
        // The dash first: operands are told in their order, and the array stays as it is.
        const int found = getopt_long(argc, const_cast<char* const*>(argv), "-hV", known.data(), &which);
        if (found == -1) break;
        const bool abbreviated =
            which >= 0 && std::string_view(argv[at]).substr(2) != known[static_cast<std::size_t>(which)].name;
        switch (abbreviated ? '?' : found) {
            case operand:
                arguments.operands.emplace_back(optarg);
                break;
            case 'h':
                arguments.help = true;
                break;
            case 'V':
                arguments.version = true;
                break;
            case 'p':
                arguments.print_config = true;
                break;
            case 'c':
                arguments.check = true;
                break;
            case 'b':
                arguments.progress = true;
                break;
            default:
                arguments.unknown.emplace_back(argv[at]);
        }
    }
    for (int i = optind; i < argc; ++i) arguments.operands.emplace_back(argv[i]);
    return arguments;
}

std::string type_of(const Key& key) {
    switch (key.type) {
        case Key::Type::boolean:
            return "boolean";
        case Key::Type::integer:
            return key.minimum && key.maximum ? fmt::format("integer {}..{}", *key.minimum, *key.maximum) : "integer";
        case Key::Type::text:
            return key.choices.empty() ? "string" : fmt::format("{}", fmt::join(key.choices, " | "));
        case Key::Type::domain_xml:
            return "domain XML";
        case Key::Type::object:
            return "object";
        case Key::Type::list:
            return key.children.front().choices.empty() ? "list" : "list of " + type_of(key.children.front());
    }
    return "";
}

/// One line for every key that can be set; objects show through the paths of their children.
void append_keys(std::string& text, const std::vector<Key>& keys, const std::string& prefix) {
    for (const Key& key : keys) {
        const std::string path = prefix + key.name;
        if (key.type == Key::Type::object) {
            append_keys(text, key.children, path + ".");
            continue;
        }
        text += fmt::format("  {}  ({}", path, type_of(key));
        if (!key.fallback.is_null() && key.type != Key::Type::list) text += ", default " + describe(key.fallback);
        text += fmt::format(")\n      {}\n", key.help);
        if (key.type == Key::Type::list) append_keys(text, key.children.front().children, path + "[].");
    }
}

}  // namespace

Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
    const Arguments arguments = tell_apart(argc, argv);
    if (!arguments.unknown.empty()) return fail(unexpected(arguments.unknown));
    const std::vector<std::string>& operands = arguments.operands;
    if (operands.size() > positionals.size())
        return fail(unexpected({operands.begin() + std::ssize(positionals), operands.end()}));
    CommandLine line;
    line.progress = arguments.progress;
    if (!operands.empty()) line.vm = operands[0];
    if (operands.size() > 1) line.destination_uri = operands[1];
    if (operands.size() > 2) line.migration_uri = operands[2];
    if (operands.size() > 3) line.config = operands[3];
    if (arguments.help)
        line.mode = CommandLine::Mode::help;
    else if (arguments.version)
        line.mode = CommandLine::Mode::version;
    else if (arguments.print_config)
        line.mode = CommandLine::Mode::print_config;
    else if (arguments.check)
        line.mode = CommandLine::Mode::check;
    if (line.config && (line.config->empty() || has_control_characters(*line.config)))
        return fail(malformed("CONFIG: expected a path or -, got " + quote(redact_uri(*line.config))));
    if (line.mode != CommandLine::Mode::migrate && line.mode != CommandLine::Mode::check) return line;
    if (std::optional<Error> error = check(line)) return fail(std::move(*error));
    return line;
}

std::string help_text(const Plugin& plugin) {
    std::string text = fmt::format("{}: {}\n\nUsage: {} [OPTION]... VM DESTINATION-URI MIGRATION-URI [CONFIG]\n\n",
                                   plugin.name, plugin.summary, plugin.name);
    text += "Arguments:\n";
    for (const Argument& argument : positionals) text += fmt::format("  {:<18}{}\n", argument.name, argument.help);
    text += "\nOptions:\n";
    for (const Argument& option : options) text += fmt::format("  {:<18}{}\n", option.name, option.help);
    text +=
        "\nSignals:\n"
        "  SIGUSR1           print one status message on standard output\n"
        "  SIGINT, SIGSTOP   abort the migration and exit\n"
        "  SIGTERM, SIGQUIT  exit; the migration goes on\n";
    text += "\nConfiguration keys:\n";
    append_keys(text, all_keys(plugin.keys), "");
    return text;
}

}  // namespace vmmi::cli
