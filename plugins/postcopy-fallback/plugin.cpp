// SPDX-License-Identifier: Apache-2.0
#include <vmmi/downtime_limits.h>
#include <vmmi/migration_keys.h>
#include <vmmi/xbzrle.h>

#include "postcopy_fallback.h"

namespace postcopy_fallback {

using namespace vmmi;

namespace {

std::vector<Key> keys() {
    std::vector<Key> keys{
        integer_key("downtimeMs", 300, {1, longest_downtime}, "downtime limit: pre-copy ends where this suffices"),
        xbzrle_key(),
        object_key(
            "postcopy",
            {boolean_key("evidence", true, "switch as soon as it shows that pre-copy will not meet the limits"),
             integer_key("firstPassPercent", 25, {0, 1000},
                         "switch after the first pass where it leaves this share of what it sent; 0 is without"),
             integer_key("afterIterations", 0, {0, 1'000'000},
                         "switch after so many passes; 0 is without this ceiling"),
             integer_key("secondsPerGiB", 60, {0, 86'400},
                         "switch after this time for every GiB of guest memory, for at least one GiB; 0 is without"),
             postcopy_bandwidth_key()},
            "when and how pre-copy becomes post-copy"),
        recovery_key(),
    };
    for (Key& key : migration_keys()) keys.push_back(std::move(key));
    return keys;
}

Result<std::unique_ptr<Policy>> make(const Settings& settings) {
    Result<MigrationRequest> request = request_with_postcopy(with_xbzrle(settings));
    if (!request) return fail(request.error());
    request->downtime_limit = Milliseconds(settings.integer("downtimeMs"));

    PostcopyFallback::Options options;
    options.request = std::move(*request);
    prefer_xbzrle(options.request, settings);
    options.storage = StorageBudget(settings);
    options.evidence = settings.boolean("postcopy.evidence");
    options.first_pass_percent = static_cast<int>(settings.integer("postcopy.firstPassPercent"));
    options.after_iterations = static_cast<int>(settings.integer("postcopy.afterIterations"));
    options.seconds_per_gibibyte = static_cast<int>(settings.integer("postcopy.secondsPerGiB"));
    options.guardian = Guardian(settings);
    if (!options.evidence && options.after_iterations == 0 && options.seconds_per_gibibyte == 0) {
        return fail(ErrorCode::malformed_configuration, "malformed configuration",
                    "configuration.postcopy: evidence is false, and afterIterations and secondsPerGiB are 0, so that "
                    "nothing would switch to post-copy; set one of them, or use the plugin precopy");
    }
    return std::make_unique<PostcopyFallback>(std::move(options));
}

}  // namespace

Plugin plugin() {
    return {
        .name = "postcopy-fallback",
        .version = VMMI_PLUGIN_VERSION,
        .summary = "live pre-copy migration; post-copy where that leads nowhere, resumed where it breaks",
        .keys = keys(),
        .make_policy = make,
    };
}

}  // namespace postcopy_fallback
