// SPDX-License-Identifier: Apache-2.0
// The plugin's keys, and what they make of the policy.
#include <fmt/format.h>
#include <vmmi/migration_keys.h>
#include <vmmi/xbzrle.h>

#include <algorithm>
#include <iterator>

#include "throttling.h"

namespace throttling {

using namespace vmmi;

namespace {

std::vector<Key> keys() {
    std::vector<Key> keys{
        object_key("throttle",
                   {integer_key("maximumPercent", 80, {1, 99},
                                "share of the guest's time that may be taken, 100 would be a pause")},
                   "throttle"),
        choice_key("whenThrottlingFails", "abort", {"abort", "continue", "pause"},
                   "what to do where the throttle does not help, or would have to exceed its maximum"),
        object_key("pause",
                   {integer_key("maximumMs", 5000, {1, 3'600'000},
                                "the guest stands still no longer where whenThrottlingFails is \"pause\"")},
                   "pause as a last resort"),
        downtime_limits_key(),
        memory_ceiling_key(),
        xbzrle_key(),
    };
    std::ranges::move(migration_keys(), std::back_inserter(keys));
    // This plugin throttles: its user need not ask for it.
    std::vector<Key>& throttle = std::ranges::find(keys, "autoConverge", &Key::name)->children;
    std::ranges::find(throttle, "enabled", &Key::name)->fallback = true;
    return keys;
}

Error malformed(std::string details) {
    return {ErrorCode::malformed_configuration, "malformed configuration", "configuration." + std::move(details)};
}

std::optional<Error> contradiction(const Settings& settings) {
    const std::int64_t longest = settings.integer("downtime.maximumMs");
    const std::int64_t pause = settings.integer("pause.maximumMs");
    const std::int64_t throttle = settings.integer("throttle.maximumPercent");
    const std::int64_t first = settings.optional_integer("autoConverge.initialPercent").value_or(0);
    if (!settings.boolean("autoConverge.enabled"))
        return malformed("autoConverge.enabled: false, but this plugin throttles; leave the key out, or use precopy");
    if (first > throttle) {
        return malformed(fmt::format(
            "autoConverge.initialPercent: {} is above throttle.maximumPercent, {}; lower the one or raise the other",
            first, throttle));
    }
    if (settings.text("whenThrottlingFails") == "pause" && pause < longest) {
        return malformed(
            fmt::format("pause.maximumMs: {} is below downtime.maximumMs, {}, so no pause is left to try; raise "
                        "it, or choose another whenThrottlingFails",
                        pause, longest));
    }
    return std::nullopt;
}

std::optional<int> number(const Settings& settings, std::string_view path) {
    const std::optional<std::int64_t> value = settings.optional_integer(path);
    return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
}

Result<std::unique_ptr<Policy>> make(const Settings& settings) {
    if (std::optional<Error> error = contradiction(settings)) return fail(std::move(*error));
    Result<MigrationRequest> request = request_from(with_xbzrle(settings));
    if (!request) return fail(request.error());
    const Result<DowntimeLimits> downtime = downtime_limits_from(settings);
    if (!downtime) return fail(downtime.error());
    using WhenItFails = Throttling::WhenItFails;
    const std::string when = settings.text("whenThrottlingFails");
    Throttling::Options options;
    options.request = std::move(*request);
    prefer_xbzrle(options.request, settings);
    options.storage = StorageBudget(settings);
    options.maximum_throttle = static_cast<int>(settings.integer("throttle.maximumPercent"));
    options.steps = steps_to(options.maximum_throttle, number(settings, "autoConverge.initialPercent"),
                             number(settings, "autoConverge.incrementPercent"));
    options.downtime = *downtime;
    options.when_it_fails = when == "abort"   ? WhenItFails::abort
                            : when == "pause" ? WhenItFails::pause
                                              : WhenItFails::keep_going;
    options.longest_pause = Milliseconds(settings.integer("pause.maximumMs"));
    options.ceiling = MemoryCeiling(settings);
    return std::make_unique<Throttling>(std::move(options));
}

}  // namespace

Plugin plugin() {
    return {
        .name = "converge-by-throttling",
        .version = VMMI_PLUGIN_VERSION,
        .summary = "live pre-copy migration; the guest is throttled as far as allowed, at the least cost to it",
        .keys = keys(),
        .make_policy = make,
    };
}

}  // namespace throttling
