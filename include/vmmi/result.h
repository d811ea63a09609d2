// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace vmmi {

/// The numbers that a completion message carries in `error.code`. 0 to 99 belong to the interface; a plugin that
/// needs codes of its own takes them from `first_plugin_code` on.
enum class ErrorCode : int {
    none = 0,
    unknown = 1,
    operation_failed = 2,
    bad_file_path = 3,
    configuration_failed = 4,
    malformed_parameters = 5,
    malformed_configuration = 6,
    missing_parameters = 7,
    migration_failed = 8,
    migration_aborted = 9,
    vm_unknown = 10,
    vm_disappeared = 11,
    libvirt_disconnected = 12,
    /// The plugin left on SIGTERM. The migration is neither done nor failed: it goes on without the plugin.
    detached = 13,
};

constexpr int first_plugin_code = 100;

/// What went wrong, for a program and for a person.
///
/// `message`: short, lower case, no full stop. `details`: a sentence or two: what was tried, with which value, the
/// native error, and what to do next. Neither ever holds a secret.
struct Error {
    ErrorCode code = ErrorCode::unknown;
    std::string message;
    std::string details;

    friend bool operator==(const Error&, const Error&) = default;
};

/// Text from outside as an error shows it: in quotes, control characters escaped, cut after 80 bytes.
std::string quote(std::string_view text);

/// The outcome of anything that can fail at run time:
///
///     Result<Value> parsed = parse(text);
///     if (!parsed) return fail(parsed.error());
///     use(*parsed);
template <typename T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Error error) {
    return tl::unexpected<Error>(std::move(error));
}

inline tl::unexpected<Error> fail(ErrorCode code, std::string message, std::string details) {
    return fail(Error{code, std::move(message), std::move(details)});
}

}  // namespace vmmi
