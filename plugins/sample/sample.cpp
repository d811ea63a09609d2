// SPDX-License-Identifier: Apache-2.0
#include "sample.h"

#include <chrono>

namespace sample {

using namespace vmmi;

MigrationRequest GiveUpAfter::plan(const Guest&) {
    return {.live = true};
}

std::vector<Action> GiveUpAfter::decide(const Sample& sample) {
    if (sample.phase != Phase::precopy || sample.elapsed < limit_) return {};
    return {{AbortMigration{}, "not done after " + std::to_string(limit_.count() / 1000) + " s"}};
}

Plugin plugin() {
    return {
        .name = "sample",
        .version = VMMI_PLUGIN_VERSION,
        .summary = "a policy to copy: migrate live, give up after a fixed time",
        .keys = {integer_key("giveUpAfterSeconds", 600, {1, 86'400}, "time after which the migration is aborted")},
        .make_policy = [](const Settings& settings) -> Result<std::unique_ptr<Policy>> {
            const std::chrono::seconds limit(settings.integer("giveUpAfterSeconds"));
            return std::make_unique<GiveUpAfter>(limit);
        },
    };
}

}  // namespace sample
