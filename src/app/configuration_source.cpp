// SPDX-License-Identifier: Apache-2.0
#include "app/configuration_source.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "app/told_to_leave.h"
#include "core/redact.h"
#include "message/framing.h"
#include "message/messages.h"
#include "system/file.h"

namespace vmmi::app {
namespace {

using message::Framing;

Error malformed(std::string details) {
    return {ErrorCode::malformed_configuration, "malformed configuration", std::move(details)};
}

Error hopeless(const Framing& framing) {
    return malformed(framing.too_long() ? fmt::format("standard input: longer than {} bytes", Framing::longest)
                                        : "standard input: not a JSON object: it does not begin with {");
}

/// Reads one object from standard input, which may stay open after it.
Result<std::string> read_message_from_input(system::Signals& signals) {
    Framing framing;
    bool status_asked = false;
    for (;;) {
        std::array<pollfd, 2> ready{{{STDIN_FILENO, POLLIN, 0}, {signals.fd(), POLLIN, 0}}};
        if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) break;
        if (std::optional<Error> error = told_to_leave(
                signals, status_asked, "told to leave while waiting for the configuration; nothing was started"))
            return fail(std::move(*error));
        if (ready[0].revents == 0) continue;

        std::array<char, 4096> bytes{};
        const ssize_t got = ::read(STDIN_FILENO, bytes.data(), bytes.size());
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got < 0) {
            return fail(ErrorCode::configuration_failed, "cannot read the configuration",
                        "standard input: " + std::generic_category().message(errno));
        }
        if (got == 0) return fail(malformed("standard input: ended before the message was complete"));
        const Framing::State state = framing.feed({bytes.data(), static_cast<std::size_t>(got)});
        if (state == Framing::State::hopeless) return fail(hopeless(framing));
        if (state == Framing::State::complete) {
            // No output before the configuration: who asked for the status gets it from now on.
            if (status_asked) signals.defer_status_request();
            return framing.text();
        }
    }
    return fail(ErrorCode::configuration_failed, "cannot read the configuration", "standard input cannot be polled");
}

Result<Object> read_named(const std::string& name, const std::string& text) {
    Result<Object> body = message::read_configuration(text);
    if (body) return body;
    Error error = body.error();
    error.details = name + ": " + error.details;
    return fail(std::move(error));
}

}  // namespace

std::string ConfigurationSource::name() const {
    if (argument == "-") return "standard input";
    // A URI in the wrong place may have a password.
    return argument ? redact_uri(*argument) : default_path;
}

Result<Object> obtain_configuration(const ConfigurationSource& source, system::Signals& signals) {
    if (source.argument == "-") {
        Result<std::string> text = read_message_from_input(signals);
        if (!text) return fail(text.error());
        return read_named(source.name(), *text);
    }
    const std::string& path = source.argument ? *source.argument : source.default_path;
    if (!source.argument && system::kind_of(path) == system::FileKind::missing) return Object{};
    const Result<std::string> text = system::read_file(path, Framing::longest);
    if (!text) {
        Error error = text.error();
        error.details += source.argument ? "; CONFIG is to be a file that may be read, or - for standard input"
                                         : "; this is the default configuration: repair it, remove it, or give CONFIG";
        return fail(std::move(error));
    }
    return read_named(source.name(), *text);
}

}  // namespace vmmi::app
