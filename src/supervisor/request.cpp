// SPDX-License-Identifier: Apache-2.0
#include "supervisor/request.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string_view>

#include "core/describe.h"
#include "core/redact.h"
#include "core/uri.h"
#include "message/json.h"
#include "message/messages.h"
#include "supervisor/domain.h"
#include "supervisor/errors.h"
#include "supervisor/plugins.h"
#include "supervisor/spawn.h"
#include "system/file.h"

namespace vmmi::supervisor {
namespace {

constexpr std::size_t longest_configuration = std::size_t{1} << 20;  // SPEC.md, CFG-14

std::string text(const char* given) {
    return given != nullptr ? given : "";
}

/// The message that the plugin will read: what is given, or else its default file. Empty: there is none. The plugin's
/// name has been checked.
Result<std::string> configuration_of(const vmmi_parameters& parameters) {
    if (parameters.configuration != nullptr) return text(parameters.configuration);
    const std::string path = fmt::format("{}/{}.json", VMMI_CONFIG_DIR, text(parameters.plugin));
    if (system::kind_of(path) == system::FileKind::missing) return std::string();
    return system::read_file(path, longest_configuration);
}

}  // namespace

std::vector<std::string> Request::arguments() const {
    std::vector<std::string> arguments{vm, destination, migration_uri};
    if (vm.starts_with('-') || destination.starts_with('-') || migration_uri.starts_with('-'))
        arguments.insert(arguments.begin(), "--");
    if (configured) arguments.emplace_back("-");
    return arguments;
}

Result<system::Fd> Request::input() const {
    const auto bad = [] {
        return refuse(VMMI_E_SYSTEM, "no descriptor", "the configuration could not be handed over: " + system_error());
    };
    if (!configured) {
        system::Fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (!nothing) return bad();
        return nothing;
    }
    // In memory, and whole: a plugin that does not read holds up nobody.
    system::Fd file(::memfd_create("vmmi-configuration", MFD_CLOEXEC));
    if (!file || !system::write_all(file.get(), configuration) || ::lseek(file.get(), 0, SEEK_SET) != 0) return bad();
    return file;
}

Result<std::string> derived_migration_uri(const std::string& destination) {
    const std::string host = parse_uri(destination).host;
    if (host.empty()) {
        return fail(ErrorCode::missing_parameters, "missing parameters",
                    fmt::format("no migration URI was given, and {} names no host to derive it from",
                                quote(redact_uri(destination))));
    }
    return host.find(':') == std::string::npos ? "tcp://" + host : "tcp://[" + host + "]";
}

Result<std::string> connection_of(const vmmi_parameters& parameters) {
    const std::string plugin = text(parameters.plugin);
    if (const Result<void> named = check_plugin_name(plugin); !plugin.empty() && !named) return fail(named.error());
    if (const std::string given = text(parameters.connection); !given.empty()) return given;
    const std::string usual = "qemu:///system";
    const Result<std::string> message = configuration_of(parameters);
    if (!message || message->empty()) return usual;
    // Whether it is fine, the plugin says.
    const Result<Object> body = message::read_configuration(*message);
    const Value* value = body ? body->find("connection") : nullptr;
    const auto* connection = value != nullptr ? value->get_if<std::string>() : nullptr;
    return connection != nullptr ? *connection : usual;
}

Result<std::string> with_connection(const std::string& message_text, const std::string& connection) {
    Object message{{"vmmiVersion", message::interface_version}, {"contentType", "configuration"}};
    Object body;
    if (!message_text.empty()) {
        const Result<Object> given = message::read_configuration(message_text);
        if (!given) return fail(given.error());
        body = *given;
    }
    body.set("connection", connection);
    message.set("configuration", std::move(body));
    return message::to_json(message);
}

Result<Request> make_request(const vmmi_parameters& parameters, const std::string& plugin_directory) {
    Request request;
    request.vm = text(parameters.vm);
    request.vm_name = text(parameters.vm_name);
    request.connection = text(parameters.connection);
    if (parameters.domain != nullptr) {
        const Result<DomainName> domain = name_of(parameters.domain);
        if (!domain) return fail(domain.error());
        request.vm = domain->uuid;
        request.vm_name = domain->name;
        request.connection = domain->connection;
    }
    request.destination = text(parameters.destination);
    request.migration_uri = text(parameters.migration_uri);
    request.plugin = text(parameters.plugin);
    std::vector<std::string_view> missing;
    if (request.vm.empty()) missing.emplace_back("vm");
    if (request.destination.empty()) missing.emplace_back("destination");
    if (request.plugin.empty()) missing.emplace_back("plugin");
    if (!missing.empty()) {
        return fail(ErrorCode::missing_parameters, "missing parameters",
                    fmt::format("missing or empty: {}", fmt::join(missing, ", ")));
    }
    if (request.migration_uri.empty()) {
        Result<std::string> derived = derived_migration_uri(request.destination);
        if (!derived) return fail(derived.error());
        request.migration_uri = std::move(*derived);
    }
    Result<std::string> path = find_plugin(plugin_directory, request.plugin);
    if (!path) return fail(path.error());
    request.path = std::move(*path);

    request.configured = parameters.configuration != nullptr;
    request.configuration = text(parameters.configuration);
    if (request.connection.empty()) {
        Result<std::string> effective = connection_of(parameters);
        if (!effective) return fail(effective.error());
        request.connection = std::move(*effective);
    } else {
        Result<std::string> given = configuration_of(parameters);
        if (!given) return fail(given.error());
        Result<std::string> merged = with_connection(*given, request.connection);
        if (!merged) return fail(merged.error());
        request.configuration = std::move(*merged);
        request.configured = true;
    }
    std::vector<std::string> more;
    for (const char* const* one = parameters.environment; one != nullptr && *one != nullptr; ++one) {
        const std::size_t sign = std::string_view(*one).find('=');
        if (sign == 0 || sign == std::string_view::npos)
            return refuse(VMMI_E_MISUSE, "bad environment", quote(*one) + " is no NAME=value");
        more.emplace_back(*one);
    }
    request.environment = clean_environment(more);
    return request;
}

}  // namespace vmmi::supervisor
