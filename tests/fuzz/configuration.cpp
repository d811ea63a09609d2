// SPDX-License-Identifier: Apache-2.0
#include "core/configuration.h"

#include <limits>

#include "core/redact.h"
#include "message/messages.h"
#include "precopy.h"
#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;

/// A message to the policy's plan; what --print-config shows is accepted, and means the same.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Plugin plugin = precopy::plugin();
    const Result<Object> body = message::read_configuration(text_of(data, size));
    if (!body) {
        require_sound(body.error(), {ErrorCode::malformed_configuration});
        return 0;
    }
    const Result<Configuration> configuration = make_configuration(*body, plugin.keys);
    if (!configuration) {
        require_sound(configuration.error(), {ErrorCode::malformed_configuration});
        return 0;
    }
    require(configuration->verbose >= 0 && configuration->verbose <= 3, "verbose is a level");
    require(!configuration->connection.empty(), "there is a connection");
    require(configuration->monitor_interval.count() >= 1, "there is an interval");
    require(configuration->log_target != LogTarget::file || !configuration->log_file_path.empty(), "a file has a path");

    const Result<Object> printed = message::read_configuration(message::configuration_message(*configuration));
    require(printed.has_value(), "what is printed is a message");
    const Result<Configuration> again = make_configuration(*printed, plugin.keys);
    require(again.has_value(), "what is printed is a configuration");
    Object expected = configuration->settings.values();
    expected.set("connection", redact_uri(configuration->connection));
    for (const char* document : {"destinationXml", "persistentXml"})
        if (const auto text = configuration->settings.optional_text(document))
            expected.set(document, redact_xml(*text));
    require(again->settings.values() == expected, "what is printed means the same");

    const Result<std::unique_ptr<Policy>> policy = plugin.make_policy(configuration->settings);
    if (!policy) {
        require_sound(policy.error(), {ErrorCode::malformed_configuration});
        return 0;
    }
    for (const std::uint64_t memory :
         {std::uint64_t{0}, std::uint64_t{1} << 30, std::numeric_limits<std::uint64_t>::max()})
        require((*policy)->plan({.name = "guest", .uuid = {}, .memory = {memory}}).downtime_limit->count() >= 1,
                "a downtime limit is positive");
    return 0;
}
